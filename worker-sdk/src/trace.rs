//! W3C Trace Context: the header `traceparent`, read and checked. Makes no trace of its own.

use std::fmt;

/// Bytes of a header of version 00: `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
const BYTES: usize = 55;

/// A valid `traceparent`: which trace a request belongs to, and whose work it is a part of.
///
/// Shown as it is passed on to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traceparent<'r> {
    text: &'r str,
}

impl<'r> Traceparent<'r> {
    /// Reads a header; `None` if it is not valid, and then to be treated as if it were not there.
    pub(crate) fn parse(text: &'r str) -> Option<Self> {
        let text = text.trim();
        let fields: Vec<&str> = text.get(..BYTES)?.split('-').collect();
        let &[version, trace, parent, flags] = &*fields else { return None };
        let is_hex = |field: &str, digits: usize| {
            let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            field.len() == digits && field.bytes().all(is_digit)
        };
        let is_some = |id: &str| id.bytes().any(|digit| digit != b'0');
        // Later versions may add to it, behind another dash.
        let ends = match &text[BYTES..] {
            "" => true,
            more => version != "00" && more.starts_with('-'),
        };
        let is_valid = ends
            && is_hex(version, 2)
            && version != "ff"
            && is_hex(trace, 32)
            && is_some(trace)
            && is_hex(parent, 16)
            && is_some(parent)
            && is_hex(flags, 2);
        is_valid.then_some(Self { text })
    }

    /// The trace: 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> &'r str {
        &self.text[3..35]
    }

    /// The caller's span within it: 16 lower-case hexadecimal digits.
    #[must_use]
    pub fn parent_id(&self) -> &'r str {
        &self.text[36..52]
    }

    /// Whether the caller keeps this trace.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        u8::from_str_radix(&self.text[53..BYTES], 16).is_ok_and(|flags| flags & 1 == 1)
    }
}

impl fmt::Display for Traceparent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_valid_header_is_read() {
        let seen = Traceparent::parse(GOOD).unwrap();

        assert_eq!(seen.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(seen.parent_id(), "00f067aa0ba902b7");
        assert!(seen.is_sampled());
        assert_eq!(seen.to_string(), GOOD);
    }

    #[test]
    fn a_later_version_may_say_more_and_this_one_not() {
        assert!(Traceparent::parse(&format!("01{}-more", &GOOD[2..])).is_some());
        assert!(Traceparent::parse(&format!("01{}more", &GOOD[2..])).is_none());
        assert!(Traceparent::parse(&format!("{GOOD}-more")).is_none());
    }

    #[test]
    fn what_is_not_valid_is_not_there() {
        for wrong in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
        ] {
            assert_eq!(Traceparent::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in any::<String>()) {
            let _ = Traceparent::parse(&text);
        }
    }
}
