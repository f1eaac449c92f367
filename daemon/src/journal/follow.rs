//! Followers: readers who wait for more.
//!
//! A follower never holds up the writer: what was pushed out of the journal before it came back is
//! lost to it, and it is told how much that was.

use scgi_protocol::control::{Event, LogLine};
use scgi_protocol::name::AppName;
use tokio::sync::watch;

use super::Journal;
use super::merge::Progress;
use super::ring::{Batch, Cursor, Start};

/// How many entries a follower gets at once.
const BATCH: usize = 256;

/// Follows events.
#[derive(Debug)]
pub struct EventFollower {
    journal: Journal,
    news: watch::Receiver<u64>,
    app: Option<AppName>,
    cursor: Cursor,
}

/// Follows the lines of one app.
#[derive(Debug)]
pub struct LineFollower {
    journal: Journal,
    news: watch::Receiver<u64>,
    app: AppName,
    cursor: Cursor,
}

/// Follows the lines of all apps.
#[derive(Debug)]
pub struct SiteFollower {
    journal: Journal,
    news: watch::Receiver<u64>,
    progress: Progress,
}

impl EventFollower {
    pub(super) fn new(journal: Journal, start: Start, app: Option<AppName>) -> Self {
        let cursor = journal.lock().events.cursor(start, |event| concerns(event, app.as_ref()));
        let news = journal.event_news.subscribe();
        Self { journal, news, app, cursor }
    }

    /// The next events; waits until there are some, or some were missed.
    pub async fn next(&mut self) -> Batch<Event> {
        loop {
            self.news.borrow_and_update();
            let app = self.app.as_ref();
            let batch = {
                let kept = self.journal.lock();
                kept.events.read(self.cursor, BATCH, |event| concerns(event, app))
            };
            self.cursor = batch.cursor;
            if !batch.entries.is_empty() || batch.missed > 0 {
                return batch;
            }
            wait(&mut self.news).await;
        }
    }
}

impl LineFollower {
    pub(super) fn new(journal: Journal, start: Start, app: AppName) -> Self {
        let cursor = {
            let kept = journal.lock();
            kept.lines.get(&app).map(|lines| lines.ring.cursor(start, |_| true))
        };
        let news = journal.line_news.subscribe();
        Self { journal, news, app, cursor: cursor.unwrap_or_default() }
    }

    /// The next lines; waits until there are some, or some were missed.
    pub async fn next(&mut self) -> Batch<LogLine> {
        loop {
            self.news.borrow_and_update();
            let batch = {
                let kept = self.journal.lock();
                kept.lines.get(&self.app).map(|lines| lines.ring.read(self.cursor, BATCH, |_| true))
            };
            if let Some(batch) = batch {
                self.cursor = batch.cursor;
                if !batch.entries.is_empty() || batch.missed > 0 {
                    return batch;
                }
            }
            wait(&mut self.news).await;
        }
    }
}

impl SiteFollower {
    pub(super) fn new(journal: Journal, start: Start) -> Self {
        let progress = journal.lock().progress(start);
        let news = journal.line_news.subscribe();
        Self { journal, news, progress }
    }

    /// The next lines; waits until there are some, or some were missed.
    pub async fn next(&mut self) -> Batch<LogLine> {
        loop {
            self.news.borrow_and_update();
            let batch;
            (batch, self.progress) = self.journal.lock().read_all(self.progress, BATCH);
            if !batch.entries.is_empty() || batch.missed > 0 {
                return batch;
            }
            wait(&mut self.news).await;
        }
    }
}

fn concerns(event: &Event, app: Option<&AppName>) -> bool {
    app.is_none_or(|app| event.app.as_ref() == Some(app))
}

async fn wait(news: &mut watch::Receiver<u64>) {
    news.changed().await.expect("a follower keeps its journal, and that keeps the sender");
}
