//! Forms: `application/x-www-form-urlencoded` bodies, and what is percent-encoded in URLs.

use percent_encoding::percent_decode;

/// The first value of `name` in a form; what is not UTF-8 in it is replaced.
pub(super) fn value(form: &[u8], name: &str) -> Option<String> {
    form.split(|byte| *byte == b'&').find_map(|pair| {
        let (found, value) = match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &[][..]),
        };
        (decoded(found) == name).then(|| decoded(value))
    })
}

fn decoded(text: &[u8]) -> String {
    let spaced: Vec<u8> =
        text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_and_decoded() {
        let form = b"name=Ada+L.&message=a%26b+%C3%A9&name=second&empty=&flag";

        assert_eq!(value(form, "name").as_deref(), Some("Ada L."));
        assert_eq!(value(form, "message").as_deref(), Some("a&b é"));
        assert_eq!(value(form, "empty").as_deref(), Some(""));
        assert_eq!(value(form, "flag").as_deref(), Some(""));
        assert_eq!(value(form, "none"), None);
    }
}
