//! `rollout history`: the configurations that were in force.

use scgi_protocol::control::Revisions;

use super::Context;
use crate::cli::Format;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render::{revision, value};

/// Prints them, oldest first.
pub(super) async fn run(context: Context<'_>) -> Result<Exit, Failure> {
    let history: Revisions = context.client.get("/v1/revisions").await?;
    let numbers = history.revisions.iter().map(|revision| format!("{}\n", revision.number));
    context.console.data(match context.format {
        Format::Json => value::json(&history)?,
        Format::Yaml => value::yaml(&history)?,
        Format::Name => numbers.collect(),
        Format::Table => revision::narrow(&history, &context.console.view()),
        Format::Wide => revision::wide(&history, &context.console.view()),
    })?;
    for words in revision::troubles(&history) {
        context.console.say(&words);
    }
    Ok(Exit::Done)
}
