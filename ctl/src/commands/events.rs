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
        Some(app) => {
            context.named(std::slice::from_ref(app)).await?;
            format!("/v1/events?app={app}")
        }
    };
    tail::run::<Event>(context, vec![Source { path, count: "limit" }], events.tail, |_| true).await
}
