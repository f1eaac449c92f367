//! The response head as a client reads it, from whatever app wrote it.
//!
//! Takes what front ends take: CRLF or LF, `Status` anywhere or nowhere, or a status line of
//! HTTP. Refuses what they disagree about: a line without colon, a folded line, NUL. Every whole
//! line is judged as soon as it has arrived. Never looks at the body.

use std::borrow::Cow;

use super::reason::reason_phrase;
use super::response::{Headers, ResponseHead, is_header_name};

/// Why a response head could not be decoded. None can be recovered from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseDecodeError {
    /// The head goes on past the limit.
    #[error("the response head is longer than {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// NUL stands in the head.
    #[error("the response head holds NUL")]
    Nul,
    /// A line has no colon.
    #[error("the response head holds the line `{line}`, which has no colon")]
    NoColon {
        /// The line, escaped and cut.
        line: String,
    },
    /// A line begins with white space: it goes on from the line before, which is obsolete.
    #[error("the response head holds a folded line")]
    Folded,
    /// What stands before a colon is no name of a header.
    #[error("the response head holds the line `{line}`, which does not begin with a header's name")]
    Name {
        /// The line, escaped and cut.
        line: String,
    },
    /// The status is not three digits from 100 to 999, alone or followed by a space.
    #[error("the response head holds the status `{status}`, which is none")]
    Status {
        /// The status, escaped and cut.
        status: String,
    },
    /// The status is given twice.
    #[error("the response head gives its status twice")]
    RepeatedStatus,
}

impl ResponseHead {
    /// Decodes a response head from the front of `input`: the head, and how many bytes it took
    /// with its empty line. The body follows there.
    ///
    /// Returns `Ok(None)` while the head is incomplete; call again with the same bytes and more.
    /// If the app closes before that, its answer was cut: that is no response.
    ///
    /// Without a status it is 302 if there is a `Location`, otherwise 200.
    ///
    /// # Errors
    ///
    /// At the first line that is wrong, and if the head is longer than `max_bytes`; see
    /// [`ResponseDecodeError`]. Once refused, an input stays refused whatever follows.
    pub fn decode(
        input: &[u8],
        max_bytes: usize,
    ) -> Result<Option<(Self, usize)>, ResponseDecodeError> {
        let window = &input[..input.len().min(max_bytes)];
        let mut draft = Draft::default();
        let mut at = 0;
        for line in window.split_inclusive(|&byte| byte == b'\n') {
            if line.contains(&0) {
                return Err(ResponseDecodeError::Nul);
            }
            let Some(content) = line.strip_suffix(b"\n") else {
                break;
            };
            at += line.len();
            let content = content.strip_suffix(b"\r").unwrap_or(content);
            if content.is_empty() {
                return Ok(Some((draft.finish(), at)));
            }
            draft.line(content)?;
        }
        if input.len() > max_bytes {
            return Err(ResponseDecodeError::TooLong { limit: max_bytes });
        }
        Ok(None)
    }
}

/// A response head of which some lines are known.
#[derive(Default)]
struct Draft {
    status: Option<(u16, Cow<'static, str>)>,
    headers: Headers,
    lines: usize,
}

impl Draft {
    fn line(&mut self, line: &[u8]) -> Result<(), ResponseDecodeError> {
        self.lines += 1;
        if self.lines == 1 && line.starts_with(b"HTTP/1.") {
            let status =
                line.iter().position(|&byte| byte == b' ').map_or(&b""[..], |at| &line[at..]);
            return self.set_status(status);
        }
        if matches!(line[0], b' ' | b'\t') {
            return Err(ResponseDecodeError::Folded);
        }
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            return Err(ResponseDecodeError::NoColon { line: shown(line) });
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let name = str::from_utf8(name)
            .ok()
            .filter(|name| is_header_name(name.as_bytes()))
            .ok_or_else(|| ResponseDecodeError::Name { line: shown(line) })?;
        if name.eq_ignore_ascii_case("Status") {
            return self.set_status(value);
        }
        self.headers.push(name, value);
        Ok(())
    }

    fn set_status(&mut self, value: &[u8]) -> Result<(), ResponseDecodeError> {
        let value = value.trim_ascii();
        let status = parse_status(value)
            .ok_or_else(|| ResponseDecodeError::Status { status: shown(value) })?;
        match self.status.replace(status) {
            None => Ok(()),
            Some(_) => Err(ResponseDecodeError::RepeatedStatus),
        }
    }

    fn finish(self) -> ResponseHead {
        let has_location =
            self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("Location"));
        let (status, reason) = self.status.unwrap_or_else(|| {
            let status = if has_location { 302 } else { 200 };
            (status, reason_phrase(status).into())
        });
        ResponseHead { status, reason, headers: self.headers }
    }
}

