//! The request head: decoded from the front of a growing buffer, in place.
//!
//! ```text
//! too few bytes ─more─▶ too few bytes ─more─▶ a whole head
//!      └──── a wrong byte ───┴──▶ refused
//! ```
//!
//! Decoding is total: every input gives a head, a wish for more, or a reason. Variables stay
//! where they are in the caller's buffer; what is allocated is one index. Never reads, never
//! waits, never looks at the body.

use std::borrow::Cow;
use std::fmt;

use super::HeadError;
use super::block::{self, MAX_BLOCK_BYTES, Span};
use super::netstring;

/// Largest `CONTENT_LENGTH` accepted, in bytes: what a signed 64-bit offset can hold.
pub const MAX_CONTENT_LENGTH: u64 = i64::MAX as u64;

/// Longest word at the start of a connection that is taken for an HTTP method, in bytes.
const MAX_METHOD_BYTES: usize = 24;

/// First byte of a TLS record that carries a handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// How much a head may hold and how its flaws are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest header block in bytes, without length prefix and comma; more than 4 GiB is taken
    /// as 4 GiB. The default of 1 MiB admits the most that Apache sends by default (770 KB).
    pub max_head_bytes: usize,
    /// What to do about heads that break the specification harmlessly.
    pub policy: Policy,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_head_bytes: 1 << 20, policy: Policy::default() }
    }
}

/// What to do about heads that break the specification in ways real front ends do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Accept them and tell by [`Head::leniencies`]: repeated request headers are joined,
    /// `CONTENT_LENGTH` may stand anywhere, and `SCGI` may be missing.
    #[default]
    Lenient,
    /// Refuse them.
    Strict,
}

/// The rules of the specification that a head broke and was accepted all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leniencies {
    /// Variables that were joined with an earlier one of the same name.
    pub repeated: usize,
    /// `CONTENT_LENGTH` was not the first variable.
    pub length_not_first: bool,
    /// `SCGI` was missing or not `1`.
    pub no_scgi: bool,
}

impl Leniencies {
    /// Whether the head kept every rule.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// A decoded request head: the variables of one request, each name once.
///
/// Borrows the buffer it was decoded from; [`into_owned`](Self::into_owned) frees it from there.
/// Names and values are bytes: anything but NUL may stand in them, newlines included, so escape
/// them before they reach a log.
#[derive(Clone)]
pub struct Head<'a> {
    block: Cow<'a, [u8]>,
    spans: Vec<Span>,
    content_length: u64,
    leniencies: Leniencies,
}

/// A request head that borrows nothing: one buffer and one index, whatever the variables.
pub type OwnedHead = Head<'static>;

/// Decodes one request head from the front of `input`: the head, and how many bytes it took with
/// its length prefix and comma. The body follows there.
///
/// Returns `Ok(None)` while the head is incomplete; call again with the same bytes and more. That
/// costs next to nothing: until the block is whole, only its length and first bytes are looked at.
///
/// # Errors
///
/// As soon as the length prefix or the block's first byte is wrong, and otherwise when the block
/// is whole; see [`HeadError`]. Once refused, an input stays refused whatever follows.
pub fn decode<'a>(
    input: &'a [u8],
    limits: &Limits,
) -> Result<Option<(Head<'a>, usize)>, HeadError> {
    let Some(Frame { start, taken }) = frame(input, limits)? else {
        return Ok(None);
    };
    let Some([block @ .., comma]) = input.get(start..taken) else {
        return Ok(None);
    };
    if *comma != b',' {
        return Err(HeadError::MissingComma);
    }
    let head = Head::from_block(block, limits.policy)?;
    Ok(Some((head, taken)))
}

/// How many bytes the head at the front of `input` takes with its length prefix and comma, most
/// of which may still have to arrive; `None` while the length prefix is incomplete.
///
/// For sizing a buffer before [`decode`].
///
/// # Errors
///
/// Those of [`decode`] that can be known by `input`'s first bytes.
pub fn needed(input: &[u8], limits: &Limits) -> Result<Option<usize>, HeadError> {
    Ok(frame(input, limits)?.map(|frame| frame.taken))
}

