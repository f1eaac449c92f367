//! The line below an app that is not well: cause, evidence, next step.

use scgi_protocol::control::{App, AppState, Trouble};

use super::{View, text};

/// As much of the evidence as stands in one line.
const EVIDENCE_MAX: usize = 120;

/// Cause, evidence and next step in one line; `None` if `app` is well.
pub(crate) fn line(app: &App, view: &View) -> Option<String> {
    match &app.trouble {
        Some(trouble) => Some(words(trouble, view)),
        None if app.state.is_well() => None,
        None => Some(of_state(app)),
    }
}

fn words(trouble: &Trouble, view: &View) -> String {
    let Trouble { cause, evidence, next, retry_at: _ } = trouble;
    let evidence = evidence.iter().rev().find(|line| !line.trim().is_empty());
    let evidence = evidence.map(|line| format!("\"{}\"", text::cut(line.trim(), EVIDENCE_MAX)));
    let parts = [Some(cause.clone()), evidence, Some(next.clone()), retry(trouble, view)];
    let parts: Vec<String> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    text::one_line(&parts.join("; "))
}

/// When the daemon tries again by itself.
pub(crate) fn retry(trouble: &Trouble, view: &View) -> Option<String> {
    let ahead = view.now.age(trouble.retry_at?);
    Some(match ahead.as_secs() {
        0 => "next try now".to_owned(),
        _ => format!("next try in {}", text::age(ahead)),
    })
}

/// What can be said of an app that has no trouble and still is not well.
fn of_state(app: &App) -> String {
    let (name, seats) = (&app.name, app.workers);
    let look = format!("`scgictl describe {name}` shows more");
    match app.state {
        AppState::Stopped => {
            format!("stopped by an operator; `scgictl start {name}` brings it back")
        }
        AppState::Stopping => format!("{} workers are leaving; {look}", seats.draining),
        AppState::Starting => match app.operation {
            Some(id) => format!("its first workers are starting; `scgictl wait op:{id}` follows"),
            None => format!("its first workers are starting; {look}"),
        },
        AppState::Degraded => {
            let (serving, wanted) = (seats.serving, seats.wanted);
            format!("{serving} of {wanted} workers serve, {} starting; {look}", seats.starting)
        }
        AppState::Held | AppState::Failing => {
            format!("its workers die; {look}, `scgictl retry {name}` tries at once")
        }
        AppState::Unprepared => format!("it could not be prepared; {look}"),
        AppState::Serving | AppState::Idle | AppState::Rolling => look,
    }
}
