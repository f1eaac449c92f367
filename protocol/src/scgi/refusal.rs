//! Why a request head was refused, and what to tell the peer who sent it.
//!
//! Each reason has a status for the answer, a short name for a metric's label, and a sentence a
//! person can act on. Never prints bytes of the peer unescaped.

use super::response::ResponseWriter;

/// Longest part of a variable's name shown to people, in bytes.
const SHOWN_NAME_BYTES: usize = 64;

/// Why a request head was refused. None can be recovered from: answer, then close.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The peer speaks HTTP: a method and a space stand where the length should.
    #[error("an HTTP request arrived on an SCGI socket")]
    Http,
    /// The peer opened with a TLS handshake.
    #[error("a TLS handshake arrived on an SCGI socket")]
    Tls,
    /// The first byte is no digit.
    #[error("a request begins with its length in digits, not with `{}`", found.escape_ascii())]
    NotNetstring {
        /// The byte that stands there.
        found: u8,
    },
    /// Something other than a digit or a colon stands in the length.
    #[error("the length of a request head holds `{}`, which is no digit", found.escape_ascii())]
    BadLength {
        /// The byte that stands there.
        found: u8,
    },
    /// The length begins with a zero and goes on.
    #[error("the length of a request head begins with a zero")]
    LeadingZero,
    /// The length has more than ten digits.
    #[error("the length of a request head has more than 10 digits")]
    LongLength,
    /// The head is longer than [`Limits::max_head_bytes`](super::Limits::max_head_bytes).
    #[error("a request head of {announced} bytes is announced, more than {limit} bytes")]
    TooLong {
        /// Length of the header block by its own account, in bytes.
        announced: u64,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The header block is not followed by a comma.
    #[error("no comma follows the request head: its length is wrong")]
    MissingComma,
    /// The last string of the header block does not end.
    #[error("the request head does not end with NUL")]
    Unterminated,
    /// The last variable has a name and no value.
    #[error("the last variable of the request head has no value")]
    OddStrings,
    /// A variable has an empty name.
    #[error("a variable of the request head has an empty name")]
    EmptyName,
    /// There is no `CONTENT_LENGTH`.
    #[error("the variable `CONTENT_LENGTH` is missing")]
    NoContentLength,
    /// `CONTENT_LENGTH` is not a number of digits alone, or exceeds
    /// [`MAX_CONTENT_LENGTH`](super::MAX_CONTENT_LENGTH).
    #[error("the variable `CONTENT_LENGTH` is no number of bytes")]
    BadContentLength,
    /// A variable stands twice: any under [`Policy::Strict`](super::Policy::Strict), otherwise
    /// one that is not a request header.
    #[error("the variable `{name}` is sent more than once")]
    Repeated {
        /// Name of the variable, escaped and cut.
        name: String,
    },
    /// `CONTENT_LENGTH` is not the first variable ([`Policy::Strict`](super::Policy::Strict)).
    #[error("the first variable is not `CONTENT_LENGTH`")]
    LengthNotFirst,
    /// `SCGI` is missing or not `1` ([`Policy::Strict`](super::Policy::Strict)).
    #[error("the variable `SCGI` is missing or not `1`")]
    NoScgi,
}

impl HeadError {
    /// Everything [`reason`](Self::reason) can say.
    pub const REASONS: [&str; 16] = [
        "http",
        "tls",
        "not_netstring",
        "bad_length",
        "leading_zero",
        "long_length",
        "too_long",
        "missing_comma",
        "unterminated",
        "odd_strings",
        "empty_name",
        "no_content_length",
        "bad_content_length",
        "repeated",
        "length_not_first",
        "no_scgi",
    ];

    pub(super) fn repeated(name: &[u8]) -> Self {
        let shown = &name[..name.len().min(SHOWN_NAME_BYTES)];
        Self::Repeated { name: shown.escape_ascii().to_string() }
    }

