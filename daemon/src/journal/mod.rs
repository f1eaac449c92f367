//! The journal: what happened and what workers wrote, for as long as there is room.
//!
//! Writing never waits and never fails. Room is bounded: events by their number; lines by their
//! number per app and by their bytes in total, where the app that holds most gives way first, so
//! that a chatty app cannot push out what a quiet one said.
//!
//! `ring` is what things are kept in, `merge` makes one list of many, `follow` is how somebody
//! waits for more, `tale` how a note of the core becomes words for a person.

mod follow;
mod merge;
mod ring;
mod tale;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use scgi_protocol::control::{EVENTS_MAX, Event, LINES_MAX, LogLine, Stream, Timestamp};
use scgi_protocol::name::{AppName, WorkerId};
use tokio::sync::watch;

pub use follow::{EventFollower, LineFollower, SiteFollower};
use ring::Ring;
pub use ring::{Batch, Entry, Start};
pub use tale::Tale;

use crate::supervisor::{About, Note};

/// What a line costs beside its text, in bytes, roughly.
const LINE_OVERHEAD_BYTES: usize = 128;

/// How much a journal keeps.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Events.
    pub events: usize,
    /// Lines of one app.
    pub lines_per_app: usize,
    /// Bytes of all lines of all apps.
    pub line_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { events: EVENTS_MAX, lines_per_app: LINES_MAX, line_bytes: 8 * 1024 * 1024 }
    }
}

/// One line as it was read from a worker.
#[derive(Debug)]
pub struct Written<'a> {
    /// Who wrote it.
    pub by: &'a About,
    /// Where to.
    pub stream: Stream,
    /// When it was read.
    pub at: Timestamp,
    /// The line without its end.
    pub line: String,
    /// Bytes cut off its end.
    pub cut_bytes: u64,
    /// Lines of the same app that were dropped right before it.
    pub dropped_before: u64,
}

/// What happened and what workers wrote. Clones are handles of the same journal.
#[derive(Clone, Debug)]
pub struct Journal {
    bounds: Bounds,
    kept: Arc<Mutex<Kept>>,
    /// Rise with every event and every line.
    event_news: Arc<watch::Sender<u64>>,
    line_news: Arc<watch::Sender<u64>>,
}

#[derive(Debug, Default)]
struct Kept {
    events: Ring<Event>,
    last_event: u64,
    lines: BTreeMap<AppName, Lines>,
    last_line: u64,
    line_bytes: usize,
}

#[derive(Debug, Default)]
struct Lines {
    ring: Ring<LogLine>,
    bytes: usize,
    /// Lines that came too fast to be written down.
    dropped: u64,
}

impl Default for Journal {
    fn default() -> Self {
        Self::new(Bounds::default())
    }
}

impl Journal {
    /// An empty journal.
    pub fn new(bounds: Bounds) -> Self {
        let news = || Arc::new(watch::Sender::new(0));
        Self { bounds, kept: Arc::default(), event_news: news(), line_news: news() }
    }

    /// Writes down a note of the core as an event. An app that was removed loses its lines.
    pub fn tell(&self, note: &Note, at: Timestamp) {
        self.write_event(Tale::of(note), at);
        if let Note::Removed { app } = note {
            self.lock().forget(app);
        }
    }

    /// Writes down something that happened outside the core.
    pub fn write_event(&self, tale: Tale, at: Timestamp) {
        let mut kept = self.lock();
        kept.last_event += 1;
        let event = tale.into_event(kept.last_event, at);
        kept.events.push(event);
        if kept.events.len() > self.bounds.events {
            kept.events.drop_oldest();
        }
        drop(kept);
        self.event_news.send_modify(|turn| *turn += 1);
    }

    /// All events that are kept, oldest first.
    pub fn all_events(&self) -> Vec<Event> {
        self.lock().events.iter().map(|event| (**event).clone()).collect()
    }

    /// Goes on after `events`, of which the journal of another program ends with the last.
    pub fn resume_events(&self, events: Vec<Event>) {
        let mut kept = self.lock();
        for event in events {
            kept.last_event = kept.last_event.max(event.id);
            kept.events.push(event);
        }
        while kept.events.len() > self.bounds.events {
            kept.events.drop_oldest();
        }
    }

    /// Writes down a line of a worker.
    pub fn write_line(&self, written: Written<'_>) {
        self.lock().write_line(written, self.bounds);
        self.line_news.send_modify(|turn| *turn += 1);
    }

    /// Counts a line that came too fast to be written down.
    pub fn drop_line(&self, app: &AppName) {
        self.lock().lines.entry(app.clone()).or_default().dropped += 1;
    }

