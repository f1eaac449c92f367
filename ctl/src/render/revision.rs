//! The configurations that were in force, in words.

use scgi_protocol::control::{DaemonInfo, Origin};

/// That the configuration in force is not that of the daemon's file, and what that means; `None` if
/// it is.
pub(crate) fn elsewhere(daemon: &DaemonInfo) -> Option<String> {
    let file = daemon.config.as_ref()?;
    let origin = origin(daemon.origin.as_ref()?);
    let number = daemon.revision.map_or(String::new(), |number| format!(" is revision {number},"));
    Some(format!(
        "in force{number} from {origin}, and not `{file}`; `scgictl reload`, SIGHUP or a restart \
         takes that file"
    ))
}

/// Where a configuration came from.
fn origin(origin: &Origin) -> String {
    match origin {
        Origin::File(path) => path.clone(),
        Origin::Text(name) => name.clone(),
        Origin::Rollback(number) => format!("revision {number}"),
    }
}
