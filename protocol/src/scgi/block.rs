//! The inside of a request head: `name NUL value NUL …`, cut into variables.
//!
//! One pass finds every variable and suspects repeated names; only if a name may really be
//! repeated is anything sorted or copied. Knows nothing of netstrings, and of the meaning of
//! names only that repeated request headers (`HTTP_…`) may be joined.

use std::num::NonZeroU32;

use super::{HeadError, Policy};

/// Variables for which room is made at once; front ends send 15 to 45.
const USUAL_VARIABLES: usize = 48;

/// Up to so many variables a suspicion is settled by looking at each of them.
const FEW_VARIABLES: usize = 64;

/// Largest block that can be indexed, in bytes: the word behind it has an index too.
pub(super) const MAX_BLOCK_BYTES: usize = u32::MAX as usize - 8;

/// Where one variable stands in its block. Each of its two strings ends before a NUL.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) name: u32,
    pub(super) value: u32,
    pub(super) end: u32,
}

impl Span {
    /// The span of the variable whose strings begin at `name` and `value` and end before `end`.
    pub(super) fn new(name: usize, value: usize, end: usize) -> Self {
        Self { name: offset(name), value: offset(value), end: offset(end) }
    }

    /// The same span in a block where it stands so many bytes further on, in the arithmetic of `u32`.
    #[inline]
    pub(super) fn moved(self, by: u32) -> Self {
        let [name, value, end] = [self.name, self.value, self.end].map(|at| at.wrapping_add(by));
        Self { name, value, end }
    }

    #[inline]
    pub(super) fn name(self, block: &[u8]) -> &[u8] {
        &block[self.name as usize..self.value as usize - 1]
    }

    #[inline]
    pub(super) fn value(self, block: &[u8]) -> &[u8] {
        &block[self.value as usize..self.end as usize]
    }
}

pub(super) fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("a block is at most MAX_BLOCK_BYTES long")
}

/// The variables of a block, in the order sent.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) spans: Vec<Span>,
    /// A name may stand twice; [`join_repeated`] finds out.
    pub(super) suspicious: bool,
}

/// Cuts a block into its variables.
pub(super) fn cut(block: &[u8]) -> Result<Cut, HeadError> {
    if block.last().is_some_and(|&byte| byte != 0) {
        return Err(HeadError::Unterminated);
    }
    let spans = variables(block)?;
    let mut names = Names::default();
    let mut suspicious = false;
    for (nth, variable) in spans.iter().enumerate() {
        suspicious |= names.may_hold(variable.name(block), block, &spans[..nth]);
    }
    Ok(Cut { spans, suspicious })
}

/// Finds the variables of a block that ends with NUL.
#[inline(never)] // so that its loop has the registers for itself
fn variables(block: &[u8]) -> Result<Vec<Span>, HeadError> {
    let (words, rest) = block.as_chunks();
    let mut last = [0xff; 8]; // no NUL
    last[..rest.len()].copy_from_slice(rest);
    let mut cutter = Cutter::default();
    for word in words {
        cutter.word(*word);
    }
    cutter.word(last);
    cutter.finish()
}

/// Finds the variables of a block that is handed in eight bytes at a time.
///
/// A head is mostly short strings, for which a search that begins anew behind each of them spends
/// more on beginning than on searching. This one never begins anew, whatever the strings.
struct Cutter {
    spans: Vec<Span>,
    /// Where the next word begins.
    word: u32,
    /// Where the variable that is being looked at begins.
    name: u32,
    /// Where its value begins, if its name has ended.
    value: Option<NonZeroU32>,
    /// A name was empty.
    nameless: bool,
}

impl Default for Cutter {
    fn default() -> Self {
        let spans = Vec::with_capacity(USUAL_VARIABLES);
        Self { spans, word: 0, name: 0, value: None, nameless: false }
    }
}

impl Cutter {
    #[inline]
    fn word(&mut self, word: [u8; 8]) {
        let mut nuls = zero_bytes(u64::from_le_bytes(word));
        while nuls != 0 {
            self.string_ends(self.word + nuls.trailing_zeros() / 8);
            nuls &= nuls - 1;
        }
        self.word += 8;
    }

    #[inline]
    fn string_ends(&mut self, at: u32) {
        match self.value.take() {
            None => {
                self.nameless |= at == self.name;
                self.value = NonZeroU32::new(at + 1);
            }
            Some(value) => {
                self.spans.push(Span { name: self.name, value: value.get(), end: at });
                self.name = at + 1;
            }
        }
    }

    fn finish(self) -> Result<Vec<Span>, HeadError> {
        match self {
            Self { nameless: true, .. } => Err(HeadError::EmptyName),
            Self { value: Some(_), .. } => Err(HeadError::OddStrings),
            Self { spans, .. } => Ok(spans),
        }
    }
}

