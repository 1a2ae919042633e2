//! An identity provider under the test's control: it answers, counts, and misbehaves on demand.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::net::TcpSocket;

use super::keys::{SigningKey, shared_rs256};

/// What a path answers with.
#[derive(Clone)]
pub enum Answer {
    /// 200 with this body.
    Json(String),
    /// Exactly these bytes, then the connection is closed.
    Raw(Vec<u8>),
    /// Reads the request and never answers, until the provider is dropped.
    Hang,
    /// 200 with this body, one byte at a time, with a pause after each.
    Drip(String, Duration),
    /// 200 with this body, after [`Idp::release`] has been called.
    Held(String),
    /// Exactly these bytes, then the connection is reset.
    Reset(Vec<u8>),
    /// 200 with the body that this makes of the request.
    Made(fn(&Received) -> String),
    /// 200 with the body that this makes of the request, after a pause.
    Late(fn(&Received) -> String, Duration),
}

impl Answer {
    pub fn status(line: &str, headers: &[&str], body: &str) -> Self {
        let headers: String = headers.iter().flat_map(|header| [header, "\r\n"]).collect();
        Self::Raw(
            format!(
                "HTTP/1.1 {line}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            )
            .into_bytes(),
        )
    }
}

/// One received request.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    /// With its query.
    pub path: String,
    pub body: String,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
}

#[derive(Default)]
struct State {
    answers: HashMap<String, Answer>,
    /// By path without query, and by a token that the request shows anywhere.
    answers_about: HashMap<(String, String), Answer>,
    received: Vec<Received>,
    released: bool,
    stopped: bool,
}

#[derive(Clone)]
struct Shared(Arc<(Mutex<State>, Condvar)>);

/// The provider. Publishes discovery and the shared RS256 key as `k1` unless told otherwise.
pub struct Idp {
    pub issuer: String,
    port: u16,
    shared: Shared,
}

pub const DISCOVERY: &str = "/.well-known/openid-configuration";
pub const JWKS: &str = "/jwks";

