//! An HTTP client in a few lines: one request a connection, over TCP or a unix socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::eventually::PATIENCE;

/// An answer, of HTTP or of SCGI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case, in the order sent.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// The first header of this name, given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// The answer to GET from a server on loopback.
///
/// # Errors
///
/// If there was no complete answer.
pub fn get(port: u16, target: &str) -> io::Result<Answer> {
    send(port, "GET", target, b"")
}

/// The answer of a server on loopback.
///
/// # Errors
///
/// If there was no complete answer.
pub fn send(port: u16, method: &str, target: &str, body: &[u8]) -> io::Result<Answer> {
    exchange(tcp(port)?, method, target, body)
}

/// The answer of a server on a unix socket.
///
/// # Errors
///
/// If there was no complete answer.
pub fn send_unix(path: &Path, method: &str, target: &str, body: &[u8]) -> io::Result<Answer> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    exchange(stream, method, target, body)
}

/// The answer of a server on loopback to `request`, a head and a body written out. Interim answers
/// are passed over.
///
/// # Errors
///
/// If there was no complete answer.
pub fn ask(port: u16, request: &[u8]) -> io::Result<Answer> {
    let mut stream = tcp(port)?;
    write_unless_answered(&mut stream, request)?;
    let method = if request.starts_with(b"HEAD ") { "HEAD" } else { "GET" };
    let mut reader = BufReader::new(stream);
    loop {
        let answer = read_answer(&mut reader, method)?;
        if answer.status >= 200 {
            return Ok(answer);
        }
    }
}

/// The next answer of a server that was asked by GET or POST, an interim one too.
///
/// # Errors
///
/// If there was no complete answer.
pub fn read(reader: &mut impl BufRead) -> io::Result<Answer> {
    read_answer(reader, "GET")
}

/// A connection to a server on loopback, to be written to and read from as it comes.
///
/// # Errors
///
/// If nobody listens.
pub fn tcp(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn exchange(
    mut stream: impl Read + Write,
    method: &str,
    target: &str,
    body: &[u8],
) -> io::Result<Answer> {
    let length = body.len();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    write_unless_answered(&mut stream, &bytes)?;
    read_answer(&mut BufReader::new(stream), method)
}

/// Who has heard enough answers and closes; what it said is there to be read.
fn write_unless_answered(stream: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    match stream.write_all(bytes) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

fn read_answer(reader: &mut impl BufRead, method: &str) -> io::Result<Answer> {
    let first = line(reader)?;
    let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no status in `{first}`")))?;
    let mut answer = Answer { status, headers: Vec::new(), body: Vec::new() };
    loop {
        let line = line(reader)?;
        let Some((name, value)) = line.split_once(':') else { break };
        answer.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if method == "HEAD" || matches!(status, 100..200 | 204 | 304) {
        return Ok(answer);
    }
    let announced = answer.header("content-length").and_then(|text| text.parse::<usize>().ok());
    match announced {
        _ if answer.header("transfer-encoding") == Some("chunked") => {
            read_chunks(reader, &mut answer.body)?;
        }
        Some(length) => {
            answer.body.resize(length, 0);
            reader.read_exact(&mut answer.body)?;
        }
        None => drop(reader.read_to_end(&mut answer.body)?),
    }
    Ok(answer)
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let size = line(reader)?;
        let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
        let start = body.len();
        body.resize(start + size, 0);
        reader.read_exact(&mut body[start..])?;
        line(reader)?;
        if size == 0 {
            return Ok(());
        }
    }
}

/// A line without its end. Nothing instead of a line is an error.
fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}
