//! An authority (RFC 3986 §3.2): one host, and perhaps a port.

use std::net::Ipv6Addr;

use super::Ruling;

/// The name in lower case, without port and final dot.
pub fn name(authority: &str) -> Ruling<String> {
    let odd = |byte: u8| !(0x21..=0x7e).contains(&byte) || b",@/\\?#%".contains(&byte);
    if authority.bytes().any(odd) {
        return Err("an authority that has two readings");
    }
    let (host, port) = if let Some(literal) = authority.strip_prefix('[') {
        let end = literal.find(']').ok_or("a bracket that is not closed")?;
        if literal[..end].parse::<Ipv6Addr>().is_err() {
            return Err("no address in brackets (RFC 3986 §3.2.2)");
        }
        let after = &literal[end + 1..];
        let port = after
            .strip_prefix(':')
            .or_else(|| after.is_empty().then_some(""));
        (&literal[..end], port.ok_or("something after a bracket")?)
    } else {
        authority.split_once(':').unwrap_or((authority, ""))
    };
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("a port that is no number");
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() {
        return Err("no host");
    }
    Ok(host.to_ascii_lowercase())
}
