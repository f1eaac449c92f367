//! Tells when it is worth asking the daemon again: when something happened, and now and then.

use std::pin::pin;
use std::time::Duration;

use scgi_protocol::control::Event;

use crate::client::Client;
use crate::stream::{Follow, Next};

/// How often to look when nothing is said: counters change without an event.
const NOW_AND_THEN: Duration = Duration::from_secs(1);

/// How long to go on listening after an event, so that a burst of them is one change.
const BURST: Duration = Duration::from_millis(30);

/// The daemon's events as a reason to look again. Without them, a clock.
#[derive(Debug)]
pub(super) struct Changes {
    client: Client,
    events: Option<Follow>,
}

impl Changes {
    /// Changes of the daemon behind `client`.
    pub(super) fn new(client: &Client) -> Self {
        Self { client: client.clone(), events: None }
    }

    /// Returns when something has changed, or may have.
    pub(super) async fn next(&mut self) {
        let mut over = pin!(tokio::time::sleep(NOW_AND_THEN));
        let happened = async {
            if self.events.is_none() {
                let opened = Follow::open(&self.client, "/v1/events".to_owned(), None).await;
                self.events = opened.ok();
            }
            match &mut self.events {
                Some(events) => events.next::<Event>().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = &mut over => return,
            next = happened => if matches!(next, Ok(Next::Broken) | Err(_)) {
                // A broken stream is opened again at the next look, not in a tight loop.
                self.events = None;
                over.await;
                return;
            },
        }
        self.drain().await;
    }

    /// Takes what follows closely, so that a burst of events is one change.
    async fn drain(&mut self) {
        let Some(events) = &mut self.events else { return };
        let mut over = pin!(tokio::time::sleep(BURST));
        loop {
            tokio::select! {
                () = &mut over => return,
                next = events.next::<Event>() => if matches!(next, Ok(Next::Broken) | Err(_)) { return },
            }
        }
    }
}
