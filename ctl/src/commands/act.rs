//! `start`, `stop`, `restart`, `reload`, `retry`, `scale`, `rollout`: orders that end in a verified state.

use scgi_protocol::control::{Operation, Verb};
use scgi_protocol::name::AppName;

use super::{Context, operation};
use crate::cli::{Order, Patience, Reload, Scale};
use crate::exit::Exit;
use crate::failure::Failure;

/// Orders `verb` for every selected app and sees it through.
///
/// All names are looked up first, so a wrong one among them changes nothing.
pub(super) async fn run(context: Context<'_>, verb: Verb, order: Order) -> Result<Exit, Failure> {
    let names = context.named(&order.selection.apps).await?;
    each(context, verb.as_str(), &names, order.patience).await
}

/// Replaces the workers of the selected apps, or takes over the configuration if none is selected.
pub(super) async fn reload(mut context: Context<'_>, reload: Reload) -> Result<Exit, Failure> {
    let Reload { apps, all, queue, patience } = reload;
    if all || !apps.is_empty() {
        let names = context.named(&apps).await?;
        let path = if queue { "reload?queue=true" } else { "reload" };
        return each(context, path, &names, patience).await;
    }
    let accepted = context.client.post("/v1/site/reload").await?;
    operation::see_through(&mut context, vec![accepted], patience).await
}

/// Changes the number of an app's workers.
pub(super) async fn scale(mut context: Context<'_>, scale: Scale) -> Result<Exit, Failure> {
    let names = context.named(&[scale.app]).await?;
    let path = format!("/v1/apps/{}/workers", names[0]);
    let accepted = context.client.put(&path, &scale.count.0).await?;
    operation::see_through(&mut context, vec![accepted], scale.patience).await
}

/// Posts `order` to each app; one that is refused does not keep the others from it.
async fn each(
    mut context: Context<'_>,
    order: &str,
    names: &[AppName],
    patience: Patience,
) -> Result<Exit, Failure> {
    let mut accepted: Vec<Operation> = Vec::new();
    let mut refused = Exit::Done;
    for name in names {
        match context.client.post(&format!("/v1/apps/{name}/{order}")).await {
            Ok(operation) => accepted.push(operation),
            Err(error) => {
                let failure = Failure::from(error);
                if names.len() == 1 {
                    return Err(failure);
                }
                refused = refused.or(failure.exit());
                let told = failure.told().unwrap_or_default();
                context.console.complain(&told.replacen("error:", &format!("error: {name}:"), 1));
            }
        }
    }
    let ended = operation::see_through(&mut context, accepted, patience).await?;
    Ok(refused.or(ended))
}
