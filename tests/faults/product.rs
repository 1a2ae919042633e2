//! The product: it answers every request with the identity that it was given, so that the client of a
//! test can hold each answer against what it has sent.

use std::{
    io::{BufReader, Write},
    net::{TcpListener, TcpStream},
    thread,
};

use crate::support::upstream::read_head;

/// Header of an answer: every identity that arrived, as `name=value`.
pub const SEEN: &str = "x-seen";
/// Header of an answer: how many credentials arrived. None must.
pub const CREDENTIALS: &str = "x-seen-credentials";

/// The product. Keeps nothing: it is asked for hours.
pub struct Product {
    pub port: u16,
}

impl Product {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || serve(stream));
            }
        });
        Self { port }
    }
}

fn serve(mut stream: TcpStream) {
    stream.set_nodelay(true).expect("set");
    let mut reader = BufReader::new(stream.try_clone().expect("a clone"));
    while let Some(head) = read_head(&mut reader) {
        let identities = head.identities().into_iter();
        let identities: Vec<_> = identities
            .map(|(name, value)| format!("{}={value}", name.to_ascii_lowercase()))
            .collect();
        let credentials = head.values("authorization").len() + head.values("cookie").len();
        let answer = format!(
            "HTTP/1.1 200 OK\r\n{SEEN}: {}\r\n{CREDENTIALS}: {credentials}\r\ncontent-length: 0\r\n\r\n",
            identities.join(",")
        );
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
