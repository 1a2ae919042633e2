//! Lines on their way from the threads that have something to say to the one that writes.
//!
//! A thread that answers checks must not wait for whoever reads the log, nor wake another thread for every line. So
//! lines are gathered for a moment and written together.

use std::{
    fmt,
    io::{self, Write},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use tracing::warn;
use tracing_subscriber::fmt::MakeWriter;

/// What may wait for the writer. When it is stuck, further lines are dropped: no check waits for a log.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// What is kept for the next lines, once it has been needed.
const KEPT_BYTES: usize = 256 * 1024;
/// As many are written without waiting for others: they are in the processor's own memory yet.
const ENOUGH_BYTES: usize = 128 * 1024;
/// How long the first of some lines waits for the others. A person does not see it; each writing wakes a thread.
const GATHERED_FOR: Duration = Duration::from_millis(20);

/// Takes lines. Cheap to clone.
#[derive(Clone)]
pub(super) struct Lines(Arc<Shared>);

/// The writing thread. What has been taken is written when this is dropped.
#[derive(Debug)]
pub(super) struct Writer {
    lines: Lines,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    dropped: u64,
    ended: bool,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lines")
    }
}

impl Lines {
    /// Starts to write.
    pub(super) fn to(sink: impl Write + Send + 'static) -> io::Result<(Self, Writer)> {
        let lines = Self(Arc::new(Shared {
            waiting: Mutex::default(),
            changed: Condvar::new(),
        }));
        let from = lines.clone();
        let thread = thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || from.write_to(sink))?;
        let writer = Writer {
            lines: lines.clone(),
            thread: Some(thread),
        };
        Ok((lines, writer))
    }

    /// Takes whole lines, with their ends.
    pub(super) fn push(&self, lines: &[u8]) {
        let mut waiting = self.waiting();
        if waiting.bytes.len() + lines.len() > MOST_BYTES {
            waiting.dropped += 1;
            return;
        }
        waiting.bytes.extend_from_slice(lines);
        let now = waiting.bytes.len();
        let before = now - lines.len();
        drop(waiting);
        if before == 0 || before < ENOUGH_BYTES && now >= ENOUGH_BYTES {
            self.0.changed.notify_one();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, mut sink: impl Write) {
        let mut written = Vec::new();
        while let Some(dropped) = self.take(&mut written) {
            // Nobody is left who could be told that the log cannot be written.
            drop(sink.write_all(&written).and_then(|()| sink.flush()));
            written.clear();
            written.shrink_to(KEPT_BYTES);
            if dropped > 0 {
                warn!(dropped, "log lines were dropped: they are not read in time");
            }
        }
    }

    /// Exchanges what waits for an empty buffer, and says how many lines did not fit. `None`: it is over.
    fn take(&self, empty: &mut Vec<u8>) -> Option<u64> {
        let none_yet = |waiting: &mut Waiting| waiting.bytes.is_empty() && !waiting.ended;
        let too_few = |waiting: &mut Waiting| waiting.bytes.len() < ENOUGH_BYTES && !waiting.ended;
        let changed = &self.0.changed;
        let waiting = changed.wait_while(self.waiting(), none_yet);
        let waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        let waiting = changed.wait_timeout_while(waiting, GATHERED_FOR, too_few);
        let (mut waiting, _) = waiting.unwrap_or_else(PoisonError::into_inner);
        if waiting.bytes.is_empty() {
            return None;
        }
        mem::swap(&mut waiting.bytes, empty);
        Some(mem::take(&mut waiting.dropped))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.lines.waiting().ended = true;
        self.lines.0.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // It has said all it had to say.
            drop(thread.join());
        }
    }
}

/// Lines that `tracing` has made.
impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Hands over what is written, when it is let.
    struct Reader {
        asks: mpsc::Sender<()>,
        may: mpsc::Receiver<()>,
        read: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _heard_or_not = self.asks.send(());
            // A test that has ended lets everything through.
            let _may_or_has_ended = self.may.recv();
            drop(self.read.send(bytes.to_vec()));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The other ends of what a [`Reader`] has.
    struct Reading {
        asked: mpsc::Receiver<()>,
        let_it: mpsc::Sender<()>,
        written: mpsc::Receiver<Vec<u8>>,
    }

    fn reader() -> (Reader, Reading) {
        let (asks, asked) = mpsc::channel();
        let (let_it, may) = mpsc::channel();
        let (read, written) = mpsc::channel();
        let reading = Reading {
            asked,
            let_it,
            written,
        };
        (Reader { asks, may, read }, reading)
    }

    #[test]
    fn lines_arrive_in_order_and_all_of_them_before_the_end() {
        let (reader, reading) = reader();
        let (lines, writer) = Lines::to(reader).expect("a thread");
        drop(reading.let_it);

        for number in 0..10_000 {
            lines.push(format!("{number}\n").as_bytes());
        }
        drop(writer);

        let read: Vec<u8> = reading.written.into_iter().flatten().collect();
        let read = String::from_utf8(read).expect("text");
        let numbers = read
            .lines()
            .map(|line| line.parse::<i32>().expect("a number"));
        assert!(numbers.eq(0..10_000));
    }

    #[test]
    fn a_stuck_reader_costs_lines_and_neither_memory_nor_time() {
        let (reader, reading) = reader();
        let (lines, writer) = Lines::to(reader).expect("a thread");
        let line = [b'x'; 1024];

        lines.push(&line);
        reading.asked.recv().expect("it is being written");
        for _ in 0..2 * MOST_BYTES / line.len() {
            lines.push(&line);
        }

        let waiting = lines.waiting().bytes.len();
        let dropped = lines.waiting().dropped;
        // Let go before anything is asserted: who waits for the writer would wait for ever.
        drop(reading.let_it);
        drop(writer);
        let read: usize = reading.written.into_iter().map(|bytes| bytes.len()).sum();
        assert_eq!(waiting, MOST_BYTES, "as much as may wait");
        assert_eq!(usize::try_from(dropped), Ok(MOST_BYTES / line.len()));
        assert_eq!(read, line.len() + MOST_BYTES, "whole lines");
    }
}
