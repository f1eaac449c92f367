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
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

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
    shape: Option<Shape>,
}

/// Which names a head has, in which order: what is the same in heads of the same shape.
///
/// Known of heads that a [`Decoder`](super::Decoder) found alike, and for looking something up once
/// and not in every one of them. Two heads with the same names may have different shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape(u64);

impl Shape {
    /// One that no head has.
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Relaxed))
    }
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
    let Some((block, taken)) = block_of(input, limits)? else { return Ok(None) };
    let head = Head::from_block(block, limits.policy)?;
    Ok(Some((head, taken)))
}

/// The block at the front of `input` and how many bytes it takes with what is around it; `None`
/// while it is incomplete.
pub(super) fn block_of<'a>(
    input: &'a [u8],
    limits: &Limits,
) -> Result<Option<(&'a [u8], usize)>, HeadError> {
    let Some(Frame { start, taken }) = frame(input, limits)? else { return Ok(None) };
    match input.get(start..taken) {
        Some([block @ .., b',']) => Ok(Some((block, taken))),
        Some(_) => Err(HeadError::MissingComma),
        None => Ok(None),
    }
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
    pub(super) fn from_block(block: &'a [u8], policy: Policy) -> Result<Self, HeadError> {
        let cut = block::cut(block)?;
        let mut head = Self::uncounted(block, cut.spans);
        if cut.suspicious {
            head.join_repeated(policy)?;
        }
        head.judged(policy)
    }

    /// The head whose variables stand at `spans`, every name once.
    pub(super) fn from_spans(
        block: &'a [u8],
        spans: Vec<Span>,
        policy: Policy,
    ) -> Result<Self, HeadError> {
        Self::uncounted(block, spans).judged(policy)
    }

    fn uncounted(block: &'a [u8], spans: Vec<Span>) -> Self {
        let leniencies = Leniencies::default();
        Self { block: Cow::Borrowed(block), spans, content_length: 0, leniencies, shape: None }
    }

    /// Looks at the variables that the specification knows.
    fn judged(mut self, policy: Policy) -> Result<Self, HeadError> {
        let length = self.get("CONTENT_LENGTH").ok_or(HeadError::NoContentLength)?;
        self.content_length = content_length(length).ok_or(HeadError::BadContentLength)?;
        self.leniencies.length_not_first = self.spans[0].name(&self.block) != b"CONTENT_LENGTH";
        self.leniencies.no_scgi = self.get("SCGI") != Some(b"1");
        match policy {
            Policy::Strict if self.leniencies.no_scgi => Err(HeadError::NoScgi),
            Policy::Strict | Policy::Lenient => Ok(self),
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

    /// Name and value of the variable that was sent after `nth` others; `None` if none was.
    #[must_use]
    pub fn nth(&self, nth: usize) -> Option<(&[u8], &[u8])> {
        let variable = self.spans.get(nth)?;
        Some((variable.name(&self.block), variable.value(&self.block)))
    }

    /// Every variable, name and value, in the order sent.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        let block = &*self.block;
        self.spans.iter().map(move |variable| (variable.name(block), variable.value(block)))
    }

    /// Which names it has, in which order, if that is known.
    #[must_use]
    pub fn shape(&self) -> Option<Shape> {
        self.shape
    }

    pub(super) fn set_shape(&mut self, shape: Shape) {
        self.shape = Some(shape);
    }

    /// Where its variables stand in the block it was decoded from; `None` if it has another one.
    pub(super) fn spans(&self) -> Option<&[Span]> {
        matches!(self.block, Cow::Borrowed(_)).then_some(&*self.spans)
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
mod tests;
