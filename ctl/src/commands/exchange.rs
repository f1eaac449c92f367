//! One request over one connection: bytes go out, an answer comes in until the connection closes.
//!
//! Prints nothing and knows no command line.

use std::io;
use std::time::Duration;

use scgi_protocol::address::Address;
use scgi_protocol::scgi::ResponseHead;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::failure::Failure;

/// The longest response head that is taken for one, in bytes.
const HEAD_MAX_BYTES: usize = 64 * 1024;

/// Why an exchange failed.
#[derive(Debug)]
pub(super) enum AnswerError {
    /// Nobody could be connected to.
    Connect(io::Error),
    /// The connection broke.
    Read(io::Error),
    /// Nothing came for too long.
    Silence,
    /// What came is not an answer, and why not.
    NotAnAnswer(String),
    /// The answer could not be printed.
    Print(Failure),
}

trait Duplex: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

/// Sends `message` to `address` and gives all that comes back to `take`, until it closes or is
/// silent for longer than `silence`.
pub(super) async fn exchange(
    address: &Address,
    message: &[u8],
    silence: Duration,
    mut take: impl FnMut(&[u8]) -> Result<(), AnswerError>,
) -> Result<(), AnswerError> {
    let connected = timeout(silence, connect(address)).await.map_err(|_| AnswerError::Silence)?;
    let (mut input, mut output) = tokio::io::split(connected.map_err(AnswerError::Connect)?);
    let read = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let next = timeout(silence, input.read(&mut buffer)).await;
            match next.map_err(|_| AnswerError::Silence)?.map_err(AnswerError::Read)? {
                0 => return Ok(()),
                length => take(&buffer[..length])?,
            }
        }
    };
    let write = async {
        // An app may answer without reading all; then writing fails, and the answer counts.
        let _app_may_have_enough = output.write_all(message).await;
        std::future::pending().await
    };
    tokio::select! {
        ended = read => ended,
        never = write => never,
    }
}

async fn connect(address: &Address) -> io::Result<Box<dyn Duplex>> {
    Ok(match address {
        Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
        Address::Tcp(address) => Box::new(TcpStream::connect(address).await?),
    })
}

/// An answer as it comes in.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// What came and was not taken: the head while it is incomplete, then the body.
    pending: Vec<u8>,
    head: Option<ResponseHead>,
    status: Option<u16>,
    announced: Option<u64>,
    body_bytes: u64,
    fault: Option<String>,
}

impl Answer {
    /// Takes what came, however wrong it is.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        if self.status.is_some() {
            self.body_bytes += bytes.len() as u64;
        } else if self.fault.is_none() {
            match ResponseHead::decode(&self.pending, HEAD_MAX_BYTES) {
                Ok(None) => {}
                Ok(Some((head, taken))) => self.begin_body(head, taken),
                Err(error) => self.fault = Some(error.to_string()),
            }
        }
    }

    fn begin_body(&mut self, head: ResponseHead, head_bytes: usize) {
        self.pending.drain(..head_bytes);
        self.body_bytes = self.pending.len() as u64;
        self.status = Some(head.status());
        self.announced = head
            .headers()
            .find(|(name, _)| name.eq_ignore_ascii_case("Content-Length"))
            .and_then(|(_, value)| str::from_utf8(value).ok()?.trim().parse().ok());
        self.head = Some(head);
    }

    /// Why what came is not an answer, if that is certain.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// The head, once, when it is complete.
    pub(super) fn take_head(&mut self) -> Option<ResponseHead> {
        self.head.take()
    }

    /// What came of the body and was not taken; all of it, if it is no answer.
    pub(super) fn take_body(&mut self) -> Vec<u8> {
        let is_body = self.status.is_some() || self.fault.is_some();
        if is_body { std::mem::take(&mut self.pending) } else { Vec::new() }
    }

    /// The status of the answer, now that the connection has closed.
    ///
    /// # Errors
    ///
    /// Why what came is not a whole answer.
    pub(super) fn end(&self) -> Result<u16, String> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let Some(status) = self.status else {
            return Err(match self.pending.len() {
                0 => "it closed the connection without a word".to_owned(),
                bytes => format!("it closed the connection after {bytes} bytes of a head"),
            });
        };
        match self.announced {
            // The answer to HEAD announces what it does not send.
            Some(announced) if 0 < self.body_bytes && self.body_bytes < announced => {
                Err(format!("it is cut short, {} of {announced} bytes", self.body_bytes))
            }
            _ => Ok(status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(parts: &[&str]) -> (Answer, String) {
        let mut answer = Answer::default();
        let mut body = Vec::new();
        for part in parts {
            answer.feed(part.as_bytes());
            body.extend(answer.take_body());
        }
        (answer, String::from_utf8(body).unwrap())
    }

    #[test]
    fn head_and_body_are_told_apart_wherever_the_bytes_are_cut() {
        let whole = "Status: 404 Not Found\r\nContent-Length: 5\r\n\r\nhello";

        for cut in 0..=whole.len() {
            let (answer, body) = answer(&[&whole[..cut], &whole[cut..]]);
            assert_eq!((answer.end(), body.as_str()), (Ok(404), "hello"), "cut at {cut}");
        }
    }

    #[test]
    fn an_answer_that_is_cut_short_is_told_from_a_whole_one() {
        let end = |text| answer(&[text]).0.end();

        assert_eq!(end(""), Err("it closed the connection without a word".into()));
        assert_eq!(
            end("Status: 200 OK\r\n"),
            Err("it closed the connection after 16 bytes of a head".into())
        );
        assert_eq!(
            end("Status: 200 OK\r\nContent-Length: 9\r\n\r\nhello"),
            Err("it is cut short, 5 of 9 bytes".into())
        );
    }
}
