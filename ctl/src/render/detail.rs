//! All that is known of one app, in sections.

use std::fmt::Write as _;

use scgi_protocol::control::{App, AppDetail, CurrentRequest, Roll, Worker, WorkerState};

use super::table::{Align, Column, table};
use super::{Tone, View, app, line, text, trouble};

/// All that is known of an app.
pub(crate) fn detail(detail: &AppDetail, view: &View) -> String {
    let AppDetail { app, kind, unseen, run, settings, workers_now, events, log } = detail;
    let mut told = view.paint(Tone::Title, app.name.as_str());
    told.push('\n');
    told += &fields(&about(app, run, view));
    told += &troubles(app, view);
    let title = format!("Not seen of kind {}", kind.as_str());
    told +=
        &section(&title, unseen.iter().map(|what| indented(&text::one_line(what))).collect(), view);
    told += &section("Workers", workers(workers_now, view), view);
    // Where it listens stands at the top, and here only if the configuration says it otherwise.
    let listen = app.listen.join(", ");
    let settings = settings.iter().filter(|(key, value)| key != "listen" || *value != listen);
    let settings: Vec<(&str, String)> =
        settings.map(|(key, value)| (key.as_str(), text::one_line(value))).collect();
    told += &section("Settings", fields(&settings), view);
    told +=
        &section("Events", events.iter().map(|e| indented(&line::event(e, view))).collect(), view);
    told += &section("Log", log.iter().map(|l| indented(&line::log(l, view))).collect(), view);
    told
}

fn about(app: &App, run: &[String], view: &View) -> Vec<(&'static str, String)> {
    let age = text::age(app.since.age(view.now));
    let state = view.paint(app::tone(app.state), app.state.as_str());
    let mut fields = vec![("state", format!("{state} for {age}"))];
    // One that could not be prepared has none of these.
    if !run.is_empty() {
        fields.push(("run", text::one_line(&run.join(" "))));
        fields.push(("listen", app::listen(app)));
        fields.push(("workers", workers_in_words(app)));
        fields.push(("generation", generation(app)));
        fields.push(("busy", busy(app)));
        fields.push(("requests", requests(app)));
        fields.push(("restarts", app.restarts.to_string()));
    }
    if let Some(id) = app.operation {
        fields.push(("operation", format!("op:{id}; `scgictl wait op:{id}` follows it")));
    }
    fields
}

/// The generation, and the one it replaces: `4; replaces 3; seats: 1 new, 1 old`.
pub(crate) fn generation(app: &App) -> String {
    let Some(roll) = app.roll else { return app.generation.to_string() };
    let Roll { from, to, old, new, under_way, paused } = roll;
    match (under_way, paused) {
        (true, true) => format!("{to}; replaces {from}, paused; seats: {new} new, {old} old"),
        (true, false) => format!("{to}; replaces {from}; seats: {new} new, {old} old"),
        (false, _) => format!("{to}; an undo returns to {from} until {to} has proven itself"),
    }
}

/// The seats: `1 of 2 serving, 1 starting; 0-4 allowed`.
fn workers_in_words(app: &App) -> String {
    let seats = app.workers;
    let mut words = format!("{} of {} serving", seats.serving, seats.wanted);
    for (count, what) in [(seats.starting, "starting"), (seats.draining, "draining")] {
        if count > 0 {
            write!(words, ", {count} {what}").expect("a String takes all");
        }
    }
    if seats.min != seats.max || seats.max != seats.wanted {
        write!(words, "; {} allowed", app::bounds(app)).expect("a String takes all");
    }
    if seats.scaled {
        words.push_str("; scaled until the configuration changes");
    }
    words
}

fn busy(app: &App) -> String {
    let waiting = app.queue.map_or_else(|| "unknown".to_owned(), |queue| queue.to_string());
    match app.silent {
        _ if app::is_silent(app) => {
            format!("unknown, its workers keep no page; {waiting} waiting")
        }
        0 => format!("{} of {}, {waiting} waiting", app.busy, app.capacity),
        silent => format!(
            "{} of {}, {waiting} waiting; {silent} workers keep no page",
            app.busy, app.capacity
        ),
    }
}

