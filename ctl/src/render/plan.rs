//! What a configuration would change, a line for each key: `~ blog  workers.max  8 -> 12  resize`.

use scgi_protocol::control::{AppPlan, Difference, Plan, PlanAction, Unprepared};

use super::{Tone, View, text};

/// As much of a value as a table shows.
const VALUE_MAX: usize = 60;

/// Where an app's name would stand in what concerns none; no app can be called so.
const SITE: &str = "(site)";

/// One line: a mark, whom it concerns, the key, both values, the means.
type Line = (char, [String; 4]);

/// What would change, without values that may be secret.
pub(crate) fn narrow(plan: &Plan, view: &View) -> String {
    aligned(
        &lines(plan, |value, secret| match secret {
            true => "(hidden)".to_owned(),
            false => text::cut(value, VALUE_MAX),
        }),
        view,
    )
}

/// What would change, with all values in full.
pub(crate) fn wide(plan: &Plan, view: &View) -> String {
    aligned(&lines(plan, |value, _| value.to_owned()), view)
}

fn lines(plan: &Plan, shown: impl Fn(&str, bool) -> String) -> Vec<Line> {
    let Plan { revision: _, tag: _, changes, site, unprepared } = plan;
    let difference = |of: &str, difference: &Difference| {
        let Difference { key, old, new, means, secret } = difference;
        let word = |value: &Option<String>| {
            value.as_ref().map_or_else(|| "-".to_owned(), |value| shown(value, *secret))
        };
        let values = format!("{} -> {}", word(old), word(new));
        ('~', [of.to_owned(), key.clone(), values, means.as_str().to_owned()])
    };
    let whole =
        |mark, app: &str| (mark, [app.to_owned(), String::new(), String::new(), String::new()]);
    let mut lines: Vec<Line> = site.iter().map(|one| difference(SITE, one)).collect();
    for AppPlan { app, action, differences } in changes {
        match action {
            PlanAction::Add => lines.push(whole('+', app.as_str())),
            PlanAction::Remove => lines.push(whole('-', app.as_str())),
            PlanAction::Change => {
                lines.extend(differences.iter().map(|one| difference(app.as_str(), one)));
            }
        }
    }
    lines.extend(unprepared.iter().map(|Unprepared { app, why }| {
        ('!', [app.to_string(), "cannot be prepared".to_owned(), why.clone(), String::new()])
    }));
    lines
}

fn aligned(lines: &[Line], view: &View) -> String {
    let width = |column: usize| {
        let cells = lines.iter().map(|(_, cells)| text::one_line(&cells[column]).chars().count());
        cells.max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2)];
    let line = |(mark, cells): &Line| {
        let tone = match mark {
            '+' => Tone::Good,
            '-' | '!' => Tone::Bad,
            _ => Tone::Busy,
        };
        let [of, key, values, means] = cells.each_ref().map(|cell| text::one_line(cell));
        let [a, b, c] = widths;
        let rest = format!("{of:a$}  {key:b$}  {values:c$}  {means}");
        format!("{} {}\n", view.paint(tone, &mark.to_string()), rest.trim_end())
    };
    lines.iter().map(line).collect()
}
