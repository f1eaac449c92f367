//! What a worker says aloud: that it is ready, alive, leaving. Reads no clock.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use scgi_protocol::notice::{Notice, Voice};

use crate::log;

/// A worker's voice, used by all its threads.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    voice: Option<Voice>,
    /// How often it says that it lives: twice as often as it must.
    interval: Option<Duration>,
    spoke_ns: AtomicU64,
    said_stopping: AtomicBool,
}

impl Pulse {
    /// `watchdog` is the longest silence allowed.
    pub(crate) fn new(voice: Option<Voice>, watchdog: Option<Duration>) -> Self {
        let interval = watchdog.filter(|_| voice.is_some()).map(|longest| longest / 2);
        Self { voice, interval, ..Self::default() }
    }

    /// The longest to wait between two [`beat`](Self::beat)s; `None` if nobody wants them.
    pub(crate) fn interval(&self) -> Option<Duration> {
        self.interval
    }

    pub(crate) fn ready(&self) {
        self.say(&Notice::ready());
    }

    /// Says once that the worker is leaving.
    pub(crate) fn stopping(&self) {
        if !self.said_stopping.swap(true, Relaxed) {
            self.say(&Notice::stopping());
        }
    }

    /// Says that the worker lives, if it is time to. One thread that turns is enough: what holds
    /// up the others are requests, and those have deadlines of their own.
    pub(crate) fn beat(&self, now_ns: u64) {
        let Some(interval) = self.interval else { return };
        let spoke_ns = self.spoke_ns.load(Relaxed);
        if u128::from(now_ns.saturating_sub(spoke_ns)) >= interval.as_nanos() {
            self.spoke_ns.store(now_ns, Relaxed);
            self.say(&Notice { watchdog: true, ..Notice::default() });
        }
    }

    fn say(&self, notice: &Notice) {
        let Some(voice) = &self.voice else { return };
        if let Err(error) = voice.say(notice) {
            // Whoever wanted to hear it will notice the silence; serving goes on.
            log::say(&format!("a notice could not be sent: {error}"));
        }
    }
}