    /// Goes on counting an app's lines that came too fast from what had been told of them.
    pub fn resume_dropped(&self, app: &AppName, least: u64) {
        if least > 0 {
            let mut kept = self.lock();
            let dropped = &mut kept.lines.entry(app.clone()).or_default().dropped;
            *dropped = least.max(*dropped);
        }
    }

    /// How many lines of each app came too fast to be written down; those without are left out.
    pub fn dropped_lines(&self) -> BTreeMap<AppName, u64> {
        let kept = self.lock();
        let dropped = kept.lines.iter().filter(|(_, lines)| lines.dropped > 0);
        dropped.map(|(app, lines)| (app.clone(), lines.dropped)).collect()
    }

    /// At most `most` events from `start` on, of one app or of everything.
    pub fn events(&self, start: Start, app: Option<&AppName>, most: usize) -> Batch<Event> {
        let wanted = |event: &Event| app.is_none_or(|app| event.app.as_ref() == Some(app));
        let kept = self.lock();
        kept.events.read(kept.events.cursor(start, wanted), most, wanted)
    }

    /// At most `most` lines of an app from `start` on.
    pub fn lines(&self, start: Start, app: &AppName, most: usize) -> Batch<LogLine> {
        let kept = self.lock();
        let Some(Lines { ring, .. }) = kept.lines.get(app) else { return Batch::default() };
        ring.read(ring.cursor(start, |_| true), most, |_| true)
    }

    /// At most `most` lines of all apps from `start` on, in the order of their numbers.
    pub fn all_lines(&self, start: Start, most: usize) -> Batch<LogLine> {
        let kept = self.lock();
        kept.read_all(kept.progress(start), most).0
    }

    /// The last lines that a worker of an app wrote to its standard error, oldest first, at most
    /// `most`. Empty lines do not count.
    pub fn last_words(&self, app: &AppName, worker: WorkerId, most: usize) -> Vec<String> {
        let kept = self.lock();
        let Some(Lines { ring, .. }) = kept.lines.get(app) else { return Vec::new() };
        let latest_first = ring.iter().rev().filter(|line| line.worker == worker);
        let mut words: Vec<String> = latest_first
            .filter(|line| line.stream == Stream::Stderr && !line.line.trim().is_empty())
            .take(most)
            .map(|line| line.line.clone())
            .collect();
        words.reverse();
        words
    }

    /// Follows events from `start` on, of one app or of everything.
    pub fn follow_events(&self, start: Start, app: Option<AppName>) -> EventFollower {
        EventFollower::new(self.clone(), start, app)
    }

    /// Follows the lines of an app from `start` on.
    pub fn follow_lines(&self, start: Start, app: AppName) -> LineFollower {
        LineFollower::new(self.clone(), start, app)
    }

    /// Follows the lines of all apps from `start` on.
    pub fn follow_all_lines(&self, start: Start) -> SiteFollower {
        SiteFollower::new(self.clone(), start)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn write_line(&mut self, written: Written<'_>, bounds: Bounds) {
        let Written { by, stream, at, line, cut_bytes, dropped_before } = written;
        let About { app, seat, worker, generation, role: _ } = by.clone();
        self.last_line += 1;
        let id = self.last_line;
        let bytes = cost(&line);
        let lines = self.lines.entry(app.clone()).or_default();
        lines.ring.push(LogLine {
            id,
            at,
            app,
            seat,
            worker,
            generation,
            stream,
            line,
            cut_bytes,
            dropped_before,
        });
        lines.bytes += bytes;
        self.line_bytes += bytes;
        if lines.ring.len() > bounds.lines_per_app {
            self.line_bytes -= lines.drop_oldest();
        }
        while self.line_bytes > bounds.line_bytes {
            self.shed();
        }
    }

    /// Drops the oldest eighth of the lines of the app that holds most bytes.
    fn shed(&mut self) {
        let Some(fattest) = self.lines.values_mut().max_by_key(|lines| lines.bytes) else { return };
        for _ in 0..fattest.ring.len().div_ceil(8) {
            self.line_bytes -= fattest.drop_oldest();
        }
    }

    fn forget(&mut self, app: &AppName) {
        if let Some(lines) = self.lines.remove(app) {
            self.line_bytes -= lines.bytes;
        }
    }
}

impl Lines {
    /// Drops the oldest line and returns how many bytes that gave back.
    fn drop_oldest(&mut self) -> usize {
        let bytes = self.ring.drop_oldest().map_or(0, |line| cost(&line.line));
        self.bytes -= bytes;
        bytes
    }
}

fn cost(line: &str) -> usize {
    line.len() + LINE_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests;
