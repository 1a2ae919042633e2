//! The product: an HTTP/1.1 server that keeps the bytes of every request head it gets.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// A request head as the product saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `GET /path HTTP/1.1`
    pub line: String,
    /// In order, repeated ones included, names exactly as received.
    pub headers: Vec<(String, String)>,
}

impl Seen {
    /// Every value of a header, whatever its case.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let wanted = |header: &&(String, String)| header.0.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .filter(wanted)
            .map(|header| header.1.as_str())
            .collect()
    }

    /// Every header that some program could take for the identity, with its value.
    pub fn identities(&self) -> Vec<(&str, &str)> {
        let folded = |name: &str| name.to_ascii_lowercase().replace(['_', '.'], "-");
        let identity = |header: &&(String, String)| folded(&header.0).contains("remote-user");
        self.headers
            .iter()
            .filter(identity)
            .map(|(name, value)| (&**name, &**value))
            .collect()
    }
}

/// The product. Answers 200 with an empty body, or 101 to an upgrade.
pub struct Upstream {
    pub port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Upstream {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { port, seen }
    }

    /// Everything that got through so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The latest request that got through.
    pub fn last(&self) -> Seen {
        self.seen().pop().expect("a request got through")
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Vec<Seen>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a clone"));
    while let Some(head) = read_head(&mut reader) {
        seen.lock().unwrap().push(head);
        if stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .is_err()
        {
            return;
        }
    }
}

/// The next request head on a connection, if there is one.
pub fn read_head(reader: &mut impl BufRead) -> Option<Seen> {
    let mut line = Vec::new();
    reader
        .read_until(b'\n', &mut line)
        .ok()
        .filter(|read| *read > 0)?;
    let text = |bytes: &[u8]| {
        String::from_utf8_lossy(bytes)
            .trim_end_matches(['\r', '\n'])
            .to_owned()
    };
    let mut headers = Vec::new();
    loop {
        let mut header = Vec::new();
        reader.read_until(b'\n', &mut header).ok()?;
        let header = text(&header);
        if header.is_empty() {
            return Some(Seen {
                line: text(&line),
                headers,
            });
        }
        let (name, value) = header.split_once(':').unwrap_or((&header, ""));
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}
