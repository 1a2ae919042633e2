//! The proxy: what passes, what hangs, what breaks, and what a test can count.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use crate::support::{eventually, proxy::Proxy};

/// A server that greets with its name and then says everything back; returns its address.
fn echo(name: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                stream.write_all(name)?;
                std::io::copy(&mut stream.try_clone()?, &mut stream)?;
                stream.shutdown(Shutdown::Write)
            });
        }
    });
    address
}

struct Client(TcpStream);

impl Client {
    fn of(proxy: &Proxy) -> Self {
        let stream = TcpStream::connect(proxy.address()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_mins(1)))
            .unwrap();
        Self(stream)
    }

    /// One that a server has greeted.
    fn greeted(proxy: &Proxy, name: &str) -> Self {
        let mut client = Self::of(proxy);
        client.gets(name);
        client
    }

    fn says(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    fn gets(&mut self, text: &str) {
        let mut received = vec![0; text.len()];
        self.0.read_exact(&mut received).unwrap();
        assert_eq!(received, text.as_bytes());
    }

    fn echoes(&mut self, text: &str) {
        self.says(text);
        self.gets(text);
    }

    /// Whether nothing comes for a while, and not the end either.
    fn hangs(&mut self) -> bool {
        let limit = |limit| self.0.set_read_timeout(Some(limit)).unwrap();
        limit(Duration::from_millis(200));
        let read = self.0.peek(&mut [0]);
        limit(Duration::from_mins(1));
        read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    fn is_closed(&mut self) -> bool {
        // A reset is an end too.
        self.0.read(&mut [0]).map_or(true, |read| read == 0)
    }
}

#[test]
fn a_proxy_carries_bytes_and_ends_and_counts_connections() {
    let proxy = Proxy::start(&echo(b"A"));
    assert_eq!((proxy.accepted(), proxy.open()), (0, 0));
    let mut first = Client::greeted(&proxy, "A");
    let mut second = Client::greeted(&proxy, "A");
    let long = "many bytes ".repeat(100_000);
    let mut writer = Client(first.0.try_clone().unwrap());
    thread::scope(|scope| {
        scope.spawn(|| writer.says(&long));
        first.gets(&long);
    });
    second.says("last words");
    second.0.shutdown(Shutdown::Write).unwrap();
    second.gets("last words");
    assert!(second.is_closed());
    eventually("the end of one", || (proxy.open() == 1).then_some(()));
    assert_eq!(proxy.accepted(), 2);
    first.echoes("still here");
}

#[test]
fn a_black_holed_connection_stays_open_and_carries_nothing() {
    let proxy = Proxy::start(&echo(b"A"));
    let mut old = Client::greeted(&proxy, "A");
    proxy.black_hole();
    let mut new = Client::of(&proxy);
    old.says("lost?");
    assert!(old.hangs() && new.hangs());
    assert_eq!((proxy.accepted(), proxy.open()), (2, 2));
}

#[test]
fn a_healed_connection_continues_where_it_was() {
    let proxy = Proxy::start(&echo(b"A"));
    let mut old = Client::greeted(&proxy, "A");
    proxy.black_hole();
    let mut new = Client::of(&proxy);
    old.says("late");
    assert!(old.hangs() && new.hangs());
    proxy.heal();
    old.gets("late");
    new.gets("A");
}

#[test]
fn a_black_hole_of_the_open_connections_leaves_new_ones_alone() {
    let proxy = Proxy::start(&echo(b"A"));
    let mut old = Client::greeted(&proxy, "A");
    proxy.black_hole_open();
    old.says("late");
    let mut new = Client::greeted(&proxy, "A");
    new.echoes("works");
    assert!(old.hangs());
    proxy.heal();
    old.gets("late");
}

#[test]
fn a_cut_ends_every_connection_even_a_black_holed_one() {
    let proxy = Proxy::start(&echo(b"A"));
    let mut old = Client::greeted(&proxy, "A");
    proxy.black_hole();
    let mut waiting = Client::of(&proxy);
    eventually("both", || (proxy.open() == 2).then_some(()));
    proxy.cut();
    assert!(old.is_closed() && waiting.is_closed());
    assert_eq!(proxy.open(), 0);
    proxy.heal();
    Client::greeted(&proxy, "A").echoes("new ones work");
}

#[test]
fn a_refusing_proxy_closes_new_connections_only() {
    let proxy = Proxy::start(&echo(b"A"));
    let mut old = Client::greeted(&proxy, "A");
    proxy.refuse();
    assert!(Client::of(&proxy).is_closed());
    old.echoes("goes on");
    assert_eq!(proxy.accepted(), 2);
    proxy.heal();
    Client::greeted(&proxy, "A").echoes("works again");
}

#[test]
fn a_retargeted_proxy_cuts_and_leads_to_the_new_backend() {
    let proxy = Proxy::start(&echo(b"A"));
    let mut old = Client::greeted(&proxy, "A");
    proxy.retarget(&echo(b"B"));
    assert!(old.is_closed());
    Client::greeted(&proxy, "B").echoes("works");
}

#[test]
fn a_dropped_proxy_closes_its_connections_and_its_port() {
    let proxy = Proxy::start(&echo(b"A"));
    let mut old = Client::greeted(&proxy, "A");
    proxy.black_hole();
    let address = proxy.address();
    drop(proxy);
    assert!(old.is_closed());
    eventually("the end of the port", || {
        TcpStream::connect(&address).is_err().then_some(())
    });
}
