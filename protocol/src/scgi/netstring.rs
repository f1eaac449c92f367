//! The length in front of a netstring: `26:` of `26:…,`.
//!
//! It is judged byte by byte, so that a peer who does not speak SCGI is found out before anything
//! is buffered for him. Never looks past the colon.

use super::HeadError;

/// Most digits of a length: 9 999 999 999 is far above every sensible limit, and stopping there
/// keeps the arithmetic free of overflow.
const MAX_DIGITS: usize = 10;

/// Reads a length prefix: the length it announces, and how many bytes it took with its colon.
///
/// `None` while the colon has not arrived.
pub(super) fn length(input: &[u8]) -> Result<Option<(u64, usize)>, HeadError> {
    let mut length = 0;
    for (at, &byte) in input.iter().enumerate() {
        match byte {
            b'0'..=b'9' if at == MAX_DIGITS => return Err(HeadError::LongLength),
            b'0'..=b'9' if at == 1 && length == 0 => return Err(HeadError::LeadingZero),
            b'0'..=b'9' => length = length * 10 + u64::from(byte - b'0'),
            b':' if at > 0 => return Ok(Some((length, at + 1))),
            _ if at == 0 => return Err(HeadError::NotNetstring { found: byte }),
            _ => return Err(HeadError::BadLength { found: byte }),
        }
    }
    Ok(None)
}

/// Appends `content` to `output` as a netstring.
pub(super) fn encode(content: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(content.len().to_string().as_bytes());
    output.push(b':');
    output.extend_from_slice(content);
    output.push(b',');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_ends_at_its_colon() {
        assert_eq!(length(b"26:CONTENT").unwrap(), Some((26, 3)));
        assert_eq!(length(b"0:,").unwrap(), Some((0, 2)));
        assert_eq!(length(b"9999999999:").unwrap(), Some((9_999_999_999, 11)));
    }

    #[test]
    fn a_length_without_colon_is_not_yet_known() {
        for input in [&b""[..], b"2", b"26", b"9999999999"] {
            assert_eq!(length(input).unwrap(), None);
        }
    }

    #[test]
    fn a_length_is_refused_at_its_first_wrong_byte() {
        for (input, reason) in [
            (&b":"[..], "not_netstring"),
            (b"-", "not_netstring"),
            (b"+", "not_netstring"),
            (b" ", "not_netstring"),
            (b"\n", "not_netstring"),
            (b"5 ", "bad_length"),
            (b"5,", "bad_length"),
            (b"5x", "bad_length"),
            (b"00", "leading_zero"),
            (b"07", "leading_zero"),
            (b"12345678901", "long_length"),
        ] {
            assert_eq!(length(input).unwrap_err().reason(), reason, "{}", input.escape_ascii());
            assert_eq!(length(&input[..input.len() - 1]).unwrap(), None);
        }
    }

    #[test]
    fn an_encoded_netstring_announces_what_it_holds() {
        let mut output = b"before ".to_vec();

        encode(b"hello world!", &mut output);
        encode(b"", &mut output);

        assert_eq!(output, b"before 12:hello world!,0:,");
    }
}
