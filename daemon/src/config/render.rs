//! One finding as a person reads it: message, lines of the text, marks, way out.
//!
//! The only place that knows annotate-snippets.

use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};

use super::problem::{Finding, Paint};
use super::sources::{Sources, Spot, Text};

/// Lines shown before and after a mark.
const AROUND: usize = 1;

/// One finding as text, without a final newline.
pub(super) fn finding(finding: &Finding, sources: &Sources, paint: Paint) -> String {
    let title = match &*finding.path {
        "" => finding.message.clone(),
        path => format!("{path}: {}", finding.message),
    };
    let mut group = Group::with_title(Level::ERROR.primary_title(title));
    let other = finding.other.filter(|_| finding.spot.is_some());
    if let Some(spot) = finding.spot {
        let near = other.filter(|(other, _)| other.file == spot.file);
        group = group.element(excerpt(sources.text(spot.file), Some(spot), near));
        if let Some(far) = other.filter(|(other, _)| other.file != spot.file) {
            group = group.element(excerpt(sources.text(far.0.file), None, Some(far)));
        }
    }
    if let Some(hint) = &finding.hint {
        group = group.element(Level::HELP.message(hint.clone()));
    }
    let renderer = match paint {
        Paint::Plain => Renderer::plain(),
        Paint::Colour => Renderer::styled(),
    };
    renderer.render(&[group])
}

/// The lines around one or two marks in one text. Only those lines are handed on, so that many
/// problems in a big file stay cheap.
fn excerpt<'a>(
    text: &'a Text,
    mark: Option<Spot>,
    other: Option<(Spot, &'static str)>,
) -> Snippet<'a, Annotation<'a>> {
    let spots = || mark.iter().copied().chain(other.iter().map(|(spot, _)| *spot));
    let first = spots().map(|spot| spot.start).min().unwrap_or_default();
    let last = spots().map(|spot| spot.end).max().unwrap_or_default();
    let window = window(&text.content, first..last);
    let inside = |spot: Spot| spot.start - window.start..spot.end - window.start;
    let line = text.content[..window.start].matches('\n').count() + 1;
    let mut snippet =
        Snippet::source(&text.content[window.clone()]).line_start(line).path(text.name.as_str());
    if let Some(spot) = mark {
        snippet = snippet.annotation(AnnotationKind::Primary.span(inside(spot)));
    }
    if let Some((spot, what)) = other {
        snippet = snippet.annotation(AnnotationKind::Context.span(inside(spot)).label(what));
    }
    snippet
}

/// `marks` widened to whole lines, and [`AROUND`] more on either side.
fn window(text: &str, marks: Range<usize>) -> Range<usize> {
    let line_start = |at: usize| text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = |at: usize| text[at..].find('\n').map_or(text.len(), |newline| at + newline);
    let mut start = line_start(marks.start);
    let mut end = line_end(marks.end);
    for _ in 0..AROUND {
        start = line_start(start.saturating_sub(1));
        end = line_end((end + 1).min(text.len()));
    }
    start..end
}
