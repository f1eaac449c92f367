//! A short number for a text: the same in every process and every version, so that it may be kept.
//!
//! Tells texts apart that differ by accident (FNV-1a, 64 bits). It proves nothing to somebody who
//! means harm.

use std::fmt;

/// The digest of a text; shown as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest(u64);

impl Digest {
    /// The digest of `text`.
    pub(crate) fn of(text: &str) -> Self {
        let step = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(text.bytes().fold(0xcbf2_9ce4_8422_2325, step))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_what_everybody_else_computes() {
        let told = ["", "a", "foobar"].map(|text| Digest::of(text).to_string());

        assert_eq!(told, ["cbf29ce484222325", "af63dc4c8601ec8c", "85944171f73967e8"]);
    }
}
