//! HTTP/2 frame by frame, for what no client library shows or does: the order of GOAWAY and close,
//! a reset in the middle of a call, a deadline that only the server knows.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use atlassian_authz::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use prost::Message;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// One connection.
pub struct Connection {
    stream: TcpStream,
    last_stream: u32,
    /// What has come of each answer.
    messages: HashMap<u32, Vec<u8>>,
    /// The last call that the server has taken, once it has asked us to go.
    pub goaway: Option<u32>,
}

/// What the server sent. Settings and pings are answered and not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    Data {
        stream: u32,
        bytes: Vec<u8>,
        ends: bool,
    },
    Headers {
        stream: u32,
        ends: bool,
    },
    Reset {
        stream: u32,
    },
    GoAway {
        last_stream: u32,
        code: u32,
    },
}

/// How a call ended.
#[derive(Debug)]
pub enum Ended {
    Message(Box<CheckResponse>),
    /// Headers or trailers and no message: a gRPC error.
    NoMessage,
    Reset,
    Closed,
}

impl Connection {
    pub fn open(address: &str) -> Self {
        let mut stream = TcpStream::connect(address).expect("connects");
        stream.set_nodelay(true).expect("set");
        let patience = Some(Duration::from_mins(1));
        stream.set_read_timeout(patience).expect("set");
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .expect("written");
        let mut connection = Self {
            stream,
            last_stream: 0,
            messages: HashMap::new(),
            goaway: None,
        };
        connection.send(SETTINGS, 0, 0, &[]);
        // All the answers of a test fit: nobody waits for a window that we never enlarge.
        connection.send(WINDOW_UPDATE, 0, 0, &0x3fff_ffff_u32.to_be_bytes());
        connection
    }

    /// The headers of a check; further lines follow the usual ones.
    pub fn begin_check(&mut self, lines: &[(&str, &[u8])]) -> u32 {
        let stream = match self.last_stream {
            0 => 1,
            last => last + 2,
        };
        self.last_stream = stream;
        let usual: [(&str, &[u8]); 6] = [
            (":method", b"POST"),
            (":scheme", b"http"),
            (":path", super::CHECK.as_bytes()),
            (":authority", b"authz"),
            ("content-type", b"application/grpc"),
            ("te", b"trailers"),
        ];
        let mut block = Vec::new();
        for (name, value) in usual.iter().chain(lines) {
            // Literal, never indexed, not compressed (RFC 7541 §6.2.3).
            block.push(0x10);
            string(name.as_bytes(), &mut block);
            string(value, &mut block);
        }
        self.send(HEADERS, END_HEADERS, stream, &block);
        stream
    }

    pub fn data(&mut self, stream: u32, bytes: &[u8], ends: bool) {
        self.send(DATA, if ends { END_STREAM } else { 0 }, stream, bytes);
    }

    /// A whole check.
    pub fn check(&mut self, check: &CheckRequest, lines: &[(&str, &[u8])]) -> u32 {
        let stream = self.begin_check(lines);
        self.data(stream, &super::framed(&check.encode_to_vec()), true);
        stream
    }

    /// Gives a call up, as Envoy does when its own client has gone.
    pub fn reset(&mut self, stream: u32) {
        const CANCEL: u32 = 8;
        self.send(RESET, 0, stream, &CANCEL.to_be_bytes());
    }

    /// The next frame; `None` when the server has closed.
    pub fn next(&mut self) -> Option<Frame> {
        loop {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let (kind, flags) = (head[3], head[4]);
            let stream = number(&head[5..]);
            let mut payload = vec![0; length as usize];
            self.stream.read_exact(&mut payload).ok()?;
            let ends = flags & END_STREAM != 0;
            match kind {
                DATA => {
                    return Some(Frame::Data {
                        stream,
                        bytes: payload,
                        ends,
                    });
                }
                HEADERS => return Some(Frame::Headers { stream, ends }),
                RESET => return Some(Frame::Reset { stream }),
                GOAWAY => {
                    let (last_stream, code) = (number(&payload), number(&payload[4..]));
                    self.goaway = Some(last_stream);
                    return Some(Frame::GoAway { last_stream, code });
                }
                SETTINGS if flags & ACK == 0 => self.send(SETTINGS, ACK, 0, &[]),
                PING if flags & ACK == 0 => self.send(PING, ACK, 0, &payload),
                _ => {}
            }
        }
    }

    /// Reads until this call has ended.
    pub fn end_of(&mut self, call: u32) -> Ended {
        self.end_of_any(&[call])
    }

    /// Reads until one of these calls has ended. Frames of other calls are dropped.
    pub fn end_of_any(&mut self, calls: &[u32]) -> Ended {
        loop {
            let Some(frame) = self.next() else {
                return Ended::Closed;
            };
            let (call, ends) = match frame {
                Frame::Data {
                    stream,
                    bytes,
                    ends,
                } => {
                    self.messages.entry(stream).or_default().extend(bytes);
                    (stream, ends)
                }
                Frame::Headers { stream, ends } => (stream, ends),
                Frame::Reset { stream } if calls.contains(&stream) => return Ended::Reset,
                Frame::Reset { .. } | Frame::GoAway { .. } => continue,
            };
            if ends && calls.contains(&call) {
                let message = self.messages.remove(&call);
                return message.map_or(Ended::NoMessage, |message| {
                    Ended::Message(Box::new(super::unframed(&message)))
                });
            }
        }
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        // A server that has closed is noticed by reading.
        let _ = self.stream.write_all(&frame);
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) & 0x7fff_ffff
}

/// RFC 7541 §5.2, without Huffman coding.
fn string(text: &[u8], to: &mut Vec<u8>) {
    let mut rest = text.len();
    if rest < 127 {
        to.push(rest as u8);
    } else {
        to.push(127);
        rest -= 127;
        while rest >= 128 {
            to.push((rest % 128 + 128) as u8);
            rest /= 128;
        }
        to.push(rest as u8);
    }
    to.extend(text);
}