/// A key set document.
pub fn jwks(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

impl Idp {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        Self::on(listener)
    }

    /// Starts on a port that is known beforehand, as a provider that comes back does.
    pub fn on(listener: TcpListener) -> Self {
        let port = listener.local_addr().expect("bound").port();
        let issuer = format!("http://127.0.0.1:{port}");
        let shared = Shared(Arc::default());
        let idp = Self {
            issuer,
            port,
            shared: shared.clone(),
        };
        idp.answer(DISCOVERY, Answer::Json(idp.discovery().to_string()));
        idp.publish(&[("k1", shared_rs256())]);
        thread::spawn(move || shared.serve(&listener));
        idp
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The discovery document as it should be.
    pub fn discovery(&self) -> Value {
        json!({"issuer": self.issuer, "jwks_uri": format!("{}{JWKS}", self.issuer)})
    }

    /// Replaces the key set.
    pub fn publish(&self, keys: &[(&str, &SigningKey)]) {
        let keys: Vec<_> = keys.iter().map(|(kid, key)| key.jwk(kid)).collect();
        self.answer(JWKS, Answer::Json(jwks(&keys)));
    }

    /// Replaces the answer of a path.
    pub fn answer(&self, path: &str, answer: Answer) {
        self.shared
            .0
            .0
            .lock()
            .unwrap()
            .answers
            .insert(path.to_owned(), answer);
    }

    /// Replaces the answer of a path to requests about a token.
    pub fn answer_about(&self, token: &str, path: &str, answer: Answer) {
        let key = (path.to_owned(), token.to_owned());
        let mut state = self.shared.0.0.lock().unwrap();
        state.answers_about.insert(key, answer);
    }

    /// Lets all [`Answer::Held`] go.
    pub fn release(&self) {
        self.shared.0.0.lock().unwrap().released = true;
        self.shared.0.1.notify_all();
    }

    pub fn received(&self) -> Vec<Received> {
        self.shared.0.0.lock().unwrap().received.clone()
    }

    /// Forgets what it has received: for tests that go on for hours.
    pub fn forget(&self) {
        self.shared.0.0.lock().unwrap().received.clear();
    }

    /// How often a path was asked for.
    pub fn count(&self, path: &str) -> usize {
        let state = self.shared.0.0.lock().unwrap();
        let received = state.received.iter();
        received.filter(|request| request.path == path).count()
    }
}

impl Drop for Idp {
    fn drop(&mut self) {
        self.shared.0.0.lock().unwrap().stopped = true;
        self.shared.0.1.notify_all();
        // Wakes the accepting thread, which then closes the port.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Received {
    pub fn path_alone(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    /// Whether the token is in the query, in a header or in the body.
    fn shows(&self, token: &str) -> bool {
        self.path.contains(token)
            || self.body.contains(token)
            || self.headers.values().any(|value| value.ends_with(token))
    }
}

impl State {
    fn answer_to(&self, request: &Received) -> Option<Answer> {
        let path = request.path_alone();
        // Of two tokens that begin alike, the longer one is meant.
        let about = self.answers_about.iter();
        let about = about
            .filter(|((at, token), _)| at == path && request.shows(token))
            .max_by_key(|((_, token), _)| token.len());
        let of_path = || {
            self.answers
                .get(&request.path)
                .or_else(|| self.answers.get(path))
        };
        about.map(|(_, answer)| answer).or_else(of_path).cloned()
    }
}

impl Shared {
    fn serve(&self, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.0.0.lock().unwrap().stopped {
                return;
            }
            let Ok(stream) = stream else { return };
            let shared = self.clone();
            thread::spawn(move || shared.serve_connection(stream));
        }
    }

    fn serve_connection(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().expect("a clone"));
        while let Some(request) = read_request(&mut reader) {
            let Some(answer) = self.answer_to(&request) else {
                return;
            };
            if !self.give(&mut stream, &request, answer) {
                return;
            }
        }
    }

    /// A stopped provider does not answer on connections that are still open either.
    fn answer_to(&self, request: &Received) -> Option<Answer> {
        let mut state = self.0.0.lock().unwrap();
        if state.stopped {
            return None;
        }
        let answer = state.answer_to(request);
        state.received.push(request.clone());
        answer.or_else(|| Some(Answer::status("404 Not Found", &[], "")))
    }

    /// Returns whether the connection may be used again.
    fn give(&self, stream: &mut TcpStream, request: &Received, answer: Answer) -> bool {
        match answer {
            Answer::Json(body) => stream.write_all(&ok(&body)).is_ok(),
            Answer::Made(make) => stream.write_all(&ok(&make(request))).is_ok(),
            Answer::Late(make, pause) => {
                let state = self.0.0.lock().unwrap();
                let waited = self.0.1.wait_timeout_while(state, pause, |it| !it.stopped);
                drop(waited.unwrap());
                stream.write_all(&ok(&make(request))).is_ok()
            }
            Answer::Raw(bytes) => {
                let _ = stream.write_all(&bytes);
                false
            }
            Answer::Reset(bytes) => {
                let _ = stream.write_all(&bytes);
                let clone = stream.try_clone().expect("a clone");
                // Closing without lingering sends RST instead of FIN.
                let _ = TcpSocket::from_std_stream(clone).set_zero_linger();
                false
            }
            Answer::Hang => {
                self.wait_until(|state| state.stopped);
                false
            }
            Answer::Held(body) => {
                self.wait_until(|state| state.released || state.stopped);
                stream.write_all(&ok(&body)).is_ok()
            }
            Answer::Drip(body, pause) => ok(&body).into_iter().all(|byte| {
                let written = stream.write_all(&[byte]).is_ok();
                thread::sleep(pause);
                written
            }),
        }
    }

    fn wait_until(&self, condition: impl Fn(&State) -> bool) {
        let state = self.0.0.lock().unwrap();
        drop(
            self.0
                .1
                .wait_while(state, |state| !condition(state))
                .unwrap(),
        );
    }
}

fn ok(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn read_request(reader: &mut impl BufRead) -> Option<Received> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    let length = headers.get("content-length");
    let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a number"))];
    reader.read_exact(&mut body).ok()?;
    Some(Received {
        method,
        path,
        body: String::from_utf8_lossy(&body).into_owned(),
        headers,
    })
}
