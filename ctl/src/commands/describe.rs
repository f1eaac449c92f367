//! `describe`: all that is known of apps.

use scgi_protocol::control::AppDetail;

use super::Context;
use crate::cli::{Format, Selection};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render::{detail, value};

/// Prints all that is known of the selected apps, a document each.
pub(super) async fn run(context: Context<'_>, selection: Selection) -> Result<Exit, Failure> {
    for (index, name) in context.named(&selection.apps).await?.iter().enumerate() {
        let app: AppDetail = context.client.get(&format!("/v1/apps/{name}")).await?;
        let text = match context.format {
            Format::Json => value::json(&app)?,
            Format::Yaml => value::yaml(&app)?,
            Format::Name => format!("{}\n", app.app.name),
            Format::Table | Format::Wide => {
                let gap = if index == 0 { "" } else { "\n" };
                format!("{gap}{}", detail::detail(&app, &context.console.view()))
            }
        };
        context.console.data(text)?;
    }
    Ok(Exit::Done)
}
