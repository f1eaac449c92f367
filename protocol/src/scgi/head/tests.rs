//! What counts as a head, and what does not: rule by rule.

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
    for value in
        ["", "-1", "+3", "1a", " 1", "1 ", "0x1", "9223372036854775808", "99999999999999999999999"]
    {
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
