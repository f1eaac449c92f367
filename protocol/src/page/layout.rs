//! The page to the byte. A change here is a new [`VERSION`].
//!
//! ```text
//! byte  words                                byte  words
//!    0  magic                                 128  bytes in
//!    8  version                               136  bytes out
//!   16  state                                 144  busy nanoseconds
//!   24  capacity (requests at once)           152  leniencies applied to requests
//!   32  heartbeat, ns                         160  idle since, ns (0: busy or unknown)
//!   40  requests begun                        168  service time, 18 words
//!   48  requests ended                        312  queue wait, 18 words
//!   56  ends by class, 5 words                456  clients parked
//!   96  ends aborted by the client            464  requests whose reply is parked
//!  104  connections refused, 3 words          472  parked clients shed
//!                                             480  requests that waited too long
//!                                             488  response heads too large for nginx
//!                                             496  requests with repeated variables
//!                                             504  checkups, and one more (0: not said)
//!                                             512  checkups answered badly
//!                                             520  reserved, 63 words
//!                                            1024  12 records of 256 bytes
//! ```
//!
//! All words are unsigned 64-bit integers in the machine's byte order, written and read as
//! atomics; times are nanoseconds of `CLOCK_MONOTONIC`. A histogram is 17 counts (one for each of
//! [`BOUNDS_US`], then one for all above), not cumulative, and the sum in nanoseconds.
//!
//! A client is *parked* while the worker waits for it beside its threads: for its request to come
//! in, or for it to take its reply. Such a request has not begun, or holds no thread any more.

use std::sync::atomic::AtomicU64;

/// The size of a page in bytes.
pub const BYTES: usize = 4096;

/// First word of a page: `SCGIPAGE` as a big-endian number.
pub const MAGIC: u64 = 0x5343_4749_5041_4745;

/// Second word of a page: the version of this layout.
pub const VERSION: u64 = 1;

/// Upper bounds of the histograms' buckets, inclusive, in microseconds.
pub const BOUNDS_US: [u64; 16] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000,
];

/// Number of a histogram's counts: one for each bound and one for all above.
pub const BUCKETS: usize = BOUNDS_US.len() + 1;

/// Number of records, that is of requests whose details can be seen at once.
pub const RECORDS: usize = 12;

/// Longest method that is kept, in bytes.
pub const METHOD_BYTES: usize = 16;

/// Longest URI that is kept, in bytes.
pub const URI_BYTES: usize = 208;

/// A histogram as it lies in the page.
#[derive(Debug)]
#[repr(C)]
pub struct Histogram {
    /// Counts, by bucket.
    pub counts: [AtomicU64; BUCKETS],
    /// Sum of all that was counted, in nanoseconds.
    pub sum_ns: AtomicU64,
}

/// One request being served, guarded by `sequence`: odd while it is being written.
#[derive(Debug)]
#[repr(C)]
pub struct Record {
    /// Rises by one before and after each change.
    pub sequence: AtomicU64,
    /// When it began; 0 if the record is free.
    pub since_ns: AtomicU64,
    /// A [`super::Phase`].
    pub phase: AtomicU64,
    /// Length of the URI that is kept, in bytes.
    pub uri_len: AtomicU64,
    /// The method, filled up with NUL.
    pub method: [AtomicU64; METHOD_BYTES / 8],
    /// The URI as the front end sent it, cut after [`URI_BYTES`].
    pub uri: [AtomicU64; URI_BYTES / 8],
}

/// The page.
#[derive(Debug)]
#[repr(C)]
pub struct Layout {
    /// [`MAGIC`].
    pub magic: AtomicU64,
    /// [`VERSION`].
    pub version: AtomicU64,
    /// A [`super::State`].
    pub state: AtomicU64,
    /// For how many requests at once the worker has room.
    pub capacity: AtomicU64,
    /// When the worker's loop last turned.
    pub heartbeat_ns: AtomicU64,
    /// Requests that a thread took up, or that ended before one did.
    pub begun: AtomicU64,
    /// Requests that were answered or given up.
    pub ended: AtomicU64,
    /// Ends by the class of the status: 1xx and nonsense, 2xx, 3xx, 4xx, 5xx.
    pub ends: [AtomicU64; 5],
    /// Of the ends, those whose client had gone.
    pub aborted: AtomicU64,
    /// Connections that never became a request, by [`super::report::Refusal`].
    pub refused: [AtomicU64; 3],
    /// Bytes of heads and bodies received.
    pub bytes_in: AtomicU64,
    /// Bytes of replies sent.
    pub bytes_out: AtomicU64,
    /// Time spent on requests; of several at once, the sum.
    pub busy_ns: AtomicU64,
    /// Requests that break the SCGI specification and were served nevertheless.
    pub leniencies: AtomicU64,
    /// Since when the worker serves no request; 0 if it serves one.
    pub idle_since_ns: AtomicU64,
    /// From accepted, or taken up by a thread after the client was waited for, to answered, or
    /// handed on because the client is slow to take the reply.
    pub service: Histogram,
    /// From the front end's stamp to accepted.
    pub queue: Histogram,
    /// Clients that are waited for beside the threads, whatever for.
    pub parked: AtomicU64,
    /// Of the requests begun and not ended, those whose reply waits for the client: no thread is
    /// at them.
    pub replying: AtomicU64,
    /// Parked clients that were dropped to make room for others.
    pub shed: AtomicU64,
    /// Requests answered 503 because they had waited too long.
    pub expired: AtomicU64,
    /// Response heads larger than nginx takes by default.
    pub large_heads: AtomicU64,
    /// Requests with variables that stood more than once and were joined.
    pub repeats: AtomicU64,
    /// One more than how many times [`super::CHECKUP`] was answered; 0 if the worker does not say.
    pub checkups: AtomicU64,
    /// Of those, answered with a status of 400 or more, or not at all.
    pub bad_checkups: AtomicU64,
    /// Zero.
    pub reserved: [AtomicU64; 63],
    /// What is being served.
    pub records: [Record; RECORDS],
}

const _: () = assert!(size_of::<Record>() == 256);
const _: () = assert!(size_of::<Layout>() == BYTES);
const _: () = assert!(std::mem::offset_of!(Layout, service) == 168);
const _: () = assert!(std::mem::offset_of!(Layout, parked) == 456);
const _: () = assert!(std::mem::offset_of!(Layout, records) == 1024);
