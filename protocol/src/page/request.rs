//! The records of a page: which requests a worker is serving right now.
//!
//! Each record has one writer and is guarded by a sequence number (a seqlock): the writer makes it
//! odd, writes, and makes it even; a reader that saw an odd number, or another one afterwards,
//! tries again, a bounded number of times.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, fence};

use super::layout::{METHOD_BYTES, Record, URI_BYTES};
use super::report::bump;
use super::{Page, RECORDS_MAX, words};

/// How often a reader tries to see a record at rest before it gives it up.
const TRIES: u32 = 16;

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Phase {
    /// The body is still coming.
    Reading = 0,
    /// The handler is at work.
    Handling = 1,
    /// The reply is on its way.
    Writing = 2,
}

impl Phase {
    /// The phase as a word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reading => "reading",
            Self::Handling => "handling",
            Self::Writing => "writing",
        }
    }
}

/// One request being served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serving {
    /// When it began, in nanoseconds of `CLOCK_MONOTONIC`.
    pub since_ns: u64,
    /// How far it has come.
    pub phase: Phase,
    /// The method; what is not printable ASCII is replaced by `?`.
    pub method: String,
    /// The URI as sent, cut; what is not printable ASCII is replaced by `?`.
    pub uri: String,
}

impl Page {
    /// Notes that a request began, in record `slot`; every serving thread has a record of its own.
    ///
    /// With a `slot` of [`RECORDS_MAX`] or more it is counted but its details are not seen.
    pub fn begin(&self, slot: usize, since_ns: u64, method: &[u8], uri: &[u8]) {
        bump(&words(self).begun, 1);
        let Some(record) = words(self).records.get(slot) else { return };
        change(record, || {
            put(&record.method, method);
            put(&record.uri, uri);
            record.uri_len.store(uri.len().min(URI_BYTES) as u64, Relaxed);
            record.phase.store(Phase::Reading as u64, Relaxed);
            record.since_ns.store(since_ns, Relaxed);
        });
    }

    /// Notes how far the request in record `slot` has come.
    pub fn set_phase(&self, slot: usize, phase: Phase) {
        if let Some(record) = words(self).records.get(slot) {
            record.phase.store(phase as u64, Relaxed);
        }
    }

    /// Frees record `slot`.
    pub fn free(&self, slot: usize) {
        if let Some(record) = words(self).records.get(slot) {
            record.since_ns.store(0, Release);
        }
    }
}

const _: () = assert!(RECORDS_MAX > 0);

fn change(record: &Record, write: impl FnOnce()) {
    let before = record.sequence.load(Relaxed);
    record.sequence.store(before.wrapping_add(1), Relaxed);
    fence(Release);
    write();
    record.sequence.store(before.wrapping_add(2), Release);
}

/// The request in `record`; `None` if it is free, or never at rest while it is looked at.
pub(super) fn read(record: &Record) -> Option<Serving> {
    for _ in 0..TRIES {
        let before = record.sequence.load(Acquire);
        if before % 2 == 1 {
            std::hint::spin_loop();
            continue;
        }
        let seen = copy(record);
        fence(Acquire);
        if record.sequence.load(Relaxed) == before {
            return seen;
        }
    }
    None
}

fn copy(record: &Record) -> Option<Serving> {
    let since_ns = record.since_ns.load(Relaxed);
    if since_ns == 0 {
        return None;
    }
    let phase = match record.phase.load(Relaxed) {
        0 => Phase::Reading,
        1 => Phase::Handling,
        _ => Phase::Writing,
    };
    let uri_len = usize::try_from(record.uri_len.load(Relaxed)).unwrap_or(URI_BYTES);
    Some(Serving {
        since_ns,
        phase,
        method: text(&record.method, METHOD_BYTES),
        uri: text(&record.uri, uri_len),
    })
}

fn put(words: &[AtomicU64], bytes: &[u8]) {
    let mut chunks = bytes.chunks(8);
    for word in words {
        let mut eight = [0; 8];
        let chunk = chunks.next().unwrap_or_default();
        eight[..chunk.len()].copy_from_slice(chunk);
        word.store(u64::from_ne_bytes(eight), Relaxed);
        if chunk.len() < 8 {
            break;
        }
    }
}

fn text(words: &[AtomicU64], len: usize) -> String {
    let bytes = words.iter().flat_map(|word| word.load(Relaxed).to_ne_bytes());
    let shown = |byte: u8| if byte.is_ascii_graphic() { char::from(byte) } else { '?' };
    bytes.take(len).take_while(|&byte| byte != 0).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_seen_while_it_is_served_and_not_after() {
        let (page, _fd) = Page::create().unwrap();

        page.begin(3, 42, b"GET", b"/a/b?c=d");
        page.set_phase(3, Phase::Handling);
        let during = page.serving();
        page.free(3);

        let expected = Serving {
            since_ns: 42,
            phase: Phase::Handling,
            method: "GET".into(),
            uri: "/a/b?c=d".into(),
        };
        assert_eq!(during, [expected]);
        assert_eq!(page.serving(), []);
    }

    #[test]
    fn a_shorter_uri_leaves_nothing_of_the_longer_one_before_it() {
        let (page, _fd) = Page::create().unwrap();

        page.begin(0, 1, b"DELETE", b"/a-rather-long-path/with/parts");
        page.begin(0, 2, b"PUT", b"/short12");

        let seen = &page.serving()[0];
        assert_eq!((seen.method.as_str(), seen.uri.as_str()), ("PUT", "/short12"));
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_shown() {
        let (page, _fd) = Page::create().unwrap();

        page.begin(0, 1, b"G\x1bT", &[0xff; 300]);

        let seen = &page.serving()[0];
        assert_eq!(seen.method, "G?T");
        assert_eq!(seen.uri, "?".repeat(URI_BYTES));
    }

    #[test]
    fn a_writer_that_died_in_the_middle_does_not_hold_up_a_reader() {
        let (page, _fd) = Page::create().unwrap();
        page.begin(0, 1, b"GET", b"/");
        words(&page).records[0].sequence.fetch_add(1, Relaxed);

        assert_eq!(page.serving(), []);
    }

    #[test]
    fn a_reader_never_sees_half_of_one_request_and_half_of_the_next() {
        let (page, _fd) = Page::create().unwrap();
        let uris: Vec<_> = (b'a'..=b'z').map(|letter| vec![letter; URI_BYTES]).collect();

        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for round in 0..2_000_u64 {
                    for (at, uri) in (1..).zip(&uris) {
                        page.begin(0, round * 26 + at, b"GET", uri);
                    }
                }
            });
            while !writer.is_finished() {
                for seen in page.serving() {
                    let first = seen.uri.chars().next();
                    assert!(seen.uri.chars().all(|letter| Some(letter) == first), "{seen:?}");
                }
            }
        });
    }
}
