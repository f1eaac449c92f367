//! Sees operations through to their end: waits, shows progress, tells how they ended.
//!
//! Ctrl-C and the timeout end the waiting, never the operation.

use std::time::Duration;

use scgi_protocol::control::{App, Operation, OperationState, Verb};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Context;
use super::changes::Changes;
use super::progress::Progress;
use crate::cli::{Format, Patience};
use crate::client::{Client, ClientError};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render::{operation as render, text, value};

/// How long the daemon may hold back an answer about an operation that does not change.
///
/// It waits for a change from how things are when it is asked. What has changed between its last
/// answer and the next question is therefore only seen when that wait is over: hence so short.
const WAIT: Duration = Duration::from_secs(1);

/// The shortest time between two questions about an operation that has not changed.
const BREATH: Duration = Duration::from_millis(100);

/// Why waiting came to an end before all operations did.
#[derive(Clone, Copy, Debug)]
pub(super) enum Left {
    TimedOut(Duration),
    Interrupted,
}

impl Left {
    /// The exit code this ends with.
    pub(super) fn exit(self) -> Exit {
        match self {
            Self::TimedOut(_) => Exit::TimedOut,
            Self::Interrupted => Exit::Interrupted,
        }
    }

    /// Why nobody waits any more, in words.
    pub(super) fn words(self) -> String {
        match self {
            Self::TimedOut(after) => format!("timed out after {}", text::took(after)),
            Self::Interrupted => "interrupted".to_owned(),
        }
    }
}

/// Until when to wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    after: Duration,
    at: Instant,
}

impl Deadline {
    /// So long after this moment; a century if that is longer than time can tell.
    pub(super) fn after(after: Duration) -> Self {
        let century = Duration::from_secs(100 * 365 * 86400);
        Self { after, at: Instant::now() + after.min(century) }
    }
}

/// Lets `future` come to its end, unless the time is over or somebody presses Ctrl-C before.
pub(super) async fn patiently<E>(
    deadline: Deadline,
    future: impl Future<Output = Result<(), E>>,
) -> Result<Option<Left>, E> {
    tokio::select! {
        biased;
        ended = future => ended.map(|()| None),
        () = tokio::time::sleep_until(deadline.at) => Ok(Some(Left::TimedOut(deadline.after))),
        _ = tokio::signal::ctrl_c() => Ok(Some(Left::Interrupted)),
    }
}

/// Waits until all of `operations` have ended, as long as `patience` lasts, and tells the ends.
pub(super) async fn see_through(
    context: &mut Context<'_>,
    operations: Vec<Operation>,
    patience: Patience,
) -> Result<Exit, Failure> {
    if patience.no_wait {
        for operation in &operations {
            match context.format {
                Format::Table | Format::Wide => {
                    context.console.line(&format!("op:{}", operation.id))?;
                }
                Format::Json | Format::Yaml | Format::Name => print(context, operation, "")?,
            }
        }
        return Ok(Exit::Done);
    }
    until(context, operations, Deadline::after(patience.timeout)).await
}

/// Waits until all of `operations` have ended or the deadline is over, and tells the ends.
pub(super) async fn until(
    context: &mut Context<'_>,
    mut operations: Vec<Operation>,
    deadline: Deadline,
) -> Result<Exit, Failure> {
    let mut progress = Progress::new(operations.len());
    let ends = follow(context, &mut operations, &mut progress);
    let left = patiently(deadline, ends).await;
    progress.clear(context.console);
    tell(context, &operations, left?.as_ref())
}

/// Returns when all `operations` have ended; until then keeps them up to date and on the screen.
async fn follow(
    context: &mut Context<'_>,
    operations: &mut [Operation],
    progress: &mut Progress,
) -> Result<(), Failure> {
    let (sender, mut updates) = mpsc::unbounded_channel();
    for (index, operation) in operations.iter().enumerate() {
        let client = context.client.clone();
        tokio::spawn(watch(client.clone(), index, operation.clone(), sender.clone()));
        if operation.app.is_none() {
            tokio::spawn(watch_apps(client, index, sender.clone()));
        }
    }
    let mut under_way = operations.len();
    while under_way > 0 {
        match updates.recv().await {
            None => break,
            Some((index, Update::Apps(apps))) => {
                progress.show_apps(context.console, (index, operations[index].id), &apps);
            }
            Some((index, Update::Operation(update))) => {
                let operation = *update?;
                progress.show(context.console, index, &operation);
                match operation.state {
                    OperationState::Running => step(context, &operation)?,
                    OperationState::Done | OperationState::Failed => under_way -= 1,
                }
                operations[index] = operation;
            }
        }
    }
    Ok(())
}