    /// Short name of the reason, for a metric's label: one of [`REASONS`](Self::REASONS).
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tls => "tls",
            Self::NotNetstring { .. } => "not_netstring",
            Self::BadLength { .. } => "bad_length",
            Self::LeadingZero => "leading_zero",
            Self::LongLength => "long_length",
            Self::TooLong { .. } => "too_long",
            Self::MissingComma => "missing_comma",
            Self::Unterminated => "unterminated",
            Self::OddStrings => "odd_strings",
            Self::EmptyName => "empty_name",
            Self::NoContentLength => "no_content_length",
            Self::BadContentLength => "bad_content_length",
            Self::Repeated { .. } => "repeated",
            Self::LengthNotFirst => "length_not_first",
            Self::NoScgi => "no_scgi",
        }
    }

    /// Status of the answer: 431 if the head is too long, otherwise 400.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::TooLong { .. } => 431,
            _ => 400,
        }
    }

    /// The whole answer to send before closing.
    ///
    /// A peer who speaks HTTP (or TLS) gets an HTTP response that says what this socket is and
    /// how to reach it; everybody else a CGI response, which a front end passes on.
    #[must_use]
    pub fn answer(&self) -> Vec<u8> {
        match self {
            Self::Http | Self::Tls => self.http_answer(),
            _ => self.cgi_answer(),
        }
    }

    fn http_answer(&self) -> Vec<u8> {
        let text = format!("{}.\n\n{}", capitalized(self), self.remedy());
        let length = text.len();
        format!(
            "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{text}"
        )
        .into_bytes()
    }

    fn cgi_answer(&self) -> Vec<u8> {
        let text = format!("{}.\n{}", capitalized(self), self.remedy());
        let mut answer = Vec::new();
        ResponseWriter::new(&mut answer, self.status())
            .and_then(|mut head| {
                head.header("Content-Type", "text/plain; charset=utf-8")?;
                head.header("Content-Length", text.len().to_string())?;
                Ok(head.finish())
            })
            .expect("status and headers are valid constants");
        answer.extend_from_slice(text.as_bytes());
        answer
    }

    /// What the person who reads the answer can do, in whole lines.
    fn remedy(&self) -> &'static str {
        match self {
            Self::Http | Self::Tls => HTTP_REMEDY,
            Self::TooLong { .. } => {
                "Send fewer or smaller request headers (cookies are the usual cause), or raise \
                 the limit of the app.\n"
            }
            Self::Repeated { .. } => {
                "A front end that sets it twice is misconfigured: look for a repeated scgi_param \
                 or SetEnv.\n"
            }
            Self::LengthNotFirst | Self::NoScgi => {
                "This app takes only requests that keep every rule of SCGI. With nginx, include \
                 scgi_params; or make the app lenient.\n"
            }
            Self::NotNetstring { .. }
            | Self::BadLength { .. }
            | Self::LeadingZero
            | Self::LongLength
            | Self::MissingComma
            | Self::Unterminated
            | Self::OddStrings
            | Self::EmptyName
            | Self::NoContentLength
            | Self::BadContentLength => {
                "This is an SCGI socket: check that the front end passes requests to it by SCGI, \
                 not by FastCGI, uwsgi or HTTP.\n"
            }
        }
    }
}

const HTTP_REMEDY: &str = "\
This socket speaks SCGI, the language between a web server and an app. Browsers and curl cannot
use it directly: put a web server in front of it. With nginx, for example:

    server {
        listen 80;
        location / {
            include scgi_params;
            scgi_pass unix:/path/of/this.sock;  # or host:port
        }
    }

To try the app without a web server, use `scgictl request`.
";

fn capitalized(error: &HeadError) -> String {
    let mut text = error.to_string();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, decode};
    use super::*;

    fn answer_to(input: &[u8]) -> String {
        let error = decode(input, &Limits::default()).unwrap_err();
        String::from_utf8(error.answer()).unwrap()
    }

    #[test]
    fn an_http_client_gets_an_http_answer_that_explains() {
        let answer = answer_to(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");

        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
        assert!(head.contains(&format!("Content-Length: {}\r\n", text.len())), "{head}");
        assert!(text.starts_with("An HTTP request arrived on an SCGI socket.\n"), "{text}");
        assert!(text.contains("scgi_pass"), "{text}");
    }

    #[test]
    fn a_front_end_gets_a_cgi_answer_with_the_reason() {
        let answer = answer_to(b"12:CONTENT_LENGTH");

        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("Status: 400 Bad Request\r\n"), "{head}");
        assert!(head.ends_with(&format!("Content-Length: {}", text.len())), "{head}");
        assert!(text.starts_with("No comma follows the request head"), "{text}");
    }

    #[test]
    fn a_head_over_the_limit_is_answered_431() {
        let answer = answer_to(b"2000000000:");

        assert!(answer.starts_with("Status: 431 Request Header Fields Too Large\r\n"), "{answer}");
        assert!(answer.contains("2000000000 bytes"), "{answer}");
    }

    #[test]
    fn names_of_the_peer_are_shown_escaped_and_cut() {
        let error = HeadError::repeated(format!("\r\n\x1b{}", "A".repeat(500)).as_bytes());

        let shown = error.to_string();

        assert!(shown.contains(r"`\r\n\x1bAAA"), "{shown}");
        assert!(shown.len() < 150, "{shown}");
    }
}
