//! `rollout status`: how far the rolls of apps are.

use std::collections::BTreeMap;

use scgi_protocol::control::App;

use super::Context;
use crate::cli::{Apps, Format};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render::{detail, value};

/// Prints one line for every app.
pub(super) async fn status(context: Context<'_>, apps: Apps) -> Result<Exit, Failure> {
    let apps = context.apps(&apps.apps).await?;
    let rolls: BTreeMap<_, _> = apps.iter().map(|app| (&app.name, app.roll)).collect();
    let text = match context.format {
        Format::Json => value::json(&rolls)?,
        Format::Yaml => value::yaml(&rolls)?,
        Format::Name => apps.iter().map(|app| format!("{}\n", app.name)).collect(),
        Format::Table | Format::Wide => {
            let line =
                |app: &App| format!("{}: generation {}\n", app.name, detail::generation(app));
            apps.iter().map(line).collect()
        }
    };
    context.console.data(text)?;
    Ok(Exit::Done)
}
