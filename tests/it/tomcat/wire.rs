//! An HTTP/1.1 connection that outlives its requests: a test here sends tens of thousands.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

use crate::support::client::Answer;

/// How many connections send at the same time.
const CONNECTIONS: usize = 4;

/// Sends `GET` for every target, with the same header lines (`"Name: value"`); the answers in the
/// order of the targets.
pub fn get_all(address: &str, targets: &[&[u8]], lines: &[&str]) -> Vec<Answer> {
    let share = targets.len().div_ceil(CONNECTIONS).max(1);
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for share in targets.chunks(share) {
            threads.push(scope.spawn(move || -> Vec<Answer> {
                let mut wire = Wire::to(address);
                let answers = share.iter().map(|target| wire.get(target, lines));
                answers.collect()
            }));
        }
        let mut answers = Vec::with_capacity(targets.len());
        for thread in threads {
            answers.extend(thread.join().expect("sent"));
        }
        answers
    })
}

/// A connection, made when it is needed and again when the server has closed it.
struct Wire<'a> {
    address: &'a str,
    stream: Option<BufReader<TcpStream>>,
}

impl<'a> Wire<'a> {
    fn to(address: &'a str) -> Self {
        Self {
            address,
            stream: None,
        }
    }

    /// Sends the target exactly as it is.
    fn get(&mut self, target: &[u8], lines: &[&str]) -> Answer {
        let mut head = b"GET ".to_vec();
        head.extend(target);
        head.extend(b" HTTP/1.1\r\nHost: jira.example.com\r\n");
        for line in lines {
            head.extend(line.as_bytes());
            head.extend(b"\r\n");
        }
        head.extend(b"\r\n");
        // A server may close a connection that it has kept; one that is new it has to answer on.
        if let Some(kept) = self.stream.take()
            && let Ok(answer) = self.exchange(kept, &head)
        {
            return answer;
        }
        let stream = TcpStream::connect(self.address).expect("connects");
        let limit = Some(Duration::from_mins(1));
        stream.set_read_timeout(limit).expect("set");
        stream.set_nodelay(true).expect("set");
        self.exchange(BufReader::new(stream), &head)
            .unwrap_or_else(|error| panic!("{}: {error}", target.escape_ascii()))
    }

    /// Keeps the connection unless the server says that it will close it.
    fn exchange(&mut self, mut stream: BufReader<TcpStream>, head: &[u8]) -> io::Result<Answer> {
        stream.get_mut().write_all(head)?;
        let answer = read_answer(&mut stream)?;
        if answer.header("connection") != Some("close") {
            self.stream = Some(stream);
        }
        Ok(answer)
    }
}

fn read_answer(stream: &mut impl BufRead) -> io::Result<Answer> {
    let line = read_line(stream)?;
    let status = line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status = status.ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream)?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut answer = Answer {
        status,
        headers,
        body: String::new(),
    };
    // Envoy, the service and the servlets all say it.
    let length = answer
        .header("content-length")
        .and_then(|length| length.parse().ok());
    let length = length.unwrap_or_else(|| panic!("an answer of unknown length: {answer:?}"));
    let mut body = Vec::new();
    stream.take(length).read_to_end(&mut body)?;
    answer.body = String::from_utf8_lossy(&body).into_owned();
    Ok(answer)
}

/// A line without its end; empty at the end of the connection.
fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line)?;
    let line = String::from_utf8_lossy(&line);
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
