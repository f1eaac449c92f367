//! Writes revisions to disk, beside the loop: a thread of its own, since a disk may take its time.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, sync_channel};
use std::sync::{Arc, RwLock};
use std::thread;

use scgi_protocol::control::Revision;

use super::{Index, file, lock};
use crate::config::Kept;
use crate::words::in_words;

/// How many jobs may wait for a slow disk; whatever comes then is not kept.
const JOBS_MAX: usize = 64;

/// What is to be done on disk.
#[derive(Debug)]
pub(super) enum Job {
    /// Keep a revision.
    Write(Revision, Vec<Kept>),
    /// Keep what came of it.
    Settle(Revision),
    /// Remove one that is too many.
    Remove(u64),
    /// Tell when all that was asked before is done.
    Flush(Sender<()>),
}

/// Starts the thread. It ends when nobody can ask it any more.
pub(super) fn start(
    folder: PathBuf,
    index: Arc<RwLock<Index>>,
) -> std::io::Result<SyncSender<Job>> {
    let (jobs, asked) = sync_channel(JOBS_MAX);
    let work = move || work(&folder, &index, &asked);
    thread::Builder::new().name("revisions".to_owned()).spawn(work)?;
    Ok(jobs)
}

fn work(folder: &Path, index: &RwLock<Index>, jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Write(revision, texts) => {
                let written = file::write(folder, &revision, &texts);
                let mut index = lock(index);
                match written {
                    Ok(()) => index.kept(revision.number),
                    Err(error) => {
                        let told = in_words(&error);
                        let number = revision.number;
                        tracing::warn!(number, error = told, "revision not kept");
                        index.trouble =
                            Some(format!("cannot write to `{}`: {told}", folder.display()));
                    }
                }
            }
            Job::Settle(revision) => {
                // One that could not be kept is not there, and that was told.
                if let Err(error) = file::settle(folder, &revision) {
                    let error = &error as &dyn Error;
                    tracing::debug!(number = revision.number, error, "outcome not kept");
                }
            }
            Job::Remove(number) => {
                // It may never have been written.
                let _ = std::fs::remove_file(file::path(folder, number));
            }
            Job::Flush(done) => {
                // Who asked may not wait any more.
                let _ = done.send(());
            }
        }
    }
}