/// The highest bit of every byte of `word` that is zero, and no other.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    const LOW_BITS: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    // The sum carries into a byte's highest bit if any of its others is set, and no further.
    !(((word & LOW_BITS) + LOW_BITS) | word | LOW_BITS)
}

/// Which names a list of variables holds, perhaps: a filter in front of comparing them.
///
/// Names are told apart by their length and their last bytes, where those of front ends differ.
/// A peer who makes them collide on purpose gains nothing: past [`FEW_VARIABLES`] a suspicion
/// costs a sort, not a search.
#[derive(Clone, Debug)]
pub(super) struct Names {
    bits: [u64; 64],
}

impl Default for Names {
    fn default() -> Self {
        Self { bits: [0; 64] }
    }
}

impl Names {
    /// Adds a name; tells whether it may be among the variables added before.
    ///
    /// Up to [`FEW_VARIABLES`] the answer is exact; above it may be a false alarm.
    #[inline]
    pub(super) fn may_hold(&mut self, name: &[u8], block: &[u8], before: &[Span]) -> bool {
        let hash = hash(name);
        let word = &mut self.bits[(hash >> 6) as usize & 63];
        let bit = 1 << (hash & 63);
        let seen = *word & bit != 0;
        *word |= bit;
        seen && (before.len() > FEW_VARIABLES
            || before.iter().any(|variable| variable.name(block) == name))
    }
}

/// Twelve bits of the last eight bytes and the length of a name.
#[inline]
fn hash(name: &[u8]) -> u64 {
    let tail = name.last_chunk().map_or_else(
        || name.iter().fold(0, |tail, &byte| tail << 8 | u64::from(byte)),
        |&tail| u64::from_be_bytes(tail),
    );
    let mixed = (tail ^ (name.len() as u64) << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed >> 52
}

/// A block in which every name stands once.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) block: Vec<u8>,
    pub(super) spans: Vec<Span>,
    /// How many variables went into others of the same name.
    pub(super) repeats: usize,
}

/// Joins variables of one name where the first of them stands; `None` if no name is repeated.
///
/// Only request headers may be repeated: what a client sends twice is a list. A repeated
/// `CONTENT_LENGTH` or `REMOTE_ADDR` is two answers to one question, and guessing the right one
/// is how requests get smuggled. [`Policy::Strict`] refuses headers too.
pub(super) fn join_repeated(
    block: &[u8],
    spans: &[Span],
    policy: Policy,
) -> Result<Option<Joined>, HeadError> {
    let mut sorted = spans.to_vec();
    sorted.sort_by_key(|variable| variable.name(block)); // stable: values keep their order
    let mut groups: Vec<&[Span]> =
        sorted.chunk_by(|one, other| one.name(block) == other.name(block)).collect();
    let repeats = spans.len() - groups.len();
    if repeats == 0 {
        return Ok(None);
    }
    groups.sort_by_key(|group| group[0].name);
    let mut joined = Joined { block: Vec::with_capacity(block.len()), spans: Vec::new(), repeats };
    for group in groups {
        joined.push(block, group, policy)?;
    }
    Ok(Some(joined))
}

