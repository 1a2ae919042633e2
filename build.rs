//! Compiles `proto/` with protox, so no `protoc` has to be installed.

use std::{error::Error, fs, path::PathBuf};

use tonic_prost_build::configure;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(["envoy/service/auth/v3/external_auth.proto"], ["proto"])?;

    // Kept beside the code: gRPC reflection serves it, the contract test compares it.
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
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
