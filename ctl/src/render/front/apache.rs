//! Apache httpd 2.4 with mod_proxy_scgi, which comes with it.

use scgi_protocol::address::Address;

use super::Text;
use super::site::{Place, Site};

/// Writes directives for a virtual host, or for the server as a whole.
pub(super) fn write(site: &Site, text: &mut Text) {
    text.note(&format!("Made by `{}`. Include it in a `<VirtualHost>`; then", site.command()));
    text.note("`a2enmod proxy proxy_scgi headers setenvif`, `apachectl configtest` and `apachectl graceful`.");
    if site.has_unix() {
        text.note(
            "Apache's user must be able to write to the unix sockets: `listen: {address: …, group: \
             www-data, mode: \"0660\"}`. If a unix socket's queue is full, Apache waits for ever; \
             an app that also listens on TCP is asked there.",
        );
    }
    text.note(
        "Apache passes slow clients on to workers piece by piece, and refuses uploads without a \
         length (chunked) with 411. With `AllowEncodedSlashes NoDecode` paths may have %2F.",
    );
    text.gap();
    text.line(
        "Without it SCRIPT_NAME is the whole path. With it the two are right if nothing in the path \
         is percent-encoded, and workers of the SDK know what to do if something is. SetEnv would \
         come too late.",
        "SetEnvIf Request_URI . proxy-scgi-pathinfo",
    );
    for place in &site.places {
        text.gap();
        text.note(&place.title());
        app(place, text);
    }
}

fn app(place: &Place, text: &mut Text) {
    text.note(&format!("Waits for the next piece of an answer: {}.", place.patience.because));
    if matches!(place.address, Address::Unix(_)) {
        text.once(
            "Nobody looks up the name behind the bar, but Apache takes two sockets with the same name \
             for one and asks the wrong app.",
        );
    }
    text.line(
        "connectiontimeout: a socket that does not take a connection is overloaded. retry=0: an app \
         that was away is asked again at once, not after a minute. Further lines for the same \
         address would share these options, whatever they say.",
        &format!(
            "ProxyPass \"{}\" \"{}\" connectiontimeout=5 timeout={} retry=0",
            place.location(),
            target(place),
            place.patience.seconds()
        ),
    );
    text.block(&format!("<Location \"{}\">", place.location()), "</Location>", |text| {
        text.line(
            "When Apache had the request, so that workers know how long it has waited; in place of \
             whatever the client says.",
            "RequestHeader set X-Request-Start \"%t\"",
        );
        text.line(
            "The app sees `Authorization`, as it does behind other servers.",
            "CGIPassAuth On",
        );
    });
}

/// The URL of the app. The path is passed on as it is, so that a final slash stands in both or in
/// neither.
fn target(place: &Place) -> String {
    let slash = if place.mount.is_empty() { "/" } else { "" };
    match &place.address {
        Address::Tcp(address) => format!("scgi://{address}{slash}"),
        Address::Unix(path) => format!("unix:{}|scgi://{}{slash}", path.display(), place.app),
    }
}
