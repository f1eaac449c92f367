//! Query strings: `a=1&b=two+words`, cut and decoded. Total: every text has a meaning.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The names and values of a query string, in order; a name without `=` has an empty value.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

fn decoded(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        return Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned());
    }
    percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded_in_the_order_sent() {
        let seen: Vec<_> = pairs("a=1&b=two+words%21&&c&a=%C3%A9=%2B").collect();

        let expected = [("a", "1"), ("b", "two words!"), ("c", ""), ("a", "é=+")];
        assert_eq!(seen, expected.map(|(name, value)| (name.into(), value.into())));
    }
}
