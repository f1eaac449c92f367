//! Apps as tables: one line for each, and what is wrong below it.

use scgi_protocol::control::{App, AppDetail, AppState, DaemonInfo, Wish};

use super::table::{Align, Column, table};
use super::{Tone, View, revision, text, trouble};

/// What stands where there is nothing to show.
const NOTHING: &str = "-";

/// The table of `apps` in as many columns as fit.
pub(crate) fn narrow(apps: &[App], view: &View) -> String {
    table(&columns(), apps, |app, indent| below(app, indent, view), view)
}

/// The table of apps with all that is known of them in a line, however long that is.
pub(crate) fn wide(apps: &[AppDetail], view: &View) -> String {
    let below = |detail: &AppDetail, indent| below(&detail.app, indent, view);
    table(&wide_columns(), apps, below, &View { width: None, ..*view })
}

fn below(app: &App, indent: usize, view: &View) -> String {
    let line = trouble::line(app, view);
    line.map_or_else(String::new, |line| text::wrap(&line, indent, view.width))
}

/// How a state looks.
pub(crate) fn tone(state: AppState) -> Tone {
    match state {
        AppState::Serving | AppState::Idle => Tone::Good,
        AppState::Starting | AppState::Rolling | AppState::Degraded | AppState::Stopping => {
            Tone::Busy
        }
        AppState::Held | AppState::Failing | AppState::Unprepared => Tone::Bad,
        AppState::Stopped => Tone::Faint,
    }
}

/// One line about the daemon, one about its configuration if that is not its file's, one about an
/// upgrade that failed, and one that sums up its apps.
pub(crate) fn summary(daemon: &DaemonInfo, apps: &[App], view: &View) -> Vec<String> {
    let DaemonInfo { version, pid, since, config, stopping, metrics, .. } = daemon;
    let DaemonInfo { revision: _, origin: _, not_upgraded, .. } = daemon;
    let from = config.as_ref().map_or_else(|| "the demo".to_owned(), |file| format!("`{file}`"));
    let metrics = metrics.as_ref().map_or(String::new(), |at| format!(", metrics at {at}"));
    let stopping = if *stopping { "; it is on its way out" } else { "" };
    let up = text::age(since.age(view.now));
    let about = format!("scgid {version}, pid {pid}, up {up}, serves {from}{metrics}{stopping}");
    let failed = not_upgraded.as_ref().map(|why| format!("the last upgrade failed: {why}"));
    let lines = [Some(about), revision::elsewhere(daemon), failed, Some(counted(apps))];
    lines.into_iter().flatten().map(|line| text::one_line(&line)).collect()
}

fn counted(apps: &[App]) -> String {
    if apps.is_empty() {
        return "no apps".to_owned();
    }
    let (well, unwell): (Vec<&App>, Vec<&App>) = apps.iter().partition(|app| app.state.is_well());
    let mut counts = vec![format!("{} well", well.len())];
    for state in AppState::ALL.into_iter().filter(|state| !state.is_well()) {
        let count = unwell.iter().filter(|app| app.state == state).count();
        if count > 0 {
            counts.push(format!("{count} {}", state.as_str()));
        }
    }
    let plural = if apps.len() == 1 { "" } else { "s" };
    format!("{} app{plural}: {}", apps.len(), counts.join(", "))
}

fn columns() -> Vec<Column<App>> {
    vec![
        column("APP", Align::Left, 0, |app, _| app.name.to_string()),
        Column { tone: |app| tone(app.state), ..column("STATE", Align::Left, 0, state) },
        column("WORKERS", Align::Left, 1, workers),
        column("GEN", Align::Right, 7, generation),
        column("BUSY", Align::Right, 4, busy),
        column("QUEUE", Align::Right, 3, queue),
        column("REQUESTS", Align::Right, 6, requests),
        column("RESTARTS", Align::Right, 5, |app, _| app.restarts.to_string()),
        column("SINCE", Align::Left, 2, since),
        column("LISTEN", Align::Left, 8, first_listen),
    ]
}

