//! lighttpd; tried with 1.4.69.

use scgi_protocol::address::Address;

use super::Text;
use super::site::{Place, Site};

/// Writes options for the server, or for a condition such as `$HTTP["host"]`.
pub(super) fn write(site: &Site, text: &mut Text) {
    text.note(&format!("Made by `{}`. Include it in lighttpd.conf; then", site.command()));
    text.note("`lighttpd -tt -f lighttpd.conf` and `systemctl reload lighttpd`.");
    if site.has_unix() {
        text.note(
            "lighttpd's user must be able to write to the unix sockets: `listen: {address: …, \
             group: www-data, mode: \"0660\"}`.",
        );
    }
    text.note(
        "lighttpd has no variable for the time, so workers are not told how long a request has \
         waited, and refuse none for it.",
    );
    text.gap();
    text.line(
        "mod_setenv takes headers away.",
        "server.modules += ( \"mod_scgi\", \"mod_setenv\" )",
    );
    // The last condition that holds counts.
    for place in site.places.iter().rev() {
        text.gap();
        text.note(&place.title());
        app(place, text);
    }
}

fn app(place: &Place, text: &mut Text) {
    if place.mount.is_empty() {
        return options(place, text);
    }
    text.once("The condition, since scgi.server takes what only begins like the mount as well.");
    let open = format!("$HTTP[\"url\"] =~ \"^{}(/|$)\" {{", place.pattern());
    text.block(&open, "}", |text| options(place, text));
}

fn options(place: &Place, text: &mut Text) {
    text.line("Slow uploads wait here and not in a worker.", "server.stream-request-body = 0");
    text.line(
        "Answers are passed on as they come, and kept here for slow readers. With 0, a stream \
         arrives when it is complete, and one that stalls is lost; with 2, a slow reader holds a \
         worker.",
        "server.stream-response-body = 1",
    );
    text.line(
        "When the request came is nothing a client may say.",
        "setenv.set-request-header = ( \"X-Request-Start\" => \"\" )",
    );
    let open = format!("scgi.server = ( \"{}\" => ((", place.location());
    text.block(&open, ")) )", |text| {
        match &place.address {
            Address::Unix(path) => text.bare(&format!("\"socket\" => \"{}\",", path.display())),
            Address::Tcp(address) => {
                text.bare(&format!("\"host\" => \"{}\",", address.ip()));
                text.bare(&format!("\"port\" => {},", address.port()));
            }
        }
        text.line(
            "The app knows its pages; without this, only those that are files are asked for.",
            "\"check-local\" => \"disable\",",
        );
        if place.mount.is_empty() {
            text.line(
                "At the top, lighttpd would take the first part of the path for SCRIPT_NAME.",
                "\"fix-root-scriptname\" => \"enable\",",
            );
        }
        text.line(
            "A socket that does not take a connection is overloaded.",
            "\"connect-timeout\" => 5,",
        );
        text.line(
            &format!("Waits for the next piece of an answer: {}.", place.patience.because),
            &format!("\"read-timeout\" => {},", place.patience.seconds()),
        );
    });
}