fn requests(app: &App) -> String {
    if app::is_silent(app) && app.requests == 0 {
        return "unknown".to_owned();
    }
    app.requests.to_string()
}

fn troubles(app: &App, view: &View) -> String {
    let Some(trouble) = &app.trouble else {
        let line = trouble::line(app, view).unwrap_or_default();
        let wrapped = if line.is_empty() { line } else { text::wrap(&line, 2, view.width) };
        return section("Trouble", wrapped, view);
    };
    let mut told = text::wrap(&text::one_line(&trouble.cause), 2, view.width);
    for line in &trouble.evidence {
        writeln!(told, "  | {}", text::one_line(line.trim_end())).expect("a String takes all");
    }
    let retry = trouble::retry(trouble, view).map_or(String::new(), |retry| format!("; {retry}"));
    let next = format!("next: {}{retry}", trouble.next);
    told += &text::wrap(&text::one_line(&next), 2, view.width);
    section("Trouble", told, view)
}

fn section(title: &str, body: String, view: &View) -> String {
    if body.is_empty() { body } else { format!("\n{}\n{body}", view.paint(Tone::Title, title)) }
}

fn fields(fields: &[(&str, String)]) -> String {
    let width = fields.iter().map(|(key, _)| key.chars().count()).max().unwrap_or(0);
    fields.iter().map(|(key, value)| format!("  {key:width$}  {value}\n")).collect()
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

fn workers(workers: &[Worker], view: &View) -> String {
    if workers.is_empty() {
        return String::new();
    }
    let view = View { width: view.width.map(|width| width.saturating_sub(2)), ..*view };
    indented(&table(
        &worker_columns(),
        workers,
        |worker, indent| below(worker, indent, &view),
        &view,
    ))
}

fn worker_columns() -> [Column<Worker>; 8] {
    [
        column("SEAT", Align::Right, 0, |worker, _| worker.seat.to_string()),
        column("WORKER", Align::Right, 4, |worker, _| worker.id.to_string()),
        column("GEN", Align::Right, 3, |worker, _| worker.generation.to_string()),
        column("PID", Align::Right, 0, |worker, _| {
            worker.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string())
        }),
        Column { tone: |worker| tone(worker.state), ..column("STATE", Align::Left, 0, state) },
        column("SINCE", Align::Left, 1, |worker, view| text::age(worker.since.age(view.now))),
        column("REQUESTS", Align::Right, 2, |worker, _| {
            worker.requests.map_or_else(|| "-".to_owned(), |requests| requests.to_string())
        }),
        column("STATUS", Align::Left, 5, |worker, _| {
            text::one_line(worker.status.as_deref().unwrap_or("-"))
        }),
    ]
}

fn column(
    title: &'static str,
    align: Align,
    rank: u8,
    cell: fn(&Worker, &View) -> String,
) -> Column<Worker> {
    Column { title, align, rank, cell, tone: |_| Tone::Plain }
}

fn state(worker: &Worker, _: &View) -> String {
    let role = match worker {
        Worker { relief: true, .. } => " (relief)",
        Worker { template: true, .. } => " (template)",
        Worker { .. } => "",
    };
    format!("{}{role}", worker.state.as_str())
}

fn tone(state: WorkerState) -> Tone {
    match state {
        WorkerState::Idle => Tone::Good,
        WorkerState::Busy | WorkerState::Starting | WorkerState::Draining => Tone::Busy,
        WorkerState::Killed => Tone::Bad,
    }
}

/// The requests a worker is serving.
fn below(worker: &Worker, indent: usize, view: &View) -> String {
    let line = |request: &CurrentRequest| {
        let CurrentRequest { method, uri, phase, for_ms } = request;
        let text = text::one_line(&format!("{phase} {method} {uri} for {for_ms} ms"));
        let room = view.width.map_or(usize::MAX, |width| width.saturating_sub(indent).max(20));
        format!("{:indent$}{}\n", "", text::cut(&text, room))
    };
    worker.current.iter().map(line).collect()
}
