//! A TCP proxy whose connections a test can make hang, break, or end elsewhere.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
};

/// The proxy. Forwards bytes, half-closes included, until it is told otherwise.
pub struct Proxy {
    address: SocketAddr,
    shared: Shared,
}

#[derive(Clone)]
struct Shared(Arc<(Mutex<State>, Condvar)>);

struct State {
    backend: String,
    mode: Mode,
    accepted: usize,
    /// The open connections, in the order in which they were accepted. One that is not in here any
    /// more has ended, or is to end.
    open: BTreeMap<usize, Connection>,
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Forward,
    BlackHole,
    Refuse,
    Stopped,
}

struct Connection {
    client: TcpStream,
    /// `None` until it is connected.
    backend: Option<TcpStream>,
    black_holed: bool,
}

impl Proxy {
    /// A proxy to `host:port`.
    pub fn start(backend: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let state = State {
            backend: backend.to_owned(),
            mode: Mode::Forward,
            accepted: 0,
            open: BTreeMap::new(),
        };
        let shared = Shared(Arc::new((Mutex::new(state), Condvar::new())));
        let serving = shared.clone();
        thread::spawn(move || serving.serve(&listener));
        Self { address, shared }
    }

    /// `host:port`
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Keeps all connections open and accepts new ones, and carries nothing any more, neither bytes
    /// nor the end of a connection. Peers still see their bytes acknowledged, by this machine.
    pub fn black_hole(&self) {
        self.shared.change(|state| state.mode = Mode::BlackHole);
    }

    /// Does that to the connections that are open now, while new ones work: so looks a session that
    /// a firewall has forgotten.
    pub fn black_hole_open(&self) {
        self.shared.change(|state| {
            for connection in state.open.values_mut() {
                connection.black_holed = true;
            }
        });
    }

    /// Forwards again, to everybody. Connections that were black-holed continue where they were, as
    /// TCP does after an outage: nothing that was sent meanwhile is lost.
    pub fn heal(&self) {
        self.shared.change(|state| {
            state.mode = Mode::Forward;
            for connection in state.open.values_mut() {
                connection.black_holed = false;
            }
        });
    }

    /// Closes all connections, both ways; who still writes into one gets a reset.
    pub fn cut(&self) {
        self.shared.change(State::cut);
    }

    /// Closes new connections at once; open ones go on. [`Proxy::heal`] ends that.
    pub fn refuse(&self) {
        self.shared.change(|state| state.mode = Mode::Refuse);
    }

    /// Cuts all connections; new ones go to another backend.
    pub fn retarget(&self, backend: &str) {
        self.shared.change(|state| {
            backend.clone_into(&mut state.backend);
            state.cut();
        });
    }

    /// How many connections were accepted so far, those included that were closed at once.
    pub fn accepted(&self) -> usize {
        self.shared.state().accepted
    }

    /// How many connections are open now.
    pub fn open(&self) -> usize {
        self.shared.state().open.len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.change(|state| {
            state.mode = Mode::Stopped;
            state.cut();
        });
        // Wakes the accepting thread, which then closes the port.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn cut(&mut self) {
        for connection in std::mem::take(&mut self.open).into_values() {
            for stream in std::iter::once(&connection.client).chain(&connection.backend) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }

    /// Whether a connection is there, and nothing may pass through it.
    fn holds(&self, id: usize) -> bool {
        let black_holed = |connection: &Connection| connection.black_holed;
        let connection = self.open.get(&id);
        connection.is_some_and(|it| self.mode == Mode::BlackHole || black_holed(it))
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.0.1.notify_all();
    }

    fn serve(&self, listener: &TcpListener) {
        for client in listener.incoming().map_while(Result::ok) {
            let mut state = self.state();
            if state.mode == Mode::Stopped {
                return;
            }
            let id = state.accepted;
            state.accepted += 1;
            if state.mode == Mode::Refuse {
                continue;
            }
            let connection = Connection {
                client: client.try_clone().expect("a clone"),
                backend: None,
                black_holed: false,
            };
            state.open.insert(id, connection);
            drop(state);
            let shared = self.clone();
            thread::spawn(move || shared.serve_connection(id, client));
        }
    }

    /// Carries a connection until both sides have ended it.
    fn serve_connection(&self, id: usize, client: TcpStream) {
        if let Some(backend) = self.connect(id) {
            for stream in [&client, &backend] {
                stream.set_nodelay(true).expect("set");
            }
            let back = (
                backend.try_clone().expect("a clone"),
                client.try_clone().expect("a clone"),
            );
            let shared = self.clone();
            let answers = thread::spawn(move || shared.carry(id, back.0, back.1));
            self.carry(id, client, backend);
            let _ = answers.join();
        }
        self.state().open.remove(&id);
    }

    /// Connects to the backend, once that is allowed.
    fn connect(&self, id: usize) -> Option<TcpStream> {
        let address = self.wait_while_held(id)?.backend.clone();
        let backend = TcpStream::connect(address).ok()?;
        let clone = backend.try_clone().expect("a clone");
        // It may have been cut meanwhile.
        self.state().open.get_mut(&id)?.backend = Some(clone);
        Some(backend)
    }

    /// Carries one direction until its end, and passes that on too.
    fn carry(&self, id: usize, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = [0; 16 * 1024];
        loop {
            let read = from.read(&mut buffer);
            if self.wait_while_held(id).is_none() {
                return;
            }
            match read {
                Ok(0) => {
                    let _ = to.shutdown(Shutdown::Write);
                    return;
                }
                Ok(read) if to.write_all(&buffer[..read]).is_ok() => {}
                _ => {
                    let _ = from.shutdown(Shutdown::Both);
                    let _ = to.shutdown(Shutdown::Both);
                    return;
                }
            }
        }
    }

    /// `None` when the connection was cut.
    fn wait_while_held(&self, id: usize) -> Option<MutexGuard<'_, State>> {
        let state = self.state();
        let state = self.0.1.wait_while(state, |state| state.holds(id)).unwrap();
        state.open.contains_key(&id).then_some(state)
    }
}