/// Reads `NNN` or `NNN Reason`.
fn parse_status(value: &[u8]) -> Option<(u16, Cow<'static, str>)> {
    let (digits, rest) = value.split_at_checked(3)?;
    let well_formed = digits.iter().all(u8::is_ascii_digit) && (rest.is_empty() || rest[0] == b' ');
    let status: u16 = str::from_utf8(digits).ok().filter(|_| well_formed)?.parse().ok()?;
    let reason = match rest.trim_ascii() {
        b"" => reason_phrase(status).into(),
        reason => String::from_utf8_lossy(reason).into_owned().into(),
    };
    (status >= 100).then_some((status, reason))
}

/// The beginning of a line for a person to read.
fn shown(line: &[u8]) -> String {
    line[..line.len().min(64)].escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 1024;

    fn decoded(input: &[u8]) -> (u16, String, Vec<(String, String)>) {
        let (head, taken) = ResponseHead::decode(input, MAX).unwrap().unwrap();
        assert_eq!(&input[taken..], b"body", "the body follows the empty line");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = head.headers().map(|(name, value)| (name.to_owned(), text(value))).collect();
        (head.status(), head.reason().to_owned(), headers)
    }

    fn status(input: &[u8]) -> (u16, String) {
        let (status, reason, _) = decoded(input);
        (status, reason)
    }

    #[test]
    fn lines_may_end_with_lf_or_crlf_or_both_mixed() {
        let expected = (404, "Not Here".to_owned(), vec![("X-A".to_owned(), "b c".to_owned())]);

        assert_eq!(decoded(b"Status: 404 Not Here\r\nX-A: b c\r\n\r\nbody"), expected);
        assert_eq!(decoded(b"Status: 404 Not Here\nX-A:b c\n\nbody"), expected);
        assert_eq!(decoded(b"status:404 Not Here \r\nX-A: \tb c \n\r\nbody"), expected);
    }

    #[test]
    fn status_may_stand_anywhere_or_nowhere() {
        let ok = |status, reason: &str| (status, reason.to_owned());

        assert_eq!(status(b"X: y\nStatus: 201 Made\n\nbody"), ok(201, "Made"));
        assert_eq!(status(b"X: y\n\nbody"), ok(200, "OK"));
        assert_eq!(status(b"Location: /x\n\nbody"), ok(302, "Found"));
        assert_eq!(status(b"Location: /x\nStatus: 201\n\nbody"), ok(201, "Created"));
        assert_eq!(status(b"\r\nbody"), ok(200, "OK"));
    }

    #[test]
    fn a_status_line_of_http_is_understood() {
        assert_eq!(status(b"HTTP/1.1 404 Gone Away\r\n\r\nbody"), (404, "Gone Away".to_owned()));
        assert_eq!(status(b"HTTP/1.0 200\n\nbody"), (200, "OK".to_owned()));
    }

    #[test]
    fn an_incomplete_head_is_waited_for() {
        for input in ["", "S", "Status: 200", "Status: 200 OK\r\n", "X: y\n\r", "no colon yet"] {
            assert_eq!(ResponseHead::decode(input.as_bytes(), MAX), Ok(None), "{input:?}");
        }
    }

    #[test]
    fn what_front_ends_disagree_about_is_refused_line_by_line() {
        use ResponseDecodeError::{Folded, Name, NoColon, Nul, RepeatedStatus, Status};
        let line = |line: &str| line.to_owned();
        for (input, error) in [
            ("just text\n", NoColon { line: line("just text") }),
            ("X: y\n folded\n", Folded),
            ("X: y\n\tfolded\n", Folded),
            ("X Y: z\n", Name { line: line("X Y: z") }),
            (": z\n", Name { line: line(": z") }),
            ("X: a\0", Nul),
            ("Status: abc\n", Status { status: line("abc") }),
            ("Status: 20\n", Status { status: line("20") }),
            ("Status: 2000\n", Status { status: line("2000") }),
            ("Status: 099 x\n", Status { status: line("099 x") }),
            ("Status:\n", Status { status: line("") }),
            ("HTTP/1.1\n", Status { status: line("") }),
            ("Status: 200 OK\nStatus: 404\n", RepeatedStatus),
        ] {
            assert_eq!(ResponseHead::decode(input.as_bytes(), MAX), Err(error), "{input:?}");
        }
    }

    #[test]
    fn a_head_may_be_as_long_as_the_limit_and_no_longer() {
        let head = b"Status: 200 OK\r\n\r\n";
        let limit = head.len();

        assert!(ResponseHead::decode(head, limit).unwrap().is_some());
        assert_eq!(ResponseHead::decode(&head[..limit - 1], limit - 1), Ok(None));
        assert_eq!(
            ResponseHead::decode(head, limit - 1),
            Err(ResponseDecodeError::TooLong { limit: limit - 1 })
        );
        assert!(ResponseHead::decode(&[head, &b"x".repeat(MAX)[..]].concat(), limit).is_ok());
    }
}
