//! The request head as a client writes it.
//!
//! `CONTENT_LENGTH` first, `SCGI` second, then what the caller adds, in his order. What comes out
//! keeps every rule of the specification; there is no way to write one that does not.

use super::MAX_CONTENT_LENGTH;
use super::block::{Names, Span};
use super::netstring;

/// Why a request head could not be encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A variable has no name.
    #[error("cannot send a variable with an empty name")]
    EmptyName,
    /// NUL stands in a name or a value; it is what ends them.
    #[error("cannot send the variable `{name}`: NUL stands in it")]
    Nul {
        /// Name of the variable, escaped.
        name: String,
    },
    /// A variable is given twice; `CONTENT_LENGTH` and `SCGI` are always there already.
    #[error("cannot send the variable `{name}` twice")]
    Repeated {
        /// Name of the variable, escaped.
        name: String,
    },
    /// The body is longer than [`MAX_CONTENT_LENGTH`].
    #[error("cannot announce a body of {length} bytes")]
    TooLong {
        /// Length of the body, in bytes.
        length: u64,
    },
}

/// A request head under construction.
///
/// ```
/// use scgi_protocol::scgi::RequestHead;
///
/// let head = RequestHead::new(0)
///     .variable("REQUEST_METHOD", "GET")
///     .variable("PATH_INFO", "/")
///     .encode()?;
///
/// assert_eq!(head, b"55:CONTENT_LENGTH\x000\0SCGI\x001\0REQUEST_METHOD\0GET\0PATH_INFO\0/\0,");
/// # Ok::<(), scgi_protocol::scgi::RequestError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RequestHead {
    block: Vec<u8>,
    spans: Vec<Span>,
    names: Names,
    error: Option<RequestError>,
}

impl RequestHead {
    /// Begins the head of a request whose body is `content_length` bytes long.
    #[must_use]
    pub fn new(content_length: u64) -> Self {
        let mut head =
            Self { block: Vec::new(), spans: Vec::new(), names: Names::default(), error: None };
        if content_length > MAX_CONTENT_LENGTH {
            head.error = Some(RequestError::TooLong { length: content_length });
        }
        head.variable("CONTENT_LENGTH", content_length.to_string()).variable("SCGI", "1")
    }

    /// Adds a variable. If it cannot be sent, [`encode`](Self::encode) will say so.
    #[must_use]
    pub fn variable(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        if self.error.is_none() {
            self.error = self.push(name.as_ref(), value.as_ref()).err();
        }
        self
    }

    fn push(&mut self, name: &[u8], value: &[u8]) -> Result<(), RequestError> {
        let shown = || name.escape_ascii().to_string();
        if name.is_empty() {
            return Err(RequestError::EmptyName);
        }
        if name.contains(&0) || value.contains(&0) {
            return Err(RequestError::Nul { name: shown() });
        }
        if self.names.may_hold(name, &self.block, &self.spans) && self.holds(name) {
            return Err(RequestError::Repeated { name: shown() });
        }
        let start = self.block.len();
        let value_start = start + name.len() + 1;
        for string in [name, value] {
            self.block.extend_from_slice(string);
            self.block.push(0);
        }
        self.spans.push(Span::new(start, value_start, self.block.len() - 1));
        Ok(())
    }

    fn holds(&self, name: &[u8]) -> bool {
        self.spans.iter().any(|variable| variable.name(&self.block) == name)
    }

    /// The whole head as it goes over the wire; the body follows it.
    ///
    /// # Errors
    ///
    /// What was wrong with the first variable that cannot be sent.
    pub fn encode(self) -> Result<Vec<u8>, RequestError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let mut output = Vec::with_capacity(self.block.len() + "9999999999:,".len());
        netstring::encode(&self.block, &mut output);
        Ok(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(head: RequestHead) -> RequestError {
        head.encode().unwrap_err()
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        let head = || RequestHead::new(0);
        let repeated = |name: &str| RequestError::Repeated { name: name.into() };

        assert_eq!(error(head().variable("", "x")), RequestError::EmptyName);
        assert_eq!(error(head().variable("A\0", "")), RequestError::Nul { name: r"A\x00".into() });
        assert_eq!(error(head().variable("A", "\0")), RequestError::Nul { name: "A".into() });
        assert_eq!(error(head().variable("A", "1").variable("A", "1")), repeated("A"));
        assert_eq!(error(head().variable("SCGI", "1")), repeated("SCGI"));
        assert_eq!(error(head().variable("CONTENT_LENGTH", "0")), repeated("CONTENT_LENGTH"));
        assert_eq!(
            error(RequestHead::new(u64::MAX)),
            RequestError::TooLong { length: 18_446_744_073_709_551_615 }
        );
    }

    #[test]
    fn the_first_fault_is_the_one_told() {
        let head = RequestHead::new(0).variable("", "").variable("A", "\0").variable("B", "fine");

        assert_eq!(error(head), RequestError::EmptyName);
    }
}
