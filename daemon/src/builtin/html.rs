//! The looks of the pages that built-in workers show: one style, self-contained, nothing fetched.

use std::fmt::{self, Display, Write};

/// Text to be put into a page: what would be markup in it is not.
pub(super) struct Escaped<T>(pub(super) T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.write_str("&amp;")?,
                '<' => self.0.write_str("&lt;")?,
                '>' => self.0.write_str("&gt;")?,
                '"' => self.0.write_str("&quot;")?,
                '\'' => self.0.write_str("&#39;")?,
                other => self.0.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// A whole page; `title` is text, `body` is markup.
pub(super) fn page(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n\
         <html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>{title}</title>\n\
         <style>{STYLE}</style></head>\n\
         <body><main>\n{body}</main></body></html>\n",
        title = Escaped(title)
    )
}

const STYLE: &str = include_str!("style.css");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_taken_for_markup() {
        let text = Escaped("<b onclick='x' id=\"y\">&</b>").to_string();

        assert_eq!(text, "&lt;b onclick=&#39;x&#39; id=&quot;y&quot;&gt;&amp;&lt;/b&gt;");
        assert!(page("<x>", "").contains("<title>&lt;x&gt;</title>"));
    }

    #[test]
    fn a_page_fetches_nothing_from_elsewhere() {
        let page = page("x", "");

        assert!(!page.contains("http:") && !page.contains("https:") && !page.contains("url("));
    }
}
