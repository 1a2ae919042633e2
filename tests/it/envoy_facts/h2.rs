//! HTTP/2 clients: a proper one, and one that sends what no library would.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request};
use tokio::runtime::Runtime;

use crate::support::client::Answer;

/// Sends one request and reads the whole answer. A `Some` body is one byte, then these trailers.
pub fn exchange(address: &str, request: Request<()>, trailers: Option<HeaderMap>) -> Answer {
    let runtime = Runtime::new().expect("a runtime");
    let answer = runtime
        .block_on(try_exchange(address, request, trailers))
        .expect("an answer");
    runtime.shutdown_background();
    answer
}

async fn try_exchange(
    address: &str,
    request: Request<()>,
    trailers: Option<HeaderMap>,
) -> Result<Answer, h2::Error> {
    let stream = tokio::net::TcpStream::connect(address)
        .await
        .expect("connects");
    let (sender, connection) = h2::client::handshake(stream).await?;
    tokio::spawn(connection);
    let mut sender = sender.ready().await?;
    let (response, mut body) = sender.send_request(request, trailers.is_none())?;
    if let Some(trailers) = trailers {
        body.send_data(Bytes::from_static(b"x"), false)?;
        body.send_trailers(trailers)?;
    }
    let (head, mut body) = response.await?.into_parts();
    let mut received = Vec::new();
    while let Some(chunk) = body.data().await {
        received.extend_from_slice(&chunk?);
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = head.headers.iter();
    Ok(Answer {
        status: head.status.as_u16(),
        headers: headers
            .map(|(name, value)| (name.to_string(), text(value.as_bytes())))
            .collect(),
        body: text(&received),
    })
}

/// `GET https://jira.example.com` + `path` with these headers, repeated ones included.
pub fn get(path: &str, headers: &[(&str, &[u8])]) -> Request<()> {
    request("GET", path, headers)
}

pub fn request(method: &str, path: &str, headers: &[(&str, &[u8])]) -> Request<()> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://jira.example.com{path}"))
        .version(http::Version::HTTP_2);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request")
}

/// Sends one request of exactly these header fields on a connection of its own, and reads until
/// the server has said something about it.
pub fn send_fields(address: &str, fields: &[(&str, &[u8])]) {
    const HEADERS: u8 = 1;
    const RESET: u8 = 3;
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    const END_OF_STREAM_AND_HEADERS: u8 = 5;
    let mut block = Vec::new();
    for (name, value) in fields {
        // Literal, never indexed, not compressed (RFC 7541 §6.2.3).
        block.push(0x10);
        string(name.as_bytes(), &mut block);
        string(value, &mut block);
    }
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(SETTINGS, 0, 0, &[], &mut bytes);
    frame(HEADERS, END_OF_STREAM_AND_HEADERS, 1, &block, &mut bytes);
    let mut stream = TcpStream::connect(address).expect("connects");
    stream
        .set_read_timeout(Some(Duration::from_mins(1)))
        .expect("set");
    stream.write_all(&bytes).expect("written");
    let mut head = [0; 9];
    while stream.read_exact(&mut head).is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).expect("a whole frame");
        if [HEADERS, RESET, GOAWAY].contains(&head[3]) {
            return;
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8], to: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    to.extend([length[1], length[2], length[3], kind, flags]);
    to.extend(stream.to_be_bytes());
    to.extend(payload);
}

/// RFC 7541 §5.2, without Huffman coding.
fn string(text: &[u8], to: &mut Vec<u8>) {
    let mut rest = text.len();
    if rest < 127 {
        to.push(small(rest));
    } else {
        to.push(127);
        rest -= 127;
        while rest >= 128 {
            to.push(small(rest % 128 + 128));
            rest /= 128;
        }
        to.push(small(rest));
    }
    to.extend(text);
}

fn small(number: usize) -> u8 {
    u8::try_from(number).expect("below 256")
}
