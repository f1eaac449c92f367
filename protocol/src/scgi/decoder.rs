//! Heads decoded one after the other, each held against the one before.
//!
//! ```text
//! block ─the last one's names─▶ its places, moved as values grew ─▶ a head of the last one's shape
//!   └─ other names ─▶ cut like any block ─▶ a head of a new shape, the last one from now on
//! ```
//!
//! A front end sends a client's requests with the same names in the same order, and with most values
//! over and over. Two such blocks differ in few places, and only there anything has to be searched:
//! names that were found different once are so again. Other blocks cost a comparison that soon ends.
//! What comes out is what [`decode`](super::decode) makes of the same bytes.

use super::block::{Span, offset};
use super::head::{Head, Limits, Shape, block_of};
use super::{HeadError, Policy};

/// Largest block that is remembered, in bytes.
const KEPT_BYTES: usize = 8 << 10;

/// Decodes the requests of one front end, or of several.
///
/// ```
/// use scgi_protocol::scgi::{Decoder, Limits, RequestHead};
///
/// let input = |path| RequestHead::new(0).variable("PATH_INFO", path).encode().unwrap();
/// let (one, other) = (input("/"), input("/other"));
/// let mut decoder = Decoder::default();
///
/// let (head, _) = decoder.decode(&one, &Limits::default())?.unwrap();
/// let shape = head.shape();
/// let (head, _) = decoder.decode(&other, &Limits::default())?.unwrap();
///
/// assert_eq!(head.get_str("PATH_INFO"), Some("/other"));
/// assert_eq!(head.shape(), shape);
/// # Ok::<(), scgi_protocol::scgi::HeadError>(())
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    last: Option<Last>,
}

/// The last head that was worth remembering: every name once.
#[derive(Debug)]
struct Last {
    block: Vec<u8>,
    spans: Vec<Span>,
    shape: Shape,
}

impl Decoder {
    /// Decodes one head, as [`decode`](super::decode) does.
    ///
    /// # Errors
    ///
    /// As [`decode`](super::decode).
    pub fn decode<'a>(
        &mut self,
        input: &'a [u8],
        limits: &Limits,
    ) -> Result<Option<(Head<'a>, usize)>, HeadError> {
        let Some((block, taken)) = block_of(input, limits)? else { return Ok(None) };
        let alike = self.last.as_mut().and_then(|last| last.alike(block, limits.policy));
        let head = alike.unwrap_or_else(|| self.unlike(block, limits.policy))?;
        Ok(Some((head, taken)))
    }

    /// Decodes a block with names of its own, and remembers it.
    fn unlike<'a>(&mut self, block: &'a [u8], policy: Policy) -> Result<Head<'a>, HeadError> {
        let mut head = Head::from_block(block, policy)?;
        if let Some(spans) = head.spans().filter(|_| block.len() <= KEPT_BYTES) {
            let (block, spans, shape) = (block.to_vec(), spans.to_vec(), Shape::new());
            self.last = Some(Last { block, spans, shape });
            head.set_shape(shape);
        }
        Ok(head)
    }
}

impl Last {
    /// Decodes a block with the same names; `None` if it has others.
    fn alike<'a>(
        &mut self,
        block: &'a [u8],
        policy: Policy,
    ) -> Option<Result<Head<'a>, HeadError>> {
        let spans = places(block, &self.block, &self.spans)?;
        if block != self.block && block.len() <= KEPT_BYTES {
            self.block.clear();
            self.block.extend_from_slice(block);
            self.spans.clone_from(&spans);
        }
        let shape = self.shape;
        Some(Head::from_spans(block, spans, policy).map(|mut head| {
            head.set_shape(shape);
            head
        }))
    }
}