impl Joined {
    fn push(&mut self, from: &[u8], group: &[Span], policy: Policy) -> Result<(), HeadError> {
        let name = group[0].name(from);
        let separator: &[u8] = match name {
            _ if group.len() == 1 => b"",
            _ if policy == Policy::Strict => return Err(HeadError::repeated(name)),
            b"HTTP_COOKIE" => b"; ",
            _ if name.starts_with(b"HTTP_") => b", ",
            _ => return Err(HeadError::repeated(name)),
        };
        let name_at = self.block.len();
        self.block.extend_from_slice(name);
        self.block.push(0);
        let value_at = self.block.len();
        for (nth, variable) in group.iter().enumerate() {
            self.block.extend_from_slice(if nth == 0 { b"" } else { separator });
            self.block.extend_from_slice(variable.value(from));
        }
        self.spans.push(Span::new(name_at, value_at, self.block.len()));
        self.block.push(0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every variable a front end is known to send, by their documentation.
    const USUAL_NAMES: &str = "CONTENT_LENGTH SCGI REQUEST_METHOD REQUEST_URI QUERY_STRING \
        CONTENT_TYPE DOCUMENT_URI DOCUMENT_ROOT SERVER_PROTOCOL REQUEST_SCHEME HTTPS REMOTE_ADDR \
        REMOTE_PORT SERVER_PORT SERVER_NAME SERVER_ADDR SERVER_SOFTWARE SCRIPT_NAME PATH_INFO \
        PATH_TRANSLATED SCRIPT_FILENAME GATEWAY_INTERFACE HTTP_HOST HTTP_USER_AGENT HTTP_ACCEPT \
        HTTP_ACCEPT_LANGUAGE HTTP_ACCEPT_ENCODING HTTP_REFERER HTTP_COOKIE HTTP_CONNECTION \
        HTTP_UPGRADE_INSECURE_REQUESTS HTTP_SEC_FETCH_DEST HTTP_SEC_FETCH_MODE \
        HTTP_SEC_FETCH_SITE HTTP_SEC_FETCH_USER HTTP_SEC_CH_UA HTTP_SEC_CH_UA_MOBILE \
        HTTP_SEC_CH_UA_PLATFORM HTTP_PRIORITY HTTP_CACHE_CONTROL HTTP_PRAGMA HTTP_DNT";

    fn block(variables: &[(&str, &str)]) -> Vec<u8> {
        variables
            .iter()
            .flat_map(|(name, value)| [*name, "\0", *value, "\0"])
            .collect::<String>()
            .into()
    }

    #[test]
    fn nul_alone_is_told_from_all_other_bytes_wherever_it_stands() {
        for byte in 0..=255 {
            for beside in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                for place in 0..8 {
                    let mut word = [beside; 8];
                    word[place] = byte;

                    let found = zero_bytes(u64::from_le_bytes(word)).to_le_bytes();

                    assert_eq!(found, word.map(|byte| if byte == 0 { 0x80 } else { 0 }));
                }
            }
        }
    }

    #[test]
    fn strings_of_every_length_are_cut_where_they_end() {
        for length in 1..40 {
            let (name, value) = ("N".repeat(length), "v".repeat(40 - length));
            let block = block(&[(&name, &value), ("B", ""), (&value, &name)]);

            let cut = cut(&block).unwrap();

            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let seen: Vec<_> =
                cut.spans.iter().map(|s| (text(s.name(&block)), text(s.value(&block)))).collect();
            let expected = [(&name, &value), (&"B".into(), &String::new()), (&value, &name)];
            assert_eq!(seen, expected.map(|(name, value)| (name.clone(), value.clone())));
        }
    }

    #[test]
    fn the_usual_names_are_told_apart_by_the_filter_alone() {
        let mut hashes: Vec<u64> =
            USUAL_NAMES.split(' ').map(|name| hash(name.as_bytes())).collect();
        let names = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();

        assert_eq!(names - hashes.len(), 0, "so many of {names} collide");
    }

    #[test]
    fn different_names_raise_no_suspicion_even_if_they_collide() {
        let block = block(&[("A_REMOTE_ADDR", ""), ("B_REMOTE_ADDR", "")]);

        assert_eq!(hash(b"A_REMOTE_ADDR"), hash(b"B_REMOTE_ADDR"));
        assert!(!cut(&block).unwrap().suspicious);
    }

    #[test]
    fn many_names_that_collide_are_sorted_not_searched_and_found_different() {
        let names: Vec<String> = (0..200).map(|n| format!("{n:03}_REMOTE_ADDR")).collect();
        let block = block(&names.iter().map(|name| (name.as_str(), "x")).collect::<Vec<_>>());

        let cut = cut(&block).unwrap();

        assert!(cut.suspicious, "past a few names, a suspicion is not settled by a search");
        assert!(join_repeated(&block, &cut.spans, Policy::Strict).unwrap().is_none());
    }

    #[test]
    fn repeats_among_thousands_of_names_are_found() {
        let names: Vec<String> = (0..5000).map(|n| format!("HTTP_{}", n % 4999)).collect();
        let block = block(&names.iter().map(|name| (name.as_str(), "x")).collect::<Vec<_>>());

        let cut = cut(&block).unwrap();
        let joined = join_repeated(&block, &cut.spans, Policy::Lenient).unwrap().unwrap();

        assert!(cut.suspicious);
        assert_eq!((joined.repeats, joined.spans.len()), (1, 4999));
        assert_eq!(joined.spans[0].value(&joined.block), b"x, x");
    }

    #[test]
    fn joined_values_stand_where_the_first_stood_in_the_order_sent() {
        let block = block(&[("HTTP_B", "1"), ("HTTP_A", "2"), ("HTTP_B", ""), ("HTTP_B", "3")]);

        let joined =
            join_repeated(&block, &cut(&block).unwrap().spans, Policy::Lenient).unwrap().unwrap();

        assert_eq!(joined.block, b"HTTP_B\x001, , 3\0HTTP_A\x002\0");
        assert_eq!(joined.repeats, 2);
    }
}
