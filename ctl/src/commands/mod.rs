//! What each command does: ask the daemon, hand the answer to `render`, say how it ended.

mod act;
mod apply;
mod changes;
pub(crate) mod completion;
mod describe;
mod events;
mod exchange;
mod front;
mod history;
mod local;
mod logs;
mod operation;
mod plan;
mod progress;
mod proposed;
mod ps;
mod request;
mod rollout;
mod shutdown;
mod tail;
mod upgrade;
mod version;
mod wait;

use scgi_protocol::control::{App, Verb};
use scgi_protocol::name::AppName;

use crate::cli::{Cli, Command, Format, Rollout};
use crate::client::Client;
use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::socket::Socket;

/// What every command is given.
struct Context<'a> {
    client: Client,
    console: &'a mut Console,
    format: Format,
}

/// Does what the command line says.
///
/// # Errors
///
/// [`Failure`], to be told to the person and to end with its exit code.
pub(crate) async fn run(cli: Cli, console: &mut Console) -> Result<Exit, Failure> {
    let client = Client::new(Socket::find(cli.globals.socket));
    let mut context = Context { client, console, format: cli.globals.output };
    match cli.command {
        Command::Ps(look) => ps::list(context, look).await,
        Command::Status(look) => ps::status(context, look).await,
        Command::Describe(selection) => describe::run(context, selection).await,
        Command::Start(order) => act::run(context, Verb::Start, order).await,
        Command::Stop(order) => act::run(context, Verb::Stop, order).await,
        Command::Restart(order) => act::run(context, Verb::Restart, order).await,
        Command::Reload(reload) => act::reload(context, reload).await,
        Command::Plan(plan) => plan::run(context, plan).await,
        Command::Apply(apply) => apply::run(context, apply).await,
        Command::Rollback(rollback) => apply::rollback(context, rollback).await,
        Command::Rollout(Rollout::History) => history::run(context).await,
        Command::Retry(order) => act::run(context, Verb::Retry, order).await,
        Command::Rollout(Rollout::Status(apps)) => rollout::status(context, apps).await,
        Command::Rollout(Rollout::Pause(order)) => act::run(context, Verb::Pause, order).await,
        Command::Rollout(Rollout::Resume(order)) => act::run(context, Verb::Resume, order).await,
        Command::Rollout(Rollout::Undo(order)) => act::run(context, Verb::Undo, order).await,
        Command::Scale(scale) => act::scale(context, scale).await,
        Command::Logs(logs) => logs::run(context, logs).await,
        Command::Events(events) => events::run(context, events).await,
        Command::Wait(wait) => wait::run(context, wait).await,
        Command::Front(front) => front::run(context, front).await,
        Command::Check(check) => local::check(check),
        Command::Schema => local::schema(),
        Command::Request(request) => request::run(context, request).await,
        Command::Upgrade(upgrade) => upgrade::run(context, upgrade).await,
        Command::Shutdown(patience) => shutdown::run(context, patience).await,
        Command::Completion(completion) => completion::run(&mut context, &completion),
        Command::Version => version::run(context).await,
    }
}

impl Context<'_> {
    /// The apps called `names`, in that order and each once; all apps if none is named.
    async fn apps(&self, names: &[AppName]) -> Result<Vec<App>, Failure> {
        select(self.client.get("/v1/apps").await?, names)
    }

    /// The names of the apps an order is about: as [`Context::apps`], but none at all is a failure.
    async fn named(&self, names: &[AppName]) -> Result<Vec<AppName>, Failure> {
        let apps = self.apps(names).await?;
        if apps.is_empty() {
            return Err(Failure::NoApps);
        }
        Ok(apps.into_iter().map(|app| app.name).collect())
    }
}

/// The apps called `names` out of `apps`, in that order and each once; all if none is named.
fn select(apps: Vec<App>, names: &[AppName]) -> Result<Vec<App>, Failure> {
    if names.is_empty() {
        return Ok(apps);
    }
    let mut selected: Vec<App> = Vec::new();
    for name in names {
        let Some(app) = apps.iter().find(|app| app.name == *name) else {
            let apps = apps.into_iter().map(|app| app.name).collect();
            return Err(Failure::NoSuchApp { name: name.clone(), apps });
        };
        if selected.iter().all(|other| other.name != *name) {
            selected.push(app.clone());
        }
    }
    Ok(selected)
}