/// Where the variables of `block` stand, if they have the names of those at `known_spans` in
/// `known`, in the same order.
fn places(block: &[u8], known: &[u8], known_spans: &[Span]) -> Option<Vec<Span>> {
    let mut spans = Vec::with_capacity(known_spans.len());
    let mut left = known_spans;
    // Where the next variable begins, in one block and in the other.
    let (mut at, mut known_at) = (0, 0);
    loop {
        let same = common_prefix(&block[at..], &known[known_at..]);
        let known_end = known_at + same;
        // Those that end in there, NUL included, are the same.
        let whole = left.iter().take_while(|span| (span.end as usize) < known_end).count();
        let moved = offset(at).wrapping_sub(offset(known_at));
        spans.extend(left[..whole].iter().map(|span| span.moved(moved)));
        let Some(next) = left.get(whole) else { break };
        // A name is the same if the NUL behind it is as well; so it is the value that differs.
        if known_end < next.value as usize {
            return None;
        }
        let differs = at + same;
        let end = differs + block[differs..].iter().position(|byte| *byte == 0)?;
        spans.push(Span { end: offset(end), ..next.moved(moved) });
        (at, known_at) = (end + 1, next.end as usize + 1);
        left = &left[whole + 1..];
    }
    let ends_at = spans.last().map_or(0, |last| last.end as usize + 1);
    (ends_at == block.len()).then_some(spans)
}

/// How many bytes two blocks begin with alike.
#[inline]
fn common_prefix(one: &[u8], other: &[u8]) -> usize {
    let words = one.as_chunks::<8>().0.iter().zip(other.as_chunks::<8>().0);
    let whole = words.take_while(|(one, other)| one == other).count() * 8;
    let rest = one[whole..].iter().zip(&other[whole..]);
    whole + rest.take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::super::RequestHead;
    use super::*;

    fn input(variables: &[(&str, &str)]) -> Vec<u8> {
        let head = variables
            .iter()
            .fold(RequestHead::new(0), |head, (name, value)| head.variable(name, value));
        head.encode().unwrap()
    }

    fn decoded<'a>(decoder: &mut Decoder, input: &'a [u8]) -> Head<'a> {
        decoder.decode(input, &Limits::default()).unwrap().unwrap().0
    }

    #[test]
    fn values_may_grow_shrink_and_vanish_where_the_names_stay() {
        let mut decoder = Decoder::default();
        let first = input(&[("A", "one"), ("B", "two"), ("C", "three")]);
        let shape = decoded(&mut decoder, &first).shape();

        for (a, b, c) in [
            ("one", "two", "three"),
            ("", "two", "three"),
            ("one", "", ""),
            ("ones", "tw", "threefold"),
            ("one", "two", "thre"),
            ("eno", "owt", "eerht"),
        ] {
            let next = input(&[("A", a), ("B", b), ("C", c)]);
            let head = decoded(&mut decoder, &next);

            assert_eq!(head.shape(), shape);
            let values = ["A", "B", "C"].map(|name| head.get_str(name).unwrap());
            assert_eq!(values, [a, b, c]);
        }
    }

    #[test]
    fn other_names_are_another_shape_and_come_to_be_known() {
        let mut decoder = Decoder::default();
        let heads = [
            input(&[("A", "x"), ("B", "x")]),
            input(&[("A", "x"), ("C", "x")]),
            input(&[("A", "x")]),
            input(&[("A", "x"), ("B", "x"), ("C", "x")]),
            input(&[("B", "x"), ("A", "x")]),
        ];

        let shapes: Vec<_> =
            heads.iter().map(|head| decoded(&mut decoder, head).shape().unwrap()).collect();

        assert!(shapes.windows(2).all(|pair| pair[0] != pair[1]), "{shapes:?}");
        let again = decoded(&mut decoder, heads.last().unwrap()).shape();
        assert_eq!(again, shapes.last().copied());
    }

    #[test]
    fn a_head_in_which_names_were_joined_is_not_remembered() {
        let mut decoder = Decoder::default();
        let block = "CONTENT_LENGTH\x000\0SCGI\x001\0HTTP_A\0x\0HTTP_A\0y\0";
        let input = format!("{}:{block},", block.len());

        for _ in 0..2 {
            let head = decoded(&mut decoder, input.as_bytes());

            assert_eq!((head.get_str("HTTP_A"), head.shape()), (Some("x, y"), None));
        }
    }

    #[test]
    fn what_is_too_long_to_be_remembered_is_decoded_all_the_same() {
        let mut decoder = Decoder::default();
        let long = "x".repeat(KEPT_BYTES);
        let (short, long) = (input(&[("A", "x")]), input(&[("A", &long)]));

        assert_eq!(decoded(&mut decoder, &long).shape(), None);
        let shape = decoded(&mut decoder, &short).shape();
        assert_eq!(decoded(&mut decoder, &long).get("A").unwrap().len(), KEPT_BYTES);
        assert_eq!(decoded(&mut decoder, &short).shape(), shape);
    }
}
