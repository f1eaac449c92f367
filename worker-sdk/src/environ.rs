//! The page that shows what the front end says: every variable of the request.
//!
//! What an app without handlers answers, and a handler of its own for looking at a front end.

use std::fmt::Write;

use crate::request::Request;
use crate::response::Response;

/// Answers with the variables of the request: as a table if the client takes HTML, else as text.
///
/// ```
/// use scgi_worker::{App, environ};
///
/// let app = App::new().get("/debug/environ", environ);
/// let shown = app.test().get("/debug/environ").send();
/// assert!(shown.text().contains("REQUEST_METHOD = GET\n"));
/// ```
///
/// They may hold cookies and passwords: never leave it open to everybody.
pub fn environ<S>(request: &mut Request<'_, S>) -> Response {
    let mut vars: Vec<(String, String)> =
        request.vars().map(|(name, value)| (shown(name), shown(value))).collect();
    vars.sort();
    if request.header("Accept").is_some_and(|accept| accept.contains("text/html")) {
        Response::html(table(&vars))
    } else {
        let lines = vars.iter().map(|(name, value)| format!("{name} = {value}\n"));
        Response::text(lines.collect::<String>())
    }
    .header("Cache-Control", "no-store")
}

fn table(vars: &[(String, String)]) -> String {
    let mut page = String::from(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <title>SCGI variables</title><style>body{font:15px/1.5 system-ui,sans-serif;margin:2em}\
         td{font-family:ui-monospace,monospace;padding:.1em 1em .1em 0;vertical-align:top;\
         word-break:break-all}td:first-child{color:#06c;white-space:nowrap}</style></head>\n\
         <body><h1>It works</h1><p>This app has no handlers yet. \
         What the web server said about your request:</p>\n<table>\n",
    );
    for (name, value) in vars {
        let (name, value) = (escaped(name), escaped(value));
        writeln!(page, "<tr><td>{name}</td><td>{value}</td></tr>")
            .expect("a string takes everything");
    }
    page.push_str("</table></body></html>\n");
    page
}

/// Text as it can be shown: control characters escaped, what is not UTF-8 replaced.
fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for character in String::from_utf8_lossy(bytes).chars() {
        if character.is_control() {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_value_is_taken_for_markup_or_obeyed_by_a_terminal() {
        assert_eq!(escaped("<a b=\"c\">&"), "&lt;a b=&quot;c&quot;&gt;&amp;");
        assert_eq!(shown(b"a\nb\x1b[0m\xff"), "a\\nb\\u{1b}[0m\u{fffd}");
    }
}