/// A program hears of every step of what concerns the whole site.
fn step(context: &mut Context<'_>, operation: &Operation) -> Result<(), Failure> {
    match context.format {
        Format::Json if operation.verb == Verb::Apply => print(context, operation, ""),
        Format::Json | Format::Yaml | Format::Name | Format::Table | Format::Wide => Ok(()),
    }
}

/// What became of the operation at an index.
#[derive(Debug)]
enum Update {
    Operation(Result<Box<Operation>, ClientError>),
    /// How all apps are.
    Apps(Vec<App>),
}

type Updates = mpsc::UnboundedSender<(usize, Update)>;

/// Sends every change of `operation` until it has ended or cannot be asked for.
async fn watch(client: Client, index: usize, mut operation: Operation, updates: Updates) {
    let path = format!("/v1/operations/{}", operation.id);
    let send = |update| updates.send((index, Update::Operation(update)));
    let mut known = None;
    loop {
        if known.as_ref() == Some(&operation) {
            tokio::time::sleep(BREATH).await;
        } else if send(Ok(Box::new(operation.clone()))).is_err() {
            return;
        }
        if operation.state != OperationState::Running {
            return;
        }
        known = Some(operation);
        operation = match client.get_when_changed(&path, WAIT).await {
            Ok(operation) => operation,
            Err(error) => {
                let _waiting_may_be_over = send(Err(error));
                return;
            }
        };
    }
}

/// Sends how the apps are, whenever something happens.
async fn watch_apps(client: Client, index: usize, updates: Updates) {
    let mut changes = Changes::new(&client);
    // Without an answer there is nothing to show; what matters is told by the operation itself.
    while let Ok(apps) = client.get("/v1/apps").await {
        if updates.send((index, Update::Apps(apps))).is_err() {
            return;
        }
        changes.next().await;
    }
}

/// Tells how each operation ended, or that it has not.
pub(super) fn tell(
    context: &mut Context<'_>,
    operations: &[Operation],
    left: Option<&Left>,
) -> Result<Exit, Failure> {
    let mut exit = Exit::Done;
    for operation in operations {
        let words = match operation.state {
            OperationState::Done => render::end(operation),
            OperationState::Failed | OperationState::Running => String::new(),
        };
        print(context, operation, &words)?;
        exit = exit.or(match operation.state {
            OperationState::Done => Exit::Done,
            OperationState::Failed => {
                explain(context, operation);
                Exit::Failed
            }
            OperationState::Running => detach(context, operation, left),
        });
    }
    Ok(exit)
}

/// Prints an operation: for programs as it is, for people as `words`, if there are any.
fn print(context: &mut Context<'_>, operation: &Operation, words: &str) -> Result<(), Failure> {
    match context.format {
        Format::Json => context.console.data(value::json_line(operation)?),
        Format::Yaml => context.console.data(value::yaml(operation)?),
        Format::Name => context.console.line(&format!("op:{}", operation.id)),
        Format::Table | Format::Wide if words.is_empty() => Ok(()),
        Format::Table | Format::Wide => context.console.result(words),
    }
}

/// Says why an operation failed, what shows it, and what to do.
fn explain(context: &mut Context<'_>, operation: &Operation) {
    let mut told = vec![format!("error: {}", render::end(operation))];
    told.extend(render::evidence(operation));
    told.extend(render::next(operation));
    context.console.complain(&told.join("\n"));
}

/// Says that the operation goes on without us, and how to come back to it.
fn detach(context: &mut Context<'_>, operation: &Operation, left: Option<&Left>) -> Exit {
    let left = left.copied().unwrap_or(Left::Interrupted);
    let (why, progress, id) = (left.words(), render::progress(operation), operation.id);
    context.console.complain(&format!(
        "{why}: {progress}\n  the operation goes on; `scgictl wait op:{id}` waits for it again"
    ));
    left.exit()
}
