//! What comes after the head of a request: trailers, and bodies that wait for permission.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, channel},
    },
    thread,
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use super::h2;
use crate::support::{client, envoy::Options, idp::Idp, service::Service, tokens::Token};

/// A product that keeps every byte of each request, body and trailers included.
struct Recorder {
    port: u16,
    requests: Receiver<String>,
    stopped: Arc<AtomicBool>,
}

impl Recorder {
    /// Answers when it has read `end`.
    fn start(end: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (sender, requests) = channel();
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        thread::spawn(move || {
            listener
                .incoming()
                .map_while(Result::ok)
                .take_while(|_| !stop.load(Ordering::Acquire))
                .all(|stream| sender.send(record(stream, end)).is_ok())
        });
        Self {
            port,
            requests,
            stopped,
        }
    }

    fn next(&self) -> String {
        self.requests
            .recv_timeout(Duration::from_mins(1))
            .expect("a request")
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // Wakes the accepting thread, which then closes the port.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn record(mut stream: TcpStream, end: &str) -> String {
    let mut received = Vec::new();
    let mut chunk = [0; 4096];
    while !received.ends_with(end.as_bytes()) {
        let length = stream.read(&mut chunk).expect("readable");
        assert!(length > 0, "closed before {end:?}");
        received.extend_from_slice(&chunk[..length]);
    }
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    stream.write_all(answer).expect("written");
    String::from_utf8(received).expect("text")
}

/// How often some spelling of the identity header occurs anywhere in a request.
fn identities_in(request: &str) -> usize {
    super::folded(request).matches("remote-user").count()
}

#[test]
fn trailers_are_no_headers() {
    let idp = Idp::start();
    let service = Service::start(&idp);
    let product = Recorder::start("0\r\n\r\n");
    let trailers = json!({"http_protocol_options": {"enable_trailers": true}});
    let envoy = Options::new(&service.grpc, product.port)
        .manager(trailers)
        .start();
    let token = Token::of(&idp.issuer).signed();
    let request = |head: &str| {
        format!(
            "POST /rest HTTP/1.1\r\nHost: jira.example.com\r\nConnection: close\r\n{head}\
             Transfer-Encoding: chunked\r\nTrailer: X-Remote-User\r\n\r\n\
             1\r\nx\r\n0\r\nX-Remote-User: admin\r\nX_Remote_User: admin\r\n\r\n"
        )
    };
    let alice = request(&format!("Authorization: Bearer {token}\r\n"));
    assert_eq!(client::send(&envoy.address, alice.as_bytes()).status, 200);
    let seen = product.next();
    assert!(seen.contains("\r\nx-remote-user: alice\r\n"), "{seen}");
    // The other one is the client's announcement, a value.
    assert_eq!(
        identities_in(&seen),
        1 + seen.matches("trailer:").count(),
        "{seen}"
    );
    assert!(!seen.contains("admin"), "{seen}");
    assert!(seen.ends_with("\r\n\r\n1\r\nx\r\n0\r\n\r\n"), "{seen}");

    let trailers = ["x-remote-user", "x_remote_user", "authorization"];
    let trailers = trailers.map(|name| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static("admin"),
        )
    });
    let bearer = format!("Bearer {token}");
    let fields: [(&str, &[u8]); 1] = [("authorization", bearer.as_bytes())];
    let post = |fields: &[(&str, &[u8])]| {
        let trailers = HeaderMap::from_iter(trailers.clone());
        let request = h2::request("POST", "/rest", fields);
        h2::exchange(&envoy.address, request, Some(trailers))
    };
    assert_eq!(post(&fields).status, 200);
    let seen = product.next();
    assert!(seen.contains("\r\nx-remote-user: alice\r\n"), "{seen}");
    assert_eq!(identities_in(&seen), 1, "{seen}");
    assert!(!seen.contains("admin"), "{seen}");

    // A token in a trailer is none.
    assert_eq!(
        client::send(&envoy.address, request("").as_bytes()).status,
        401
    );
    assert_eq!(post(&[]).status, 401);
    assert!(
        product.requests.try_recv().is_err(),
        "something got through"
    );
}

#[test]
fn a_request_that_asks_before_it_sends_is_judged_like_any_other() {
    let idp = Idp::start();
    let service = Service::start(&idp);
    let product = Recorder::start("\r\n\r\nbody");
    let envoy = Options::new(&service.grpc, product.port).start();
    let token = Token::of(&idp.issuer).signed();
    let ask = |head: &str| {
        let request = format!(
            "POST /rest HTTP/1.1\r\nHost: jira.example.com\r\nConnection: close\r\n{head}\
             X-Remote-User: admin\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody"
        );
        let answer = client::send(&envoy.address, request.as_bytes());
        // Envoy says "continue" by itself; the answer comes after it.
        assert_eq!(answer.status, 100);
        answer.body
    };
    assert!(ask("").starts_with("HTTP/1.1 401 "));
    assert!(
        product.requests.try_recv().is_err(),
        "something got through"
    );
    assert!(ask(&format!("Authorization: Bearer {token}\r\n")).starts_with("HTTP/1.1 200 "));
    let seen = product.next();
    assert!(seen.contains("\r\nx-remote-user: alice\r\n"), "{seen}");
    assert_eq!(identities_in(&seen), 1, "{seen}");
}
