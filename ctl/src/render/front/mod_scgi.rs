//! Apache httpd 2.4 with mod_scgi, the module of Python's scgi package.

use super::Text;
use super::site::{Place, Site};

/// Writes directives for a virtual host, or for the server as a whole.
pub(super) fn write(site: &Site, text: &mut Text) {
    text.note(&format!(
        "Made by `{}`. Include it in a `<VirtualHost>` where mod_scgi is",
        site.command()
    ));
    text.note("loaded (`apxs -i -a -c mod_scgi.c`); `a2enmod headers`, then `apachectl graceful`.");
    text.note(
        "mod_scgi passes slow clients on to workers piece by piece, refuses uploads without a \
         length (chunked) with 411, follows a `Location` that begins with `/` by itself, and tries \
         for 15 seconds to connect before it says 500.",
    );
    for place in &site.places {
        text.gap();
        text.note(&place.title());
        app(place, text);
    }
}

fn app(place: &Place, text: &mut Text) {
    text.line(
        "The first line that fits counts, so the longest mount comes first.",
        &format!("SCGIMount \"{}\" {}", place.location(), place.address),
    );
    text.block(&format!("<Location \"{}\">", place.location()), "</Location>", |text| {
        text.line(
            &format!("Waits for the next piece of an answer: {}.", place.patience.because),
            &format!("SCGIServerTimeout {}", place.patience.seconds()),
        );
        text.line(
            "When Apache had the request, so that workers know how long it has waited; in place of \
             whatever the client says.",
            "RequestHeader set X-Request-Start \"%t\"",
        );
        text.line(
            "A client's `Proxy` header would become the variable by which programs find their proxy.",
            "RequestHeader unset Proxy",
        );
    });
}
