//! A front end for tests: says one request over a real socket and hears the response.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use scgi_worker::Address;

/// Longer than anything takes that works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to a worker.
pub(crate) enum Connection {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Connection {
    pub(crate) fn to(address: &Address) -> io::Result<Self> {
        match address {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(Self::Unix(stream))
            }
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(Self::Tcp(stream))
            }
        }
    }

    pub(crate) fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.write_all(bytes),
            Self::Tcp(stream) => stream.write_all(bytes),
        }
    }

    /// Everything up to the close. A reset after the first byte ends it too, as for front ends.
    pub(crate) fn hear(&mut self) -> io::Result<Vec<u8>> {
        let mut heard = Vec::new();
        match self {
            Self::Unix(stream) => stream.read_to_end(&mut heard)?,
            Self::Tcp(stream) => stream.read_to_end(&mut heard)?,
        };
        Ok(heard)
    }

    /// Up to `bytes` bytes.
    pub(crate) fn hear_some(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        let mut heard = vec![0; bytes];
        let read = match self {
            Self::Unix(stream) => stream.read(&mut heard)?,
            Self::Tcp(stream) => stream.read(&mut heard)?,
        };
        heard.truncate(read);
        Ok(heard)
    }
}

/// The head of a request.
pub(crate) fn head(method: &str, target: &str, length: usize) -> Vec<u8> {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    scgi_protocol::scgi::RequestHead::new(length as u64)
        .variable("REQUEST_METHOD", method)
        .variable("REQUEST_URI", target)
        .variable("QUERY_STRING", query)
        .encode()
        .unwrap()
}

/// One request and its response, head and body.
pub(crate) fn ask(
    address: &Address,
    method: &str,
    target: &str,
    body: &[u8],
) -> io::Result<String> {
    let mut connection = Connection::to(address)?;
    connection.say(&[&head(method, target, body.len()), body].concat())?;
    connection.hear().map(|heard| String::from_utf8_lossy(&heard).into_owned())
}

/// Waits until `condition` holds.
///
/// # Panics
///
/// If it takes too long.
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = condition() {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}
