//! Events and the lines of workers, each as one line.

use std::fmt::Write as _;

use scgi_protocol::control::{Event, Level, LogLine, Stream};
use scgi_protocol::name::AppName;

use super::{Tone, View, text};

/// An event: `TIME LEVEL APP: message`. The message names worker, seat and generation itself.
pub(crate) fn event(event: &Event, view: &View) -> String {
    let Event { at, level, app, message, .. } = event;
    let (word, tone) = match level {
        Level::Info => ("info ", Tone::Plain),
        Level::Warn => ("warn ", Tone::Busy),
        Level::Error => ("error", Tone::Bad),
    };
    let about = app.as_ref().map_or("scgid", AppName::as_str);
    let (word, about) = (view.paint(tone, word), view.paint(Tone::Title, about));
    let when = view.paint(Tone::Faint, &at.to_string());
    format!("{when} {word} {about}: {}\n", text::one_line(message))
}

/// What a worker wrote: `TIME APP/SEAT gen N out line`.
pub(crate) fn log(line: &LogLine, view: &View) -> String {
    let LogLine { at, app, seat, generation, stream, cut_bytes, dropped_before, .. } = line;
    let (word, tone) = match stream {
        Stream::Stdout => ("out", Tone::Faint),
        Stream::Stderr => ("err", Tone::Busy),
    };
    let when = view.paint(Tone::Faint, &at.to_string());
    let who = view.paint(Tone::Title, &format!("{app}/{seat}"));
    let mut text = String::new();
    if *dropped_before > 0 {
        writeln!(text, "{when} {app} [{dropped_before} lines dropped: they came too fast]")
            .expect("a String takes all");
    }
    let word = view.paint(tone, word);
    write!(text, "{when} {who} gen {generation} {word} {}", text::one_line(&line.line))
        .expect("a String takes all");
    if *cut_bytes > 0 {
        write!(text, " [{cut_bytes} bytes cut]").expect("a String takes all");
    }
    text.push('\n');
    text
}
