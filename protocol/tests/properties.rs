//! What holds of the SCGI codec whatever the bytes: it is total, it agrees with itself, and it
//! does not care how its input was split.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use scgi_protocol::scgi::{
    Decoder, Head, HeadError, Leniencies, Limits, Policy, RequestHead, ResponseHead, decode, needed,
};

const LENIENT: Limits = Limits { max_head_bytes: 4096, policy: Policy::Lenient };
const STRICT: Limits = Limits { max_head_bytes: 4096, policy: Policy::Strict };

fn limits() -> impl Strategy<Value = Limits> {
    prop_oneof![Just(LENIENT), Just(STRICT)]
}

/// Bytes that mean something more often than others.
fn telling_byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        4 => select(b"0123456789:,\0 \r\nGETHTTP_CONTENT_LENGTH\x16".to_vec()),
        1 => any::<u8>(),
    ]
}

/// A head framed as it should be, of variables that often are not what they should be.
fn framed() -> impl Strategy<Value = Vec<u8>> {
    let names = vec!["CONTENT_LENGTH", "SCGI", "HTTP_A", "HTTP_B", "HTTP_COOKIE", "PATH_INFO", ""];
    let values = vec!["", "0", "1", "17", "x", "1x"];
    let first = prop_oneof![9 => Just("CONTENT_LENGTH\x005\0SCGI\x001\0"), 1 => Just("")];
    let rest = vec((select(names), select(values)), 0..8);
    (first, rest).prop_map(|(first, rest)| {
        let rest: String =
            rest.iter().flat_map(|(name, value)| [*name, "\0", *value, "\0"]).collect();
        format!("{}:{first}{rest},", first.len() + rest.len()).into_bytes()
    })
}

fn framed_with_one_byte_changed() -> impl Strategy<Value = Vec<u8>> {
    (framed(), any::<Index>(), telling_byte()).prop_map(|(mut input, at, byte)| {
        let at = at.index(input.len());
        input[at] = byte;
        input
    })
}

fn input() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..64),
        vec(telling_byte(), 0..64),
        framed(),
        framed_with_one_byte_changed(),
    ]
}

/// Heads with the same names in the same order, some of them damaged, and others among them.
fn alike() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let names = vec!["HTTP_A", "HTTP_B", "HTTP_COOKIE", "PATH_INFO", "A", "AA", "REMOTE_PORT"];
    let values = "|0|1|x|1x|[a-c]{0,3}|[a-c]{7,20}";
    vec(select(names), 0..8).prop_flat_map(move |names| {
        let block = vec(values, names.len()).prop_map(move |values| {
            let pairs = names.iter().zip(values);
            pairs.map(|(name, value)| format!("{name}\0{value}\0")).collect::<String>()
        });
        let framed = (select(vec!["5", "0", "17", "x"]), block).prop_map(|(length, block)| {
            let block = format!("CONTENT_LENGTH\0{length}\0SCGI\x001\0{block}");
            format!("{}:{block},", block.len()).into_bytes()
        });
        let damaged = (framed.clone(), any::<Index>(), telling_byte());
        let damaged = damaged.prop_map(|(mut input, at, byte)| {
            let at = at.index(input.len());
            input[at] = byte;
            input
        });
        vec(prop_oneof![6 => framed, 3 => damaged, 1 => input()], 1..8)
    })
}

/// What a decoded head says, to be compared.
type Said = (usize, u64, Leniencies, Vec<(Vec<u8>, Vec<u8>)>);

fn outcome(input: &[u8], limits: &Limits) -> Result<Option<Said>, HeadError> {
    Ok(decode(input, limits)?.map(said))
}