fn wide_columns() -> Vec<Column<AppDetail>> {
    vec![
        column("APP", Align::Left, 0, |d: &AppDetail, _| d.app.name.to_string()),
        Column {
            tone: |d| tone(d.app.state),
            ..column("STATE", Align::Left, 0, |d, v| state(&d.app, v))
        },
        column("WISH", Align::Left, 0, |d, _| wish(d.app.wish).to_owned()),
        column("WORKERS", Align::Left, 0, |d, v| workers(&d.app, v)),
        column("STARTING", Align::Right, 0, |d, _| d.app.workers.starting.to_string()),
        column("DRAINING", Align::Right, 0, |d, _| d.app.workers.draining.to_string()),
        column("MIN-MAX", Align::Left, 0, |d, _| unless_unprepared(&d.app, bounds(&d.app))),
        column("GEN", Align::Right, 0, |d, v| generation(&d.app, v)),
        column("BUSY", Align::Right, 0, |d, v| busy(&d.app, v)),
        column("QUEUE", Align::Right, 0, |d, v| queue(&d.app, v)),
        column("REQUESTS", Align::Right, 0, |d, v| requests(&d.app, v)),
        column("RESTARTS", Align::Right, 0, |d, _| d.app.restarts.to_string()),
        column("SINCE", Align::Left, 0, |d, v| since(&d.app, v)),
        column("OPERATION", Align::Left, 0, operation),
        column("PIDS", Align::Left, 0, pids),
        column("LISTEN", Align::Left, 0, |d, _| unless_unprepared(&d.app, listen(&d.app))),
    ]
}

fn column<T>(
    title: &'static str,
    align: Align,
    rank: u8,
    cell: fn(&T, &View) -> String,
) -> Column<T> {
    Column { title, align, rank, cell, tone: |_| Tone::Plain }
}

fn state(app: &App, _: &View) -> String {
    app.state.as_str().to_owned()
}

/// The wish as a word.
pub(crate) fn wish(wish: Wish) -> &'static str {
    match wish {
        Wish::Run => "run",
        Wish::Stop => "stop",
    }
}

fn workers(app: &App, _: &View) -> String {
    let scaled = if app.workers.scaled { " (scaled)" } else { "" };
    unless_unprepared(app, format!("{}/{}{scaled}", app.workers.serving, app.workers.wanted))
}

/// `text`, or nothing for an app that could not be prepared and has no such thing yet.
fn unless_unprepared(app: &App, text: String) -> String {
    let has_none = app.state == AppState::Unprepared && app.generation.0 == 0;
    if has_none { NOTHING.to_owned() } else { text }
}

fn generation(app: &App, _: &View) -> String {
    unless_unprepared(app, app.generation.to_string())
}

/// The bounds of a pool: `4`, or `0-8`.
pub(crate) fn bounds(app: &App) -> String {
    let (min, max) = (app.workers.min, app.workers.max);
    if min == max { min.to_string() } else { format!("{min}-{max}") }
}

fn busy(app: &App, _: &View) -> String {
    match app.capacity {
        0 => NOTHING.to_owned(),
        _ if is_silent(app) => "?".to_owned(),
        capacity => format!("{}/{capacity}", app.busy),
    }
}

/// None of its workers says what it is doing.
pub(crate) fn is_silent(app: &App) -> bool {
    app.workers.serving > 0 && app.silent >= app.workers.serving
}

fn requests(app: &App, _: &View) -> String {
    if is_silent(app) && app.requests == 0 { "?".to_owned() } else { app.requests.to_string() }
}

fn queue(app: &App, _: &View) -> String {
    app.queue.map_or_else(|| NOTHING.to_owned(), |queue| queue.to_string())
}

fn since(app: &App, view: &View) -> String {
    text::age(app.since.age(view.now))
}

/// Where it listens first, and in how many other places.
fn first_listen(app: &App, _: &View) -> String {
    match app.listen.as_slice() {
        [] => NOTHING.to_owned(),
        [only] => text::one_line(only),
        [first, others @ ..] => format!("{} +{}", text::one_line(first), others.len()),
    }
}

/// Everywhere it listens.
pub(crate) fn listen(app: &App) -> String {
    text::one_line(&app.listen.join(", "))
}

fn operation(detail: &AppDetail, _: &View) -> String {
    detail.app.operation.map_or_else(|| NOTHING.to_owned(), |id| format!("op:{id}"))
}

fn pids(detail: &AppDetail, _: &View) -> String {
    let pids: Vec<String> =
        detail.workers_now.iter().filter_map(|worker| Some(worker.pid?.to_string())).collect();
    if pids.is_empty() { NOTHING.to_owned() } else { pids.join(",") }
}
