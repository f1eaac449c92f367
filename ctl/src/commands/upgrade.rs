//! `upgrade`: puts another scgid in the daemon's place, and is done when that one answers.

use std::time::Duration;

use scgi_protocol::control::{DaemonInfo, Status, Upgrade, UpgradeRequest};

use super::Context;
use super::operation::{Deadline, patiently};
use crate::cli;
use crate::cli::Format;
use crate::client::{Client, ClientError};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render::value;

/// The time between two looks whether the other one answers.
const BREATH: Duration = Duration::from_millis(20);

/// Upgrades the daemon, or asks whether it could be.
pub(super) async fn run(context: Context<'_>, upgrade: cli::Upgrade) -> Result<Exit, Failure> {
    let cli::Upgrade { check, binary, timeout } = upgrade;
    let binary = match binary.as_deref().map(std::path::absolute).transpose() {
        Ok(binary) => binary.map(|path| path.display().to_string()),
        // Nobody is where they are any more; the daemon says what it thinks of the path.
        Err(_) => binary.map(|path| path.display().to_string()),
    };
    let before: Status = context.client.get("/v1/status").await?;
    let asked = UpgradeRequest { binary, check };
    let upgrade: Upgrade = context.client.post_with("/v1/upgrade", &asked).await?;
    if !check {
        let other = other_answers(&context.client, &before);
        if patiently(Deadline::after(timeout), other).await?.is_some() {
            return Err(Failure::NotReplaced { binary: upgrade.binary });
        }
    }
    let Upgrade { from, to, binary } = &upgrade;
    match context.format {
        Format::Json => context.console.data(value::json(&upgrade)?)?,
        Format::Yaml => context.console.data(value::yaml(&upgrade)?)?,
        Format::Table | Format::Wide | Format::Name if check => {
            context.console.line(&format!("scgid {to} ({binary}) can go on where {from} is"))?;
        }
        Format::Table | Format::Wide | Format::Name => {
            context.console.line(&format!("scgid {to} ({binary}) goes on where {from} was"))?;
        }
    }
    Ok(Exit::Done)
}

/// Waits until a daemon answers that began later. The connection breaks when it begins; that of one
/// that was given back what it had handed over has begun later, too.
async fn other_answers(client: &Client, before: &Status) -> Result<(), Failure> {
    loop {
        match client.get::<Status>("/v1/status").await {
            Ok(Status { daemon: DaemonInfo { not_upgraded: Some(why), .. }, .. }) => {
                return Err(Failure::NotUpgraded { why });
            }
            Ok(now) if now.daemon.since != before.daemon.since => return Ok(()),
            Ok(_) | Err(ClientError::Lost { .. }) => {}
            Err(error) if error.is_absence() => {}
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(BREATH).await;
    }
}
