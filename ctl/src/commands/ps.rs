//! `ps` and `status`: the apps as a table, once or whenever something changes.

use scgi_protocol::control::{App, AppDetail, Status};

use super::changes::Changes;
use super::{Context, select};
use crate::cli::{Format, Look};
use crate::client::ClientError;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render::{app, text, value};

/// Which of the two commands it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Ps,
    Status,
}

/// `ps`: lists apps. Succeeds however they are.
pub(super) async fn list(context: Context<'_>, look: Look) -> Result<Exit, Failure> {
    run(context, Command::Ps, look).await
}

/// `status`: tells how the daemon and the apps are, also by its exit code.
pub(super) async fn status(context: Context<'_>, look: Look) -> Result<Exit, Failure> {
    run(context, Command::Status, look).await
}

async fn run(context: Context<'_>, command: Command, look: Look) -> Result<Exit, Failure> {
    if look.watch {
        return watch(context, command, look).await;
    }
    let status = ask(&context, &look).await?;
    let text = print(&context, command, &status).await?;
    context.console.data(text)?;
    Ok(exit(command, &status.apps))
}

fn exit(command: Command, apps: &[App]) -> Exit {
    match command {
        Command::Status if apps.iter().any(|app| !app.state.is_well()) => Exit::NotWell,
        Command::Status | Command::Ps => Exit::Done,
    }
}

async fn ask(context: &Context<'_>, look: &Look) -> Result<Status, Failure> {
    let Status { daemon, apps } = context.client.get("/v1/status").await?;
    Ok(Status { daemon, apps: select(apps, &look.apps)? })
}

async fn print(
    context: &Context<'_>,
    command: Command,
    status: &Status,
) -> Result<String, Failure> {
    let table = match (context.format, command) {
        (Format::Json, Command::Ps) => return value::json(&status.apps),
        (Format::Json, Command::Status) => return value::json(status),
        (Format::Yaml, Command::Ps) => return value::yaml(&status.apps),
        (Format::Yaml, Command::Status) => return value::yaml(status),
        (Format::Name, _) => {
            return Ok(status.apps.iter().map(|app| format!("{}\n", app.name)).collect());
        }
        (Format::Table, _) => app::narrow(&status.apps, &context.console.view()),
        (Format::Wide, _) => {
            app::wide(&details(context, &status.apps).await?, &context.console.view())
        }
    };
    Ok(match command {
        Command::Ps => table,
        Command::Status => {
            let view = context.console.view();
            let lines = app::summary(&status.daemon, &status.apps, &view);
            let head: String = lines.iter().map(|line| text::wrap(line, 0, view.width)).collect();
            if status.apps.is_empty() { head } else { format!("{head}\n{table}") }
        }
    })
}

/// The apps with their workers. One that has left since the list was made is left out.
async fn details(context: &Context<'_>, apps: &[App]) -> Result<Vec<AppDetail>, Failure> {
    let mut details = Vec::new();
    for app in apps {
        match context.client.get(&format!("/v1/apps/{}", app.name)).await {
            Ok(detail) => details.push(detail),
            Err(ClientError::Refused(problem)) if problem.slug() == "no-such-app" => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(details)
}

/// Prints again whenever something has changed; ends when interrupted or the daemon has gone.
async fn watch(context: Context<'_>, command: Command, look: Look) -> Result<Exit, Failure> {
    let mut changes = Changes::new(&context.client);
    let mut last = String::new();
    loop {
        let status = ask(&context, &look).await?;
        let text = print(&context, command, &status).await?;
        let text = match context.format {
            Format::Json if command == Command::Ps => value::json_line(&status.apps)?,
            Format::Json => value::json_line(&status)?,
            Format::Table | Format::Wide | Format::Yaml | Format::Name => text,
        };
        if text != last {
            let frame = if context.console.is_terminal() { redraw(&text) } else { text.clone() };
            context.console.data(frame)?;
            last = text;
        }
        changes.next().await;
    }
}

/// `text` written over what is on the screen, without the flicker of clearing it first.
fn redraw(text: &str) -> String {
    let lines: String = text.lines().map(|line| format!("{line}\x1b[K\n")).collect();
    format!("\x1b[H{lines}\x1b[J")
}
