//! Compiles `proto/` with protox, so no `protoc` has to be installed.

use std::{env, error::Error, fs, path::PathBuf, process::Command};

use tonic_prost_build::configure;

fn main() -> Result<(), Box<dyn Error>> {
    link_compactly();
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(["envoy/service/auth/v3/external_auth.proto"], ["proto"])?;

    // Kept beside the code: gRPC reflection serves it, the contract test compares it.
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    fs::write(
        out.join("descriptors.bin"),
        prost::Message::encode_to_vec(&descriptors),
    )?;

    configure()
        .bytes(".envoy.config.core.v3.HeaderValue.raw_value")
        .include_file("protos.rs")
        .compile_fds(descriptors)?;
    Ok(())
}

/// The addresses that the loader writes into the program, in a hundredth of the room: what it has read stays in memory.
/// glibc understands them since 2.36; without that, or where it is not known, the program is linked as usual.
fn link_compactly() {
    let is_for_here = env::var_os("TARGET") == env::var_os("HOST")
        && env::var_os("CARGO_CFG_TARGET_ENV").is_some_and(|library| library == "gnu");
    if is_for_here && glibc().is_some_and(|version| version >= (2, 36)) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of the C library here.
fn glibc() -> Option<(u32, u32)> {
    let told = Command::new("getconf")
        .arg("GNU_LIBC_VERSION")
        .output()
        .ok()?;
    let told = String::from_utf8(told.stdout).ok()?;
    let (major, minor) = told.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}
