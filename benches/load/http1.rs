//! Clients of Envoy: HTTP/1.1 on connections that are kept, one request at a time.

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    calls::{Answerer, Call},
    client::{Io, Target, dial},
    load::{Ask, Load},
};

/// Larger than any answer.
const LONGEST_ANSWER: usize = 64 * 1024;

/// A connection.
pub struct Connection {
    stream: Box<dyn Io>,
    buffer: BytesMut,
    answerer: Answerer,
}

impl Connection {
    pub async fn open(target: Target<'_>, load: Load) -> Vec<Self> {
        assert_eq!(load.streams, 1, "one request at a time");
        let mut connections = Vec::new();
        for _ in 0..load.connections {
            connections.push(Self {
                stream: dial(target.address).await,
                buffer: BytesMut::new(),
                answerer: target.answerer,
            });
        }
        connections
    }
}

impl Ask for Connection {
    async fn ask(&mut self, call: &Call) -> Result<(), String> {
        let text = |error: std::io::Error| error.to_string();
        self.stream.write_all(&call.bytes).await.map_err(text)?;
        let head = loop {
            if let Some(head) = Head::read(&self.buffer)? {
                break head;
            }
            let read = self.stream.read_buf(&mut self.buffer).await.map_err(text)?;
            if read == 0 || self.buffer.len() > LONGEST_ANSWER {
                return Err(format!("cut off after {:?}", self.buffer));
            }
        };
        if !call.judge_http(self.answerer, head.status, head.user) {
            return Err(format!("a wrong answer: {:?}", self.buffer));
        }
        let length = head.length;
        self.buffer.advance(length);
        Ok(())
    }
}

/// What matters of an answer that is there as a whole.
struct Head<'a> {
    status: &'a [u8],
    /// Whom the product would have seen.
    user: Option<&'a [u8]>,
    /// With the body.
    length: usize,
}

impl<'a> Head<'a> {
    fn read(bytes: &'a [u8]) -> Result<Option<Self>, String> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let mut lines = bytes[..end].split(|byte| *byte == b'\n');
        let status = lines.next().and_then(|line| line.get(9..12));
        let (mut user, mut body) = (None, 0);
        for line in lines.map(<[u8]>::trim_ascii) {
            if let Some(value) = line.strip_prefix(b"x-user: ") {
                user = Some(value);
            } else if let Some(value) = line.strip_prefix(b"content-length: ") {
                let length = std::str::from_utf8(value).map_err(|error| error.to_string())?;
                body = length
                    .parse()
                    .map_err(|_not_a_number| "a strange length".to_owned())?;
            }
        }
        let length = end + 4 + body;
        Ok((bytes.len() >= length).then_some(Self {
            status: status.ok_or("no status")?,
            user,
            length,
        }))
    }
}
