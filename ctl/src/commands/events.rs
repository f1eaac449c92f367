//! `events`: what happened.

use scgi_protocol::control::Event;

use super::Context;
use super::tail::{self, Source};
use crate::cli::Events;
use crate::exit::Exit;
use crate::failure::Failure;

/// Prints the last events, then what follows.
pub(super) async fn run(context: Context<'_>, events: Events) -> Result<Exit, Failure> {
    let path = match &events.app {
        None => "/v1/events".to_owned(),
        // An app that is gone may have left events, so the daemon alone knows the name.
        Some(app) => format!("/v1/events?app={app}"),
    };
    let source = Source { path, count: "limit", ask: events.tail.lines };
    tail::run::<Event>(context, vec![source], events.tail, |_| true).await
}
