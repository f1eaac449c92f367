//! The examples, started by hand and by other managers than scgid, do what they say.
//!
//! Cargo builds them before this runs, whenever it builds the tests of the whole package.

#![expect(clippy::unwrap_used, reason = "what helps a test may panic as the test may")]

mod client;

use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use scgi_worker::Address;

use client::{Connection, ask, head, until};

/// A running example, killed when dropped.
struct Example {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl Example {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr }
    }

    /// Starts an example that listens for itself; returns where.
    fn listening(name: &str, address: &str) -> (Self, Address) {
        let mut example = Self::start(program(name).args(["--listen", address]));
        let mut line = String::new();
        example.stderr.read_line(&mut line).unwrap();
        let told = line
            .strip_prefix("scgi-worker: listening on ")
            .and_then(|rest| rest.strip_suffix("; end with Ctrl-C\n"));
        let address = told.unwrap_or_else(|| panic!("said instead: {line}")).parse().unwrap();
        (example, address)
    }

    /// Sends a signal; returns the exit status, and what was said on standard error.
    fn end(mut self, signal: Signal) -> (Option<i32>, String) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
        let status = until("the example ends", || self.child.try_wait().unwrap());
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        (status.code(), said)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(name: &str) -> Command {
    Command::new(path(name))
}

fn path(name: &str) -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let path = here.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(path.exists(), "build the examples: `cargo test -p scgi-worker`");
    path
}

#[test]
fn hello_started_by_hand_serves_and_leaves_on_ctrl_c() {
    let (example, address) = Example::listening("hello", "127.0.0.1:0");

    assert!(ask(&address, "GET", "/", b"").unwrap().ends_with("\r\n\r\nhello\n"));
    assert!(ask(&address, "GET", "/greet/ada", b"").unwrap().ends_with("\r\n\r\nhello ada\n"));

    assert_eq!(example.end(Signal::SIGINT), (Some(0), String::new()));
}

#[test]
fn a_socket_file_is_there_while_the_program_runs_and_is_not_taken_from_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("hello.sock");
    drop(UnixListener::bind(&file).unwrap()); // left behind by a dead process
    let address = format!("unix:{}", file.display());

    let (first, seen) = Example::listening("hello", &address);
    let second = program("hello").args(["--listen", &address]).output().unwrap();
    assert!(ask(&seen, "GET", "/", b"").unwrap().ends_with("hello\n"));
    let ended = first.end(Signal::SIGTERM);

    let Output { status, stderr, .. } = second;
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(stderr.contains("belongs to a running process; stop it or choose"), "{stderr}");
    assert_eq!(ended.0, Some(0));
    assert!(!file.exists());
}

#[test]
fn a_listening_socket_on_standard_input_is_served() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("app.sock");
    let socket = UnixListener::bind(&file).unwrap();

    let example =
        Example::start(program("hello").stdin(Stdio::from(std::os::fd::OwnedFd::from(socket))));

    assert!(ask(&Address::Unix(file), "GET", "/", b"").unwrap().ends_with("hello\n"));
    assert_eq!(example.end(Signal::SIGTERM), (Some(0), String::new()));
}

#[test]
fn sockets_handed_over_as_systemd_does_are_served() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("app.sock");
    let socket = UnixListener::bind(&file).unwrap();
    let launch = "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\"";

    let example = Example::start(
        Command::new("sh")
            .args(["-c", launch])
            .arg(path("hello"))
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(socket))),
    );

    assert!(ask(&Address::Unix(file), "GET", "/", b"").unwrap().ends_with("hello\n"));
    assert_eq!(example.end(Signal::SIGTERM), (Some(0), String::new()));
}

#[test]
fn an_upload_of_any_size_is_taken() {
    let (_example, address) = Example::listening("upload", "127.0.0.1:0");

    let large = ask(&address, "POST", "/upload", &vec![7; 5 << 20]).unwrap();
    let known = ask(&address, "POST", "/upload", b"Wikipedia").unwrap();

    assert!(large.contains("\r\n\r\n5242880 bytes, "), "{large}");
    assert!(known.ends_with("9 bytes, Adler-32 11e60398\n"), "{known}");
}

#[test]
fn a_stream_arrives_while_it_is_being_made() {
    let (_example, address) = Example::listening("streaming", "127.0.0.1:0");
    let mut endless = Connection::to(&address).unwrap();
    endless.say(&head("GET", "/primes?below=4000000000", 0)).unwrap();

    let mut seen = String::new();
    while !seen.ends_with("\n7\n") && seen.len() < 100_000 {
        seen.push_str(&String::from_utf8(endless.hear_some(1).unwrap()).unwrap());
    }

    assert!(seen.ends_with("\r\n\r\n2\n3\n5\n7\n"), "{seen}");
    assert!(seen.contains("X-Accel-Buffering: no\r\n") && !seen.contains("Content-Length"));
}

#[test]
fn what_is_sent_comes_back_in_capitals() {
    let (_example, address) = Example::listening("streaming", "127.0.0.1:0");

    let seen = ask(&address, "POST", "/upper", &[b'a'; 200_000]).unwrap();

    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Content-Type: text/plain"), "{head}");
    assert!(body.len() == 200_000 && body.bytes().all(|byte| byte == b'A'));
}

#[test]
fn entries_of_the_guest_book_are_kept_in_order() {
    let (_example, address) = Example::listening("state", "127.0.0.1:0");

    let written = ask(&address, "POST", "/book", b"first").unwrap();
    ask(&address, "POST", "/book", b"second").unwrap();
    let long = ask(&address, "POST", "/book", &[b'x'; 1001]).unwrap();

    assert!(written.starts_with("Status: 303 See Other\r\n"), "{written}");
    assert!(written.contains("\r\nLocation: /book\r\n"), "{written}");
    assert!(long.starts_with("Status: 413 "), "{long}");
    let read = ask(&address, "GET", "/book", b"").unwrap();
    assert!(read.ends_with("\r\n\r\n1. first\n2. second\n"), "{read}");
}

#[cfg(feature = "async")]
#[test]
fn a_router_serves_many_at_once_and_leaves_when_the_last_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("unix:{}", folder.path().join("app.sock").display());
    let (example, address) = Example::listening("axum", &address);

    assert!(ask(&address, "POST", "/length", &[7; 100_000]).unwrap().ends_with("\r\n\r\n100000\n"));
    let mut slow: Vec<_> = (0..20).map(|_| Connection::to(&address).unwrap()).collect();
    for connection in &mut slow {
        connection.say(&head("GET", "/slow/300", 0)).unwrap();
    }
    assert!(ask(&address, "GET", "/greet/ada", b"").unwrap().ends_with("\r\n\r\nhello ada\n"));

    let (status, said) = example.end(Signal::SIGTERM);

    assert_eq!((status, said), (Some(0), String::new()));
    for mut connection in slow {
        let heard = String::from_utf8(connection.hear().unwrap()).unwrap();
        assert!(heard.ends_with("\r\n\r\nat last\n"), "{heard}");
    }
}
