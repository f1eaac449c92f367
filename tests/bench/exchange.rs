//! One request as bytes, and one blocking exchange with a server.
//!
//! For questions asked once. The load generator has a loop of its own.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use scgi_protocol::address::Address;

use super::job::Job;

/// A server that says nothing for this long has lost the request.
const PATIENCE: Duration = Duration::from_secs(10);

/// The bytes with which a client asks for `job`.
#[must_use]
pub fn request(job: Job) -> Vec<u8> {
    let body = job.request_body();
    let method = if body.is_empty() { "GET" } else { "POST" };
    let mut bytes = head(method, job.path(), body.len());
    bytes.extend_from_slice(body);
    bytes
}

/// The bytes of a GET of `path`.
#[must_use]
pub fn get(path: &str) -> Vec<u8> {
    head("GET", path, 0)
}

/// A head as nginx sends it for a browser's request, in a netstring.
fn head(method: &str, path: &str, body_bytes: usize) -> Vec<u8> {
    let length = body_bytes.to_string();
    let variables = [
        ("CONTENT_LENGTH", length.as_str()),
        ("SCGI", "1"),
        ("REQUEST_METHOD", method),
        ("REQUEST_URI", path),
        ("QUERY_STRING", ""),
        ("CONTENT_TYPE", ""),
        ("DOCUMENT_URI", path),
        ("DOCUMENT_ROOT", "/var/www/html"),
        ("SCRIPT_NAME", ""),
        ("PATH_INFO", path),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("REQUEST_SCHEME", "http"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("REMOTE_PORT", "53422"),
        ("SERVER_PORT", "80"),
        ("SERVER_NAME", "localhost"),
        ("HTTP_HOST", "localhost"),
        ("HTTP_USER_AGENT", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101"),
        ("HTTP_ACCEPT", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("HTTP_ACCEPT_LANGUAGE", "en-US,en;q=0.5"),
        ("HTTP_ACCEPT_ENCODING", "gzip, deflate, br, zstd"),
        ("HTTP_COOKIE", "session=5f0c1a9be2d74a30"),
    ];
    let mut block = Vec::new();
    for (name, value) in variables {
        block.extend_from_slice(name.as_bytes());
        block.push(0);
        block.extend_from_slice(value.as_bytes());
        block.push(0);
    }
    let mut netstring = format!("{}:", block.len()).into_bytes();
    netstring.append(&mut block);
    netstring.push(b',');
    netstring
}

/// Sends `request` on a connection of its own and reads until the server closes it.
///
/// # Errors
///
/// Whatever connecting, sending or receiving met.
pub fn ask(address: &Address, request: &[u8]) -> io::Result<Vec<u8>> {
    match address {
        Address::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            talk(stream, request)
        }
        Address::Tcp(address) => {
            let stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            talk(stream, request)
        }
    }
}

fn talk(mut stream: impl Read + Write, request: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(request)?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    Ok(reply)
}

/// The body of a reply with status 200; `None` if it is anything else.
#[must_use]
pub fn ok_body(reply: &[u8]) -> Option<&[u8]> {
    let end = reply.windows(4).position(|four| four == b"\r\n\r\n")?;
    reply.starts_with(b"Status: 200").then(|| &reply[end + 4..])
}
