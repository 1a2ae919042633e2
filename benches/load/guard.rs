//! Between the benchmark and the service: starts it, and ends it when the benchmark is gone, however
//! that happened. The service itself does not watch anybody.

use std::{
    io::{self, Read},
    process::{Child, Command, ExitCode, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use super::process::unix_nanos;

/// How often it looks whether the service has ended by itself.
const LOOK: Duration = Duration::from_millis(50);

/// Runs a command until standard input ends. Prints its process id and the moment of its start.
pub fn run(command: &[String]) -> ExitCode {
    let (program, arguments) = command.split_first().expect("a program");
    let started = unix_nanos();
    let mut child = spawn(
        Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .args(command),
    )
    .or_else(|_no_setpriv| spawn(Command::new(program).args(arguments)))
    .unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
    println!("{} {started}", child.id());
    let (gone, parent_gone) = mpsc::channel::<()>();
    thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        drop(gone);
    });
    let timeout = Err(mpsc::RecvTimeoutError::Timeout);
    while parent_gone.recv_timeout(LOOK) == timeout && matches!(child.try_wait(), Ok(None)) {}
    let _ = child.kill();
    let _ = child.wait();
    ExitCode::SUCCESS
}

/// With util-linux's `setpriv`, which becomes the program, the kernel ends it even when this process
/// is killed together with the benchmark.
fn spawn(command: &mut Command) -> io::Result<Child> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()
}