fn said((head, taken): (Head<'_>, usize)) -> Said {
    (taken, head.content_length(), head.leniencies(), variables(&head))
}

fn variables<C: FromIterator<(Vec<u8>, Vec<u8>)>>(head: &Head<'_>) -> C {
    head.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

proptest! {
    /// So a refusal may be acted on at once, and splitting a head changes nothing.
    #[test]
    fn a_verdict_never_changes_as_bytes_arrive(input in input(), limits in limits()) {
        let mut verdict = Ok(None);
        for end in 0..=input.len() {
            let next = outcome(&input[..end], &limits);
            if verdict != Ok(None) {
                prop_assert_eq!(&next, &verdict);
            }
            verdict = next;
        }
    }

    /// So what was decoded before is never to be seen in what is decoded next.
    #[test]
    fn what_a_decoder_remembers_changes_nothing(inputs in alike(), limits in limits()) {
        let mut decoder = Decoder::default();
        let mut shapes: Vec<(_, Vec<_>)> = Vec::new();
        for input in &inputs {
            let decoded = decoder.decode(input, &limits);
            if let Ok(Some((head, _))) = &decoded && let Some(shape) = head.shape() {
                shapes.push((shape, head.iter().map(|(name, _)| name.to_vec()).collect()));
            }

            prop_assert_eq!(decoded.map(|decoded| decoded.map(said)), outcome(input, &limits));
        }
        for (shape, names) in &shapes {
            let same = shapes.iter().filter(|(other, _)| other == shape);
            prop_assert!(same.into_iter().all(|(_, others)| others == names));
        }
    }

    #[test]
    fn a_decoded_head_keeps_the_promises_of_its_type(input in input(), limits in limits()) {
        let Ok(Some((head, taken))) = decode(&input, &limits) else { return Ok(()) };

        let names: Vec<&[u8]> = head.iter().map(|(name, _)| name).collect();
        let mut distinct = names.clone();
        distinct.sort_unstable();
        distinct.dedup();
        prop_assert_eq!(distinct.len(), names.len());
        prop_assert!(names.iter().all(|name| !name.is_empty() && !name.contains(&0)));
        prop_assert!(limits.policy == Policy::Lenient || head.leniencies().is_none());
        prop_assert_eq!(needed(&input, &limits), Ok(Some(taken)));
        prop_assert_eq!(input[taken - 1], b',');
    }

    #[test]
    fn what_is_strictly_a_head_is_leniently_the_same(input in input()) {
        if let Ok(strict) = outcome(&input, &STRICT) {
            prop_assert_eq!(outcome(&input, &LENIENT), Ok(strict));
        }
    }

    #[test]
    fn every_refusal_has_a_known_reason_and_a_printable_answer(input in input()) {
        let Err(error) = decode(&input, &STRICT) else { return Ok(()) };

        let answer = String::from_utf8(error.answer()).unwrap();
        prop_assert!(HeadError::REASONS.contains(&error.reason()));
        prop_assert!(answer.contains(&error.status().to_string()));
        prop_assert!(answer.chars().all(|c| !c.is_control() || c == '\r' || c == '\n'));
    }

    #[test]
    fn an_encoded_request_decodes_to_itself(
        content_length in 0..=i64::MAX.unsigned_abs(),
        mut added in btree_map(vec(1..=255_u8, 1..40), vec(1..=255_u8, 0..40), 0..80),
        body in vec(any::<u8>(), 0..20),
    ) {
        added.retain(|name, _| name != b"CONTENT_LENGTH" && name != b"SCGI");
        let request = added.iter().fold(RequestHead::new(content_length), |request, (name, value)| {
            request.variable(name, value)
        });
        let encoded = request.encode().unwrap();
        let wire = [&encoded[..], &body].concat();

        let limits = Limits { policy: Policy::Strict, ..Limits::default() };
        let (head, taken) = decode(&wire, &limits).unwrap().unwrap();

        added.insert(b"CONTENT_LENGTH".to_vec(), content_length.to_string().into_bytes());
        added.insert(b"SCGI".to_vec(), b"1".to_vec());
        prop_assert_eq!(taken, encoded.len());
        prop_assert_eq!(head.content_length(), content_length);
        prop_assert_eq!(variables::<BTreeMap<_, _>>(&head), added);
    }

    #[test]
    fn joined_values_are_those_sent_in_their_order(values in vec("[a-z]{0,3}", 1..100)) {
        let repeated: String = values.iter().map(|value| format!("HTTP_X\0{value}\0")).collect();
        let block = format!("CONTENT_LENGTH\x000\0SCGI\x001\0{repeated}");
        let wire = format!("{}:{block},", block.len());

        let (head, _) = decode(wire.as_bytes(), &LENIENT).unwrap().unwrap();

        prop_assert_eq!(head.get_str("HTTP_X"), Some(&*values.join(", ")));
        prop_assert_eq!(head.leniencies().repeated, values.len() - 1);
    }

    #[test]
    fn an_encoded_response_decodes_to_itself(
        status in 200..=999_u16,
        reason in "[!-~]([ -~]{0,20}[!-~])?",
        headers in vec(("X-[A-Za-z-]{1,20}", "[!-~]([ -~]{0,40}[!-~])?"), 0..10),
        body in vec(any::<u8>(), 0..20),
    ) {
        let response = ResponseHead::new(status).with_reason(reason);
        let response = headers.into_iter().fold(response, |response, (name, value)| {
            response.header(name, value)
        });
        let encoded = response.encode().unwrap();
        let wire = [&encoded[..], &body].concat();

        let decoded = ResponseHead::decode(&wire, 4096);

        prop_assert_eq!(decoded, Ok(Some((response, encoded.len()))));
    }

    #[test]
    fn a_verdict_on_a_response_never_changes_as_bytes_arrive(
        input in prop_oneof![
            vec(any::<u8>(), 0..64),
            vec(
                select(vec![
                    "Status: 200 OK", "Status: 4", "HTTP/1.1 200", "X: y", "Location: /", " z", "",
                    "\0", "no colon", "\r\n", "\r\n", "\n", "\n", "\r",
                ]),
                0..12,
            ).prop_map(|pieces| pieces.concat().into_bytes()),
        ],
        max_bytes in 0..80_usize,
    ) {
        let mut verdict = Ok(None);
        for end in 0..=input.len() {
            let next = ResponseHead::decode(&input[..end], max_bytes);
            if verdict != Ok(None) {
                prop_assert_eq!(&next, &verdict);
            }
            verdict = next;
        }
    }

    #[test]
    fn a_header_that_is_taken_stays_on_its_line(
        name in "[a-z \r\n\0é]{1,4}",
        value in vec(telling_byte(), 0..20),
    ) {
        let Ok(head) = ResponseHead::new(200).header(name, value).encode() else { return Ok(()) };

        let breaks = head.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count();
        prop_assert_eq!(breaks, 6);
        prop_assert!(!head.contains(&0));
    }
}