/// Where a head stands in its input.
struct Frame {
    /// Where the block begins.
    start: usize,
    /// Where the body begins: past the comma.
    taken: usize,
}

/// Finds the head's bounds, and every flaw that can be seen without the whole of it.
fn frame(input: &[u8], limits: &Limits) -> Result<Option<Frame>, HeadError> {
    if input.first().is_some_and(|first| !first.is_ascii_digit()) {
        return Err(match stranger(input) {
            Some(error) => error,
            None => return Ok(None),
        });
    }
    let Some((announced, start)) = netstring::length(input)? else {
        return Ok(None);
    };
    let limit = limits.max_head_bytes.min(MAX_BLOCK_BYTES);
    let block_bytes = usize::try_from(announced)
        .ok()
        .filter(|bytes| *bytes <= limit)
        .ok_or(HeadError::TooLong { announced, limit })?;
    let here = &input[start..input.len().min(start + block_bytes)];
    if here.first() == Some(&0) {
        return Err(HeadError::EmptyName);
    }
    if limits.policy == Policy::Strict && !begins_with_content_length(here) {
        return Err(HeadError::LengthNotFirst);
    }
    Ok(Some(Frame { start, taken: start + block_bytes + 1 }))
}

/// Whether a block of which at least `here` has arrived may begin with `CONTENT_LENGTH`.
fn begins_with_content_length(here: &[u8]) -> bool {
    b"CONTENT_LENGTH\0".iter().zip(here).all(|(wanted, found)| wanted == found)
}

/// Who speaks, when it is not SCGI; `None` while a word may still become an HTTP method.
fn stranger(input: &[u8]) -> Option<HeadError> {
    let found = *input.first()?;
    if found == TLS_HANDSHAKE {
        return Some(HeadError::Tls);
    }
    let is_method_byte = |byte: &&u8| byte.is_ascii_alphabetic() || **byte == b'-';
    let method = input.iter().take(MAX_METHOD_BYTES).take_while(is_method_byte).count();
    match input.get(method)? {
        b' ' if method > 0 => Some(HeadError::Http),
        _ => Some(HeadError::NotNetstring { found }),
    }
}

impl<'a> Head<'a> {
    fn from_block(block: &'a [u8], policy: Policy) -> Result<Self, HeadError> {
        let cut = block::cut(block)?;
        let mut head = Self {
            block: Cow::Borrowed(block),
            spans: cut.spans,
            content_length: 0,
            leniencies: Leniencies::default(),
        };
        if cut.suspicious {
            head.join_repeated(policy)?;
        }
        let length = head.get("CONTENT_LENGTH").ok_or(HeadError::NoContentLength)?;
        head.content_length = content_length(length).ok_or(HeadError::BadContentLength)?;
        head.leniencies.length_not_first = head.spans[0].name(&head.block) != b"CONTENT_LENGTH";
        head.leniencies.no_scgi = head.get("SCGI") != Some(b"1");
        match policy {
            Policy::Strict if head.leniencies.no_scgi => Err(HeadError::NoScgi),
            Policy::Strict | Policy::Lenient => Ok(head),
        }
    }

    fn join_repeated(&mut self, policy: Policy) -> Result<(), HeadError> {
        let Some(joined) = block::join_repeated(&self.block, &self.spans, policy)? else {
            return Ok(());
        };
        self.leniencies.repeated = joined.repeats;
        self.block = Cow::Owned(joined.block);
        self.spans = joined.spans;
        Ok(())
    }

    /// Length of the body in bytes, at most [`MAX_CONTENT_LENGTH`].
    #[must_use]
    pub fn content_length(&self) -> u64 {
        self.content_length
    }

