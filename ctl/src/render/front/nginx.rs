//! nginx; tried with 1.22.

use super::Text;
use super::site::{Place, Site};

/// Writes locations for a `server` block.
pub(super) fn write(site: &Site, text: &mut Text) {
    text.note(&format!("Made by `{}`. Include it in a `server` block; then", site.command()));
    text.note("`nginx -t && nginx -s reload`.");
    if site.has_unix() {
        text.note(
            "nginx's user must be able to write to the unix sockets: `listen: {address: …, group: \
             www-data, mode: \"0660\"}`.",
        );
    }
    for place in &site.places {
        text.gap();
        text.note(&place.title());
        location(place, text);
    }
}

fn location(place: &Place, text: &mut Text) {
    let open = if place.mount.is_empty() {
        "location / {".to_owned()
    } else {
        text.once(
            "By a pattern, since a plain `location` takes what only begins like the mount as well; \
             (?s) lets a line feed (%0A) through.",
        );
        format!("location ~ \"(?s)^{}(?<scgi_path>/.*|)$\" {{", place.pattern())
    };
    text.block(&open, "}", |text| {
        variables(place, text);
        text.gap();
        target(place, text);
        text.gap();
        buffers(text);
    });
}

fn variables(place: &Place, text: &mut Text) {
    text.line(
        "The CGI variables, and SCGI=1, without which it would be no SCGI. A location with a \
         scgi_param of its own inherits none, so all of them stand here.",
        "include scgi_params;",
    );
    text.line(
        "What nginx's own file leaves out: which part of the path is the mount, which the app's.",
        &format!("scgi_param SCRIPT_NAME \"{}\";", place.mount),
    );
    let rest = if place.mount.is_empty() { "$document_uri" } else { "$scgi_path" };
    text.bare(&format!("scgi_param PATH_INFO {rest};"));
    text.line(
        "When nginx had the request, so that workers know how long it has waited; in place of \
         whatever the client says.",
        "scgi_param HTTP_X_REQUEST_START \"t=${msec}\";",
    );
    text.line(
        "A client's `Proxy` header would become the variable by which programs find their proxy.",
        "scgi_param HTTP_PROXY \"\" if_not_empty;",
    );
}

fn target(place: &Place, text: &mut Text) {
    text.bare(&format!("scgi_pass {};", place.address));
    text.line(
        "The daemon keeps the socket open whatever happens: one that does not take a connection \
         is overloaded.",
        "scgi_connect_timeout 5s;",
    );
    text.line(
        &format!(
            "How long nginx waits for the next piece of an answer: {}.",
            place.patience.because
        ),
        &format!("scgi_read_timeout {}s;", place.patience.seconds()),
    );
}

fn buffers(text: &mut Text) {
    text.line(
        "Slow uploads wait here and not in a worker. Leave it on: without it, nginx before 1.29.6 \
         announces only the part of a body that it has read so far, and the rest is lost.",
        "scgi_request_buffering on;",
    );
    text.line(
        "Slow readers wait here, too. An answer that is to be passed on piece by piece says \
         `X-Accel-Buffering: no`, as the SDK's unbuffered() does.",
        "scgi_buffering on;",
    );
    text.line(
        "The head of an answer has to fit; nginx's 4 KB turn a few cookies more into a 502. The \
         other buffers must be no smaller.",
        "scgi_buffer_size 16k;",
    );
    text.bare("scgi_buffers 8 16k;");
    text.line(
        "nginx refuses bodies above 1 MB by itself. The app has limits of its own.",
        "client_max_body_size 64m;",
    );
}
