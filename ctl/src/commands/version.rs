//! `version`: of this program, and of the daemon if one runs.

use scgi_protocol::control::Status;
use serde::Serialize;

use super::Context;
use crate::cli::Format;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render::value;

/// The versions, for programs.
#[derive(Debug, Serialize)]
struct Versions {
    scgictl: &'static str,
    scgid: Option<String>,
}

/// Prints the versions. A daemon that does not run is no failure, and is said.
pub(super) async fn run(context: Context<'_>) -> Result<Exit, Failure> {
    let status = context.client.get::<Status>("/v1/status").await;
    let scgictl = env!("CARGO_PKG_VERSION");
    let versions =
        Versions { scgictl, scgid: status.as_ref().ok().map(|s| s.daemon.version.clone()) };
    match context.format {
        Format::Json => context.console.data(value::json(&versions)?)?,
        Format::Yaml => context.console.data(value::yaml(&versions)?)?,
        Format::Table | Format::Wide | Format::Name => {
            context.console.line(&format!("scgictl {scgictl}"))?;
            if let Some(scgid) = &versions.scgid {
                context.console.line(&format!("scgid {scgid}"))?;
            }
        }
    }
    if let Err(error) = status {
        context.console.say(&error.to_string());
    }
    Ok(Exit::Done)
}