    /// The value of a variable; `None` if it was not sent. It may well be empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let name = name.as_bytes();
        let variable = self.spans.iter().find(|variable| variable.name(&self.block) == name)?;
        Some(variable.value(&self.block))
    }

    /// The value of a variable as text; `None` if it was not sent or is not UTF-8.
    #[must_use]
    pub fn get_str(&self, name: &str) -> Option<&str> {
        str::from_utf8(self.get(name)?).ok()
    }

    /// Every variable, name and value, in the order sent.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        let block = &*self.block;
        self.spans.iter().map(move |variable| (variable.name(block), variable.value(block)))
    }

    /// The rules this head broke; none under [`Policy::Strict`].
    #[must_use]
    pub fn leniencies(&self) -> Leniencies {
        self.leniencies
    }

    /// The same head with a buffer of its own.
    #[must_use]
    pub fn into_owned(self) -> OwnedHead {
        Head { block: Cow::Owned(self.block.into_owned()), ..self }
    }
}

impl fmt::Debug for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        f.debug_map().entries(self.iter().map(|(name, value)| (text(name), text(value)))).finish()
    }
}

/// Reads the value of `CONTENT_LENGTH`: digits alone, leading zeros allowed (mod_scgi passes on
/// what the client wrote), at most [`MAX_CONTENT_LENGTH`].
fn content_length(value: &[u8]) -> Option<u64> {
    let mut length: u64 = 0;
    for byte in value {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        length = length.checked_mul(10)?.checked_add(digit)?;
    }
    (!value.is_empty() && length <= MAX_CONTENT_LENGTH).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENIENT: Limits = Limits { max_head_bytes: 1 << 20, policy: Policy::Lenient };
    const STRICT: Limits = Limits { policy: Policy::Strict, ..LENIENT };

    /// A head of these strings, each ended by NUL, framed as it should be.
    fn framed(strings: &[&str]) -> Vec<u8> {
        let block: String = strings.iter().flat_map(|string| [*string, "\0"]).collect();
        let mut input = Vec::new();
        netstring::encode(block.as_bytes(), &mut input);
        input
    }

    fn decoded<'a>(input: &'a [u8], limits: &Limits) -> Head<'a> {
        let (head, taken) = decode(input, limits).unwrap().unwrap();
        assert_eq!(taken, input.len());
        head
    }

    fn refused(input: &[u8], limits: &Limits) -> &'static str {
        decode(input, limits).unwrap_err().reason()
    }

    #[test]
    fn the_example_of_the_specification_is_understood() {
        let input = b"70:CONTENT_LENGTH\x0027\0SCGI\x001\0REQUEST_METHOD\0POST\0\
            REQUEST_URI\0/deepthought\0,What is the answer to life?";

        let (head, taken) = decode(input, &STRICT).unwrap().unwrap();

        assert_eq!(&input[taken..], b"What is the answer to life?");
        assert_eq!(head.content_length(), 27);
        assert_eq!(head.get_str("REQUEST_URI"), Some("/deepthought"));
        assert_eq!(head.get("QUERY_STRING"), None);
        assert!(head.leniencies().is_none());
    }

    #[test]
    fn two_variables_are_enough() {
        let input = framed(&["CONTENT_LENGTH", "0", "SCGI", "1"]);

        assert_eq!(decoded(&input, &STRICT).iter().len(), 2);
    }

    #[test]
    fn every_byte_but_nul_may_stand_in_a_value() {
        let value: Vec<u8> = (1..=255).collect();
        let mut block = b"CONTENT_LENGTH\x000\0SCGI\x001\0EMPTY\0\0ALL\0".to_vec();
        block.extend_from_slice(&value);
        block.push(0);
        let mut input = Vec::new();
        netstring::encode(&block, &mut input);

        let head = decoded(&input, &STRICT);

        assert_eq!(head.get("ALL"), Some(&value[..]));
        assert_eq!(head.get_str("ALL"), None);
        assert_eq!(head.get("EMPTY"), Some(&b""[..]));
    }

    #[test]
    fn a_length_of_the_body_is_digits_below_two_to_the_63() {
        let with = |value: &str| framed(&["CONTENT_LENGTH", value, "SCGI", "1"]);
        for (value, length) in [
            ("0", 0),
            ("0003", 3),
            ("00000000000000000000000000", 0),
            ("9223372036854775807", MAX_CONTENT_LENGTH),
        ] {
            assert_eq!(decoded(&with(value), &STRICT).content_length(), length);
        }
        for value in [
            "",
            "-1",
            "+3",
            "1a",
            " 1",
            "1 ",
            "0x1",
            "9223372036854775808",
            "99999999999999999999999",
        ] {
            assert_eq!(refused(&with(value), &LENIENT), "bad_content_length", "{value:?}");
        }
    }

    #[test]
    fn a_head_without_a_length_of_the_body_is_refused() {
        assert_eq!(refused(&framed(&["SCGI", "1"]), &LENIENT), "no_content_length");
        assert_eq!(refused(b"0:,", &LENIENT), "no_content_length");
        assert_eq!(refused(b"0:,", &STRICT), "no_content_length");
    }

    #[test]
    fn flaws_that_front_ends_have_are_accepted_and_told() {
        let no_scgi = framed(&["CONTENT_LENGTH", "0"]);
        let other_scgi = framed(&["CONTENT_LENGTH", "0", "SCGI", "2"]);
        let late_length = framed(&["SCGI", "1", "CONTENT_LENGTH", "0"]);
        let twice = framed(&["CONTENT_LENGTH", "0", "SCGI", "1", "HTTP_X", "1", "HTTP_X", "2"]);
        let kept = Leniencies::default();

        for (input, leniencies, reason) in [
            (no_scgi, Leniencies { no_scgi: true, ..kept }, "no_scgi"),
            (other_scgi, Leniencies { no_scgi: true, ..kept }, "no_scgi"),
            (late_length, Leniencies { length_not_first: true, ..kept }, "length_not_first"),
            (twice, Leniencies { repeated: 1, ..kept }, "repeated"),
        ] {
            assert_eq!(decoded(&input, &LENIENT).leniencies(), leniencies);
            assert_eq!(refused(&input, &STRICT), reason);
        }
    }

    #[test]
    fn repeated_request_headers_are_joined_and_cookies_by_semicolons() {
        let input = framed(&[
            "CONTENT_LENGTH",
            "0",
            "HTTP_X",
            "1",
            "HTTP_COOKIE",
            "a=1",
            "HTTP_X",
            "2",
            "SCGI",
            "1",
            "HTTP_COOKIE",
            "b=2",
            "HTTP_X",
            "",
        ]);

        let head = decoded(&input, &LENIENT);

        assert_eq!(head.get_str("HTTP_X"), Some("1, 2, "));
        assert_eq!(head.get_str("HTTP_COOKIE"), Some("a=1; b=2"));
        assert_eq!(head.leniencies(), Leniencies { repeated: 3, ..Leniencies::default() });
        let names: Vec<&[u8]> = head.iter().map(|(name, _)| name).collect();
        assert_eq!(names, [&b"CONTENT_LENGTH"[..], b"HTTP_X", b"HTTP_COOKIE", b"SCGI"]);
    }

    #[test]
    fn other_variables_may_not_be_repeated_even_if_they_agree() {
        for name in ["CONTENT_LENGTH", "SCGI", "REMOTE_ADDR", "HTTPS", "http_x"] {
            let input = framed(&["CONTENT_LENGTH", "0", "SCGI", "1", name, "1", name, "1"]);

            let error = decode(&input, &LENIENT).unwrap_err();

            assert_eq!(error, HeadError::Repeated { name: name.to_owned() });
        }
    }

    #[test]
    fn a_block_is_pairs_of_strings_each_ended_by_nul() {
        assert_eq!(refused(&framed(&["CONTENT_LENGTH", "0", "SCGI"]), &LENIENT), "odd_strings");
        assert_eq!(refused(&framed(&["CONTENT_LENGTH", "0", "", "1"]), &LENIENT), "empty_name");
        assert_eq!(refused(&framed(&["", "0"]), &LENIENT), "empty_name");
        assert_eq!(refused(b"16:CONTENT_LENGTH\x000,", &LENIENT), "unterminated");
        assert_eq!(refused(b"14:CONTENT_LENGTH,", &LENIENT), "unterminated");
        assert_eq!(refused(b"17:CONTENT_LENGTH\x000\0;", &LENIENT), "missing_comma");
        assert_eq!(refused(b"16:CONTENT_LENGTH\x000\0,", &LENIENT), "missing_comma");
        assert_eq!(refused(b"0:x", &LENIENT), "missing_comma");
    }

    #[test]
    fn a_head_is_refused_at_the_first_byte_that_shows_it() {
        for (input, limits, reason) in [
            (&b"1048577:"[..], LENIENT, "too_long"),
            (b"9999999999:", LENIENT, "too_long"),
            (b"99999999999", LENIENT, "long_length"),
            (b"17:\0", LENIENT, "empty_name"),
            (b"17:S", STRICT, "length_not_first"),
            (b"17:CONTENT_LENGTHS", STRICT, "length_not_first"),
            (b"\x16", LENIENT, "tls"),
            (b"GET ", LENIENT, "http"),
            (b"VERSION-CONTROL ", LENIENT, "http"),
            (b"GARBAGE\n", LENIENT, "not_netstring"),
            (b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"[..25].as_ref(), LENIENT, "not_netstring"),
            (b" ", LENIENT, "not_netstring"),
            (b"\0", LENIENT, "not_netstring"),
        ] {
            let but_one = &input[..input.len() - 1];

            assert_eq!(refused(input, &limits), reason, "{}", input.escape_ascii());
            assert!(decode(but_one, &limits).unwrap().is_none(), "{}", but_one.escape_ascii());
            assert_eq!(needed(input, &limits).unwrap_err().reason(), reason);
        }
    }

    #[test]
    fn what_a_head_needs_is_known_with_its_length() {
        let input = framed(&["CONTENT_LENGTH", "0", "SCGI", "1"]);

        assert_eq!(needed(b"", &LENIENT), Ok(None));
        assert_eq!(needed(b"24", &LENIENT), Ok(None));
        assert_eq!(needed(b"24:", &LENIENT), Ok(Some(input.len())));
        assert_eq!(needed(&input, &LENIENT), Ok(Some(input.len())));
    }

    #[test]
    fn the_largest_head_of_apache_is_below_the_default_limit() {
        let value = "x".repeat(7600);
        let names: Vec<String> = (0..100).map(|number| format!("HTTP_X_{number}")).collect();
        let mut strings = vec!["CONTENT_LENGTH", "0", "SCGI", "1"];
        strings.extend(names.iter().flat_map(|name| [name.as_str(), value.as_str()]));
        let input = framed(&strings);

        let head = decoded(&input, &Limits::default());

        assert!(input.len() > 760_000);
        assert_eq!(head.get("HTTP_X_99"), Some(value.as_bytes()));
    }

    #[test]
    fn the_limit_counts_the_block_alone() {
        let input = framed(&["CONTENT_LENGTH", "0", "SCGI", "1"]);
        let limits = |max_head_bytes| Limits { max_head_bytes, ..LENIENT };

        assert!(decode(&input, &limits(24)).unwrap().is_some());
        assert_eq!(
            decode(&input, &limits(23)).unwrap_err(),
            HeadError::TooLong { announced: 24, limit: 23 }
        );
    }

    #[test]
    fn an_owned_head_outlives_its_buffer() {
        let owned: OwnedHead = {
            let input = framed(&["CONTENT_LENGTH", "3", "SCGI", "1", "PATH_INFO", "/x"]);
            decoded(&input, &STRICT).into_owned()
        };

        assert_eq!((owned.content_length(), owned.get_str("PATH_INFO")), (3, Some("/x")));
    }

    #[test]
    fn a_head_is_shown_escaped() {
        let input = framed(&["CONTENT_LENGTH", "0", "SCGI", "1", "EVIL", "\n\x1b[2J"]);

        let shown = format!("{:?}", decoded(&input, &STRICT));

        assert!(!shown.contains(['\n', '\x1b']), "{shown}");
        assert!(shown.contains("EVIL"), "{shown}");
    }
}
