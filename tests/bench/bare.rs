//! `scgi-bare`: the least a worker can do, the yardstick of the benchmark.
//!
//! ```text
//! accept4 ─▶ recv ─▶ send ─▶ close ─▶ accept4
//! ```
//!
//! It accepts on file descriptor 0, does one job for ever and nothing else: no routes, no limits,
//! no time-outs, no way to stop but a signal. Of the request it reads the netstring's length and
//! `CONTENT_LENGTH`. It is no example of how to write a worker.

use std::io;
use std::os::fd::RawFd;

use clap::Parser;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, SockFlag, accept4, recv, send};
use nix::unistd::close;
use scgi_tests::bench::job::{ECHO_BYTES, Job};

const LISTENER: RawFd = 0;
const BUFFER_BYTES: usize = 128 * 1024;

/// Serve one job on the listening socket that is file descriptor 0.
#[derive(Debug, Parser)]
struct Options {
    /// The one job to do.
    job: Job,
}

fn main() -> io::Result<()> {
    let mut server = Server::new(Options::parse().job);
    loop {
        match accept4(LISTENER, SockFlag::SOCK_CLOEXEC) {
            Ok(connection) => server.serve(connection),
            Err(Errno::EINTR | Errno::ECONNABORTED) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

struct Server {
    buffer: Vec<u8>,
    /// The whole reply, or for an echo its head.
    reply: Vec<u8>,
    is_echo: bool,
}

impl Server {
    fn new(job: Job) -> Self {
        let (length, body) = match job {
            Job::Hello | Job::Big => (job.reply_body().len(), job.reply_body()),
            Job::Echo => (ECHO_BYTES, &[][..]),
        };
        let mut reply = format!("Status: 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        reply.extend_from_slice(body);
        Self { buffer: vec![0; BUFFER_BYTES], reply, is_echo: job == Job::Echo }
    }

    /// A client that goes away is its own affair.
    fn serve(&mut self, connection: RawFd) {
        let _ = self.answer(connection);
        let _ = close(connection);
    }

    fn answer(&mut self, connection: RawFd) -> Result<(), Errno> {
        let Request { body_at, end } = self.receive(connection)?;
        if !self.is_echo {
            return send_all(connection, &self.reply);
        }
        // The head of the reply goes over the end of the request's, so that both lie in one piece.
        let start = body_at.saturating_sub(self.reply.len());
        self.buffer[start..body_at].copy_from_slice(&self.reply);
        send_all(connection, &self.buffer[start..end])
    }

    fn receive(&mut self, connection: RawFd) -> Result<Request, Errno> {
        let mut filled = 0;
        loop {
            match recv(connection, &mut self.buffer[filled..], MsgFlags::empty())? {
                0 => return Err(Errno::ECONNRESET),
                more => filled += more,
            }
            if let Some(request) = parse(&self.buffer[..filled])
                && filled >= request.end
            {
                return Ok(request);
            }
        }
    }
}

/// Where in the buffer the body begins and ends.
struct Request {
    body_at: usize,
    end: usize,
}

fn parse(input: &[u8]) -> Option<Request> {
    let colon = input.iter().position(|&byte| byte == b':')?;
    let block: usize = number(&input[..colon]);
    let value = input[colon + 1..].strip_prefix(b"CONTENT_LENGTH\0")?;
    let length = number(&value[..value.iter().position(|&byte| byte == 0)?]);
    let body_at = colon + 1 + block + 1;
    Some(Request { body_at, end: body_at + length })
}

fn number(digits: &[u8]) -> usize {
    digits.iter().fold(0, |number, digit| number * 10 + usize::from(digit.wrapping_sub(b'0')))
}

fn send_all(connection: RawFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let sent = send(connection, bytes, MsgFlags::MSG_NOSIGNAL)?;
        bytes = &bytes[sent..];
    }
    Ok(())
}
