//! The configurations that were in force, in words.

use scgi_protocol::control::{Author, DaemonInfo, Origin, Outcome, Revision, Revisions};

use super::table::{Align, Column, table};
use super::{Tone, View, text};

/// How many apps are named in a table.
const APPS_NAMED: usize = 5;

/// A revision, and whether it is in force.
type Row<'a> = (&'a Revision, bool);

/// The revisions as a table, the one in force marked.
pub(crate) fn narrow(history: &Revisions, view: &View) -> String {
    let named = column("APPS", 3, |(revision, _), _| apps(revision, APPS_NAMED));
    print(history, vec![named], view)
}

/// The revisions as a table with all that is known of them.
pub(crate) fn wide(history: &Revisions, view: &View) -> String {
    let when = column("AT", 0, |(revision, _), _| revision.at.to_string());
    let digest = column("DIGEST", 0, |(revision, _), _| revision.digest.clone());
    let kept =
        column("KEPT", 0, |(revision, _), _| if revision.kept { "yes" } else { "no" }.to_owned());
    let named = column("APPS", 0, |(revision, _), _| apps(revision, usize::MAX));
    print(history, vec![when, digest, kept, named], view)
}

/// What keeps one from returning to some of them.
pub(crate) fn troubles(history: &Revisions) -> Vec<String> {
    let Revisions { in_force: _, revisions: _, unreadable, directory, trouble } = history;
    let trouble = trouble.as_ref().map(|why| format!("revisions are not kept: {why}"));
    let folder = directory.as_deref().unwrap_or_default();
    let unreadable = unreadable.iter().map(|one| format!("`{folder}/{}`: {}", one.file, one.why));
    trouble.into_iter().chain(unreadable).map(|words| text::one_line(&words)).collect()
}

fn print<'a>(history: &'a Revisions, more: Vec<Column<Row<'a>>>, view: &View) -> String {
    let rows: Vec<Row<'_>> = history
        .revisions
        .iter()
        .map(|revision| (revision, Some(revision.number) == history.in_force))
        .collect();
    let number = column("REVISION", 0, |(revision, in_force), _| {
        format!("{}{}", if *in_force { "*" } else { "" }, revision.number)
    });
    let mut columns = vec![
        Column { align: Align::Right, ..number },
        column("AGE", 2, |(revision, _), view| text::age(revision.at.age(view.now))),
        column("BY", 4, |(revision, _), _| author(revision.by)),
        column("FROM", 1, |(revision, _), _| text::one_line(&origin(&revision.origin))),
        Column {
            tone: |(revision, _)| tone(&revision.outcome),
            ..column("OUTCOME", 0, |(revision, _), _| outcome(&revision.outcome).to_owned())
        },
    ];
    columns.extend(more);
    table(&columns, &rows, |(revision, _), indent| below(revision, indent, view), view)
}

fn column<'a>(
    title: &'static str,
    rank: u8,
    cell: fn(&Row<'a>, &View) -> String,
) -> Column<Row<'a>> {
    Column { title, align: Align::Left, rank, cell, tone: |_| Tone::Plain }
}

/// Why it failed.
fn below(revision: &Revision, indent: usize, view: &View) -> String {
    match &revision.outcome {
        Outcome::Failed(why) => text::wrap(&text::one_line(why), indent, view.width),
        Outcome::Running | Outcome::Done | Outcome::Unknown => String::new(),
    }
}

fn apps(revision: &Revision, most: usize) -> String {
    let names: Vec<&str> = revision.apps.iter().take(most).map(|app| app.as_str()).collect();
    let more = revision.apps.len() - names.len();
    match (names.is_empty(), more) {
        (true, _) => "-".to_owned(),
        (false, 0) => names.join(", "),
        (false, more) => format!("{} and {more} more", names.join(", ")),
    }
}

fn author(by: Author) -> String {
    match by {
        Author::Start => "start".to_owned(),
        Author::Signal => "SIGHUP".to_owned(),
        Author::Peer { uid, pid: None } => format!("user {uid}"),
        Author::Peer { uid, pid: Some(pid) } => format!("user {uid}, pid {pid}"),
    }
}

fn outcome(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Running => "under way",
        Outcome::Done => "done",
        Outcome::Failed(_) => "failed",
        Outcome::Unknown => "unknown",
    }
}

fn tone(outcome: &Outcome) -> Tone {
    match outcome {
        Outcome::Running | Outcome::Unknown => Tone::Busy,
        Outcome::Done => Tone::Good,
        Outcome::Failed(_) => Tone::Bad,
    }
}

/// That the configuration in force is not that of the daemon's file, and what that means; `None` if
/// it is.
pub(crate) fn elsewhere(daemon: &DaemonInfo) -> Option<String> {
    let file = daemon.config.as_ref()?;
    let origin = origin(daemon.origin.as_ref()?);
    let number = daemon.revision.map_or(String::new(), |number| format!(" is revision {number},"));
    Some(format!(
        "in force{number} from {origin}, and not `{file}`; `scgictl reload`, SIGHUP or a restart \
         takes that file"
    ))
}

/// Where a configuration came from.
fn origin(origin: &Origin) -> String {
    match origin {
        Origin::File(path) => path.clone(),
        Origin::Text(name) => name.clone(),
        Origin::Rollback(number) => format!("revision {number}"),
    }
}
