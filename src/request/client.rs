//! Whose address the client's is: Envoy says who called it, and proxies before it who called them.

use std::net::{IpAddr, SocketAddr};

use super::Headers;

/// The address that the outermost of `hops` trusted proxies was called from. Each has added one to
/// `X-Forwarded-For`, at its right end; whatever stands left of those, the client may have written. With fewer
/// addresses than proxies something is not as the operator thinks, and the client is unknown.
pub(super) fn forwarded(headers: &Headers, hops: u8) -> Option<IpAddr> {
    let lines: Vec<_> = headers.named("x-forwarded-for").collect();
    let mut from_the_right = lines
        .iter()
        .rev()
        .flat_map(|line| line.value.rsplit(|byte| *byte == b','));
    let before = usize::from(hops).checked_sub(1)?;
    address(from_the_right.nth(before)?)
}

/// An address, as proxies write it: some add the port.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim_matches([' ', '\t']);
    let with_port = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    let address = text.parse().ok().or_else(with_port);
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::request::Request;

    fn read(lines: &[&str], hops: u8) -> Option<String> {
        let header = |value| ("x-forwarded-for", value);
        let lines: Vec<_> = lines.iter().copied().map(header).collect();
        let headers = Request::plain("GET", "/", &lines).headers;
        forwarded(&headers, hops).map(|address| address.to_string())
    }

    #[test]
    fn the_address_is_counted_from_the_right() {
        let line = "6.6.6.6, 203.0.113.7,10.0.0.9";
        assert_eq!(read(&[line], 1).as_deref(), Some("10.0.0.9"));
        assert_eq!(read(&[line], 2).as_deref(), Some("203.0.113.7"));
        assert_eq!(
            read(&["6.6.6.6", "203.0.113.7", "10.0.0.9"], 2).as_deref(),
            Some("203.0.113.7")
        );
    }

    #[test]
    fn what_is_missing_or_no_address_is_nowhere() {
        assert_eq!(read(&["10.0.0.9"], 2), None);
        assert_eq!(read(&[], 1), None);
        for odd in [
            "unknown",
            "",
            "10.0.0",
            "10.0.0.9.",
            "_hidden",
            "10.0.0.9:x",
            "fe80::1%eth0",
            "::1]:1",
        ] {
            assert_eq!(read(&[odd], 1), None, "{odd}");
        }
    }

    #[test]
    fn ports_and_mapped_addresses_are_understood() {
        assert_eq!(
            read(&["203.0.113.7:4711"], 1).as_deref(),
            Some("203.0.113.7")
        );
        assert_eq!(
            read(&["[2001:db8::7]:4711"], 1).as_deref(),
            Some("2001:db8::7")
        );
        assert_eq!(
            read(&["::ffff:203.0.113.7"], 1).as_deref(),
            Some("203.0.113.7")
        );
    }

    proptest! {
        #[test]
        fn what_the_client_writes_first_changes_nothing(lie in "[0-9a-f.:, ]{0,40}") {
            let one_line = format!("{lie},203.0.113.7,10.0.0.9");
            for lines in [vec![one_line.as_str()], vec![&lie, "203.0.113.7", "10.0.0.9"]] {
                let address = read(&lines, 2);
                prop_assert_eq!(address.as_deref(), Some("203.0.113.7"));
            }
        }
    }
}
