//! Reading the journal: from where on and how much, as a list or as a stream. What is read is the
//! business of those who ask.

use axum::Json;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use futures_util::stream::Stream;
use serde::Serialize;

use super::problem::Refused;
use super::{Room, sse};
use crate::journal::{Batch, Entry, Journal, Start};

/// How many entries are listed if nobody says how many.
const USUAL: usize = 100;

/// Something of the journal that can be listed and followed.
pub(super) trait Passage {
    /// What it consists of.
    type Entry: Entry + Serialize + Send + Sync + 'static;

    /// Most entries of a list.
    const MOST: usize;

    /// At most `most` entries from `start` on, oldest first.
    fn list(&self, journal: &Journal, start: Start, most: usize) -> Batch<Self::Entry>;

    /// The entries from `start` on, as they come.
    fn follow(
        self,
        journal: &Journal,
        start: Start,
    ) -> impl Stream<Item = Batch<Self::Entry>> + Send + 'static;

    /// What kind of message an entry is in a stream.
    fn kind(entry: &Self::Entry) -> &str;
}

/// From where on somebody wants to read, and how much.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// After the entry of this number; without it, the last ones.
    pub(super) after: Option<u64>,
    /// So many at most.
    pub(super) most: Option<usize>,
}

impl Extent {
    /// Where reading begins; with `usual` of the last entries if nothing is said.
    fn start(self, usual: usize) -> Start {
        match self.after {
            Some(id) => Start::After(id),
            None => Start::Last(self.most.unwrap_or(usual)),
        }
    }
}

/// The answer to whoever wants to read a passage: a stream if the headers ask for one, else a list.
pub(super) fn answer<P: Passage>(
    room: &Room,
    headers: &HeaderMap,
    extent: Extent,
    passage: P,
) -> Result<Response, Refused> {
    let journal = &room.state.journal;
    if sse::is_wanted(headers) {
        let batches = passage.follow(journal, sse::resumes(headers, extent.start(0)));
        return sse::respond(room, batches, P::kind);
    }
    let most = extent.most.unwrap_or(USUAL).min(P::MOST);
    let batch = passage.list(journal, extent.start(USUAL), most);
    let entries: Vec<&P::Entry> = batch.entries.iter().map(|entry| &**entry).collect();
    Ok(Json(entries).into_response())
}
