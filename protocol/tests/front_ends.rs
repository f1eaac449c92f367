//! Heads recorded from real front ends are understood exactly.
//!
//! What to expect was cut out of each recording by a script, not by the decoder.

#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::fs;
use std::path::Path;

use scgi_protocol::scgi::{Head, HeadError, Leniencies, Limits, Policy, decode};
use serde_json::Value;

const STRICT: Limits = Limits { max_head_bytes: 1 << 20, policy: Policy::Strict };

/// Names that a request repeats, and what their values are joined to.
type Joined = &'static [(&'static str, &'static str)];

/// Every recorded request that breaks the specification: in all three a name is repeated.
const REPEATED: [(&str, &str, Joined); 3] = [
    // This nginx sends each header line of the client as a variable of its own.
    ("nginx-1.22.1", "dup_headers", &[("HTTP_X_DUP", "1, 2"), ("HTTP_COOKIE", "a=1; b=2")]),
    // The client sent `X-Under` and `X_Under`, which become one name.
    ("apache-2.4.71-mod_scgi-2.2", "underscore_clash", &[("HTTP_X_UNDER", "good, evil")]),
    ("lighttpd-1.4.69", "underscore_clash", &[("HTTP_X_UNDER", "good, evil")]),
];

struct Recording {
    front_end: String,
    case: String,
    body_bytes: u64,
    variables: Vec<(Vec<u8>, Vec<u8>)>,
    block: Vec<u8>,
}

impl Recording {
    fn parse(line: &str) -> Self {
        let json: Value = serde_json::from_str(line).unwrap();
        let variable = |pair: &Value| (latin1(&pair[0]), latin1(&pair[1]));
        Self {
            front_end: json["front_end"].as_str().unwrap().to_owned(),
            case: json["case"].as_str().unwrap().to_owned(),
            body_bytes: json["body_bytes"].as_u64().unwrap(),
            variables: json["variables"].as_array().unwrap().iter().map(variable).collect(),
            block: latin1(&json["block"]),
        }
    }

    fn label(&self) -> String {
        format!("{} {}", self.front_end, self.case)
    }

    /// The head as it went over the wire.
    fn wire(&self) -> Vec<u8> {
        [format!("{}:", self.block.len()).as_bytes(), &self.block, b","].concat()
    }

    /// The names this request repeats; none for most.
    fn joined(&self) -> Joined {
        let mut repeated = REPEATED.iter();
        repeated
            .find(|(front_end, case, _)| *front_end == self.front_end && *case == self.case)
            .map_or(&[], |(_, _, joined)| joined)
    }

    /// The variables a lenient decoder finds: those recorded, repeated ones joined.
    fn expected(&self) -> Vec<(&[u8], &[u8])> {
        let mut expected: Vec<(&[u8], &[u8])> = Vec::new();
        for (name, value) in &self.variables {
            let joined = self.joined().iter().find(|(joined, _)| joined.as_bytes() == name);
            let value = joined.map_or(value.as_slice(), |(_, value)| value.as_bytes());
            let repeats = joined.is_some() && expected.contains(&(name, value));
            if !repeats {
                expected.push((name, value));
            }
        }
        expected
    }

    /// Fails unless `head` holds exactly what was recorded.
    fn check(&self, head: &Head<'_>) {
        let label = self.label();
        let expected = self.expected();

        assert_eq!(head.iter().collect::<Vec<_>>(), expected, "{label}");
        assert_eq!(head.content_length(), self.body_bytes, "{label}");
        for (name, value) in expected {
            assert_eq!(head.get(str::from_utf8(name).unwrap()), Some(value), "{label}");
        }
    }
}

/// The bytes of a string in which each character stands for one.
fn latin1(string: &Value) -> Vec<u8> {
    string.as_str().unwrap().chars().map(|character| u8::try_from(character).unwrap()).collect()
}

fn recordings() -> Vec<Recording> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/front-ends");
    let mut recordings = Vec::new();
    for (file, heads) in [
        ("nginx-1.22.1.jsonl", 26),
        ("apache-2.4.71-mod_proxy_scgi.jsonl", 24),
        ("apache-2.4.71-mod_scgi-2.2.jsonl", 25),
        ("lighttpd-1.4.69.jsonl", 24),
    ] {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        assert_eq!(text.lines().count(), heads, "{file}");
        recordings.extend(text.lines().map(Recording::parse));
    }
    recordings
}

#[test]
fn every_recorded_head_gives_exactly_its_variables() {
    for recording in recordings() {
        let wire = [&recording.wire()[..], b"body"].concat();

        let (head, taken) = decode(&wire, &Limits::default()).unwrap().unwrap();

        assert_eq!(&wire[taken..], b"body", "{}", recording.label());
        recording.check(&head);
    }
}

#[test]
fn a_recorded_head_gives_the_same_wherever_it_is_split() {
    for recording in recordings() {
        let wire = recording.wire();

        for end in 0..wire.len() {
            let early = decode(&wire[..end], &Limits::default()).unwrap();
            assert!(early.is_none(), "{} after {end} bytes", recording.label());
        }

        let (head, taken) = decode(&wire, &Limits::default()).unwrap().unwrap();
        assert_eq!(taken, wire.len());
        recording.check(&head);
    }
}

#[test]
fn only_heads_with_repeated_names_are_refused_strictly() {
    for recording in recordings() {
        let wire = recording.wire();

        let result = decode(&wire, &STRICT);

        match recording.joined() {
            [] => recording.check(&result.unwrap().unwrap().0),
            joined => {
                let HeadError::Repeated { name } = result.unwrap_err() else {
                    panic!("{} is refused for another reason", recording.label());
                };
                assert!(joined.iter().any(|(joined, _)| *joined == name), "{name}");
            }
        }
    }
}

#[test]
fn repeated_names_are_all_that_had_to_be_let_pass() {
    for recording in recordings() {
        let wire = recording.wire();
        let repeated = recording.joined().len();

        let (head, _) = decode(&wire, &Limits::default()).unwrap().unwrap();

        let expected = Leniencies { repeated, ..Leniencies::default() };
        assert_eq!(head.leniencies(), expected, "{}", recording.label());
    }
}
