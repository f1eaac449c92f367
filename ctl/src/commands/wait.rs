//! `wait`: until operations have ended and apps are as wanted.

use scgi_protocol::control::{App, AppState};
use scgi_protocol::name::{AppName, OperationId};

use super::Context;
use super::changes::Changes;
use super::operation::{self, Deadline, Left, patiently};
use crate::cli::{Format, Wait};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::parse::Goal;
use crate::render::{View, text, trouble, value};

/// Waits for everything that is named.
pub(super) async fn run(mut context: Context<'_>, wait: Wait) -> Result<Exit, Failure> {
    let (names, operations) = wait.split();
    let deadline = Deadline::after(wait.timeout);
    let mut exit = Exit::Done;
    if !operations.is_empty() {
        exit = for_operations(&mut context, &operations, deadline).await?;
    }
    if wait.all || !names.is_empty() {
        let mut apps = context.apps(&names).await?;
        let goal = reached(&context, wait.goal, &mut apps);
        let left = patiently(deadline, goal).await?;
        exit = exit.or(tell(&mut context, &apps, wait.goal, left.as_ref())?);
    }
    Ok(exit)
}

async fn for_operations(
    context: &mut Context<'_>,
    ids: &[OperationId],
    deadline: Deadline,
) -> Result<Exit, Failure> {
    let mut operations = Vec::new();
    for id in ids {
        operations.push(context.client.get(&format!("/v1/operations/{id}")).await?);
    }
    operation::until(context, operations, deadline).await
}

/// Returns when all of `apps` are as wanted; keeps them up to date meanwhile.
async fn reached(context: &Context<'_>, goal: Goal, apps: &mut Vec<App>) -> Result<(), Failure> {
    let names: Vec<AppName> = apps.iter().map(|app| app.name.clone()).collect();
    let mut changes = Changes::new(&context.client);
    while !apps.iter().all(|app| goal.is_met_by(app)) {
        changes.next().await;
        *apps = context.apps(&names).await?;
    }
    Ok(())
}

impl Goal {
    fn is_met_by(self, app: &App) -> bool {
        match self {
            Self::Serving => app.state == AppState::Serving,
            Self::Stopped => app.state == AppState::Stopped,
            Self::Well => app.state.is_well(),
            Self::Generation(generation) => {
                app.generation >= generation
                    && matches!(app.state, AppState::Serving | AppState::Idle)
            }
        }
    }
}

fn tell(
    context: &mut Context<'_>,
    apps: &[App],
    goal: Goal,
    left: Option<&Left>,
) -> Result<Exit, Failure> {
    let view = context.console.view();
    for app in apps {
        let words = words(app, &view);
        match context.format {
            Format::Json => context.console.data(value::json_line(app)?)?,
            Format::Yaml => context.console.data(value::yaml(app)?)?,
            Format::Name => context.console.line(app.name.as_str())?,
            Format::Table | Format::Wide if left.is_none() => context.console.result(&words)?,
            Format::Table | Format::Wide => {}
        }
    }
    let Some(left) = left else { return Ok(Exit::Done) };
    for app in apps.iter().filter(|app| !goal.is_met_by(app)) {
        context.console.complain(&format!("{}: {}", left.words(), words(app, &view)));
        if let Some(line) = trouble::line(app, &view) {
            context.console.complain(text::wrap(&line, 2, None).trim_end());
        }
    }
    Ok(left.exit())
}

fn words(app: &App, view: &View) -> String {
    let App { name, state, workers, generation, .. } = app;
    let since = text::age(app.since.age(view.now));
    let (serving, wanted) = (workers.serving, workers.wanted);
    let state = state.as_str();
    format!("{name}: {state} since {since}, {serving}/{wanted} workers, generation {generation}")
}
