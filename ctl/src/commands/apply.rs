//! `apply` and `rollback`: another configuration is taken over, and seen through to its end.

use scgi_protocol::control::{Operation, Status};

use super::{Context, operation, proposed};
use crate::cli::{Apply, Patience, Rollback};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render::revision;

/// Takes a configuration over.
pub(super) async fn run(context: Context<'_>, apply: Apply) -> Result<Exit, Failure> {
    let Apply { proposed, patience } = apply;
    let accepted = proposed::post(&context.client, "/v1/apply", proposed).await?;
    see_through(context, accepted, patience).await
}

/// Returns to an earlier configuration.
pub(super) async fn rollback(context: Context<'_>, rollback: Rollback) -> Result<Exit, Failure> {
    let Rollback { to, if_match, patience } = rollback;
    let path = to.map_or_else(|| "/v1/rollback".to_owned(), |to| format!("/v1/rollback?to={to}"));
    let accepted = context.client.propose(&path, None, if_match.as_deref()).await?;
    see_through(context, accepted, patience).await
}

/// Waits for the end, and says if another configuration is in force then than the daemon's file.
async fn see_through(
    mut context: Context<'_>,
    accepted: Operation,
    patience: Patience,
) -> Result<Exit, Failure> {
    let exit = operation::see_through(&mut context, vec![accepted], patience).await?;
    // What it ended with is known; without an answer to this there is nothing to add.
    if let Ok(Status { daemon, .. }) = context.client.get("/v1/status").await
        && let Some(words) = revision::elsewhere(&daemon)
    {
        context.console.say(&words);
    }
    Ok(exit)
}
