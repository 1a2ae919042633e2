use std::net::TcpListener;

use super::*;

fn outbound(allow_loopback_http: bool) -> Outbound {
    let urls = UrlPolicy {
        allow_loopback_http,
    };
    Outbound::new(urls, ExtraAuthorities::default()).expect("a client")
}

async fn get(outbound: &Outbound, url: &str) -> Result<Fetched, OutboundError> {
    let get = Get {
        url: &url.parse().expect("a URL"),
        etag: None,
        limit: 1024,
    };
    outbound.in_the_name_of(None).get(get).await
}

/// A port nobody answers on, which knows whether somebody has connected.
fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("set");
    let port = listener.local_addr().expect("bound").port();
    (listener, port)
}

#[tokio::test]
async fn a_name_that_resolves_to_loopback_gets_no_connection() {
    let (listener, port) = listener();
    let strict = outbound(false);
    for host in [
        "localhost",
        "LOCALHOST",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
    ] {
        for scheme in ["https", "http"] {
            let answer = get(&strict, &format!("{scheme}://{host}:{port}/jwks")).await;
            assert!(
                matches!(answer, Err(OutboundError::AddressRefused)),
                "{scheme} {host}: {answer:?}"
            );
        }
    }
    assert!(listener.accept().is_err(), "somebody has connected");

    // The same name does connect where the operator allows it, so the silence above means something.
    let (lenient, url) = (outbound(true), format!("https://localhost:{port}/jwks"));
    let answer = get(&lenient, &url);
    let connected = async {
        while listener.accept().is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        answer = answer => panic!("an answer before a connection: {answer:?}"),
        () = connected => {}
    }
}

#[tokio::test]
async fn credentials_and_forbidden_addresses_in_a_url_are_refused_even_when_loopback_is_allowed() {
    let (listener, port) = listener();
    let lenient = outbound(true);
    for url in [
        format!("http://user:password@127.0.0.1:{port}/"),
        format!("http://user@127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{port}/#fragment"),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://[::ffff:169.254.169.254]/".to_owned(),
        "https://[fd00:ec2::254]/".to_owned(),
        "https://100.100.100.200/".to_owned(),
        "http://10.0.0.1/".to_owned(),
        "http://0.0.0.0/".to_owned(),
    ] {
        let answer = get(&lenient, &url).await;
        assert!(
            matches!(answer, Err(OutboundError::AddressRefused)),
            "{url}: {answer:?}"
        );
    }
    assert!(listener.accept().is_err(), "somebody has connected");
}
