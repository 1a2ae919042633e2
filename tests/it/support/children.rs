//! Child processes whose output is kept, and which are gone when the test is.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

/// A running program.
pub struct Running {
    child: Child,
    output: Arc<Mutex<String>>,
}

impl Running {
    /// Starts a program; its standard output and error are collected. Its standard input stays
    /// open, so that programs which end with their parent can notice.
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("cannot start {command:?}: {error}; run scripts/setup.py")
            });
        let output = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().expect("piped"), Arc::clone(&output));
        collect(child.stderr.take().expect("piped"), Arc::clone(&output));
        Self { child, output }
    }

    /// Everything written so far.
    pub fn output(&self) -> String {
        self.output.lock().expect("not poisoned").clone()
    }

    /// Everything written so far, which is then forgotten: for programs that write for hours.
    pub fn take_output(&self) -> String {
        std::mem::take(&mut self.output.lock().expect("not poisoned"))
    }

    /// Waits for a line that `find` accepts.
    pub fn wait_for<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        super::eventually(what, || {
            let found = self.output().lines().find_map(&find);
            if found.is_none()
                && let Some(status) = self.exited()
            {
                panic!("ended with {status} before '{what}':\n{}", self.output());
            }
            found
        })
    }

    /// Sends a signal to this process and no other.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.id().to_string())
            .status();
        assert!(status.expect("kill exists").success(), "kill -{name}");
    }

    /// Ends its standard input: all that a program sees of it when the test process is killed.
    pub fn close_input(&mut self) {
        drop(self.child.stdin.take());
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The exit code, once there is one.
    pub fn exited(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().expect("own child")
    }

    /// Waits for the end of the program.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        super::eventually("the end of a process", || self.exited())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!(
                "--- output of process {} ---\n{}",
                self.child.id(),
                tail(&self.output())
            );
        }
    }
}

fn tail(output: &str) -> String {
    let lines: Vec<_> = output.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

fn collect(stream: impl Read + Send + 'static, output: Arc<Mutex<String>>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            let mut output = output.lock().expect("not poisoned");
            output.push_str(&line);
            output.push('\n');
        }
    });
}
