//! What is kept of a torture that went wrong: a folder with all that is known.

use std::path::Path;

use scgi_tests::Daemon;

/// How much of it is shown at once.
const LINES_SHOWN: usize = 30;

/// Writes it to a folder, shows the end of it and names the folder.
pub(crate) fn keep(daemon: &Daemon, seed: u64, breaches: &[String]) {
    let folder = std::env::temp_dir().join(format!("scgid-torture-{seed}-{}", std::process::id()));
    if let Err(error) = std::fs::create_dir_all(&folder) {
        crate::talk(&format!("cannot keep anything in `{}`: {error}", folder.display()));
        return;
    }
    let said = |target: &str| daemon.ask("GET", target, "").map(|answer| answer.text());
    let events = said("/v1/events?limit=2000").unwrap_or_else(|error| error.to_string());
    let log = daemon.log();
    let pieces = [
        ("breaches.txt", breaches.join("\n")),
        ("events.json", events),
        ("status.json", said("/v1/status").unwrap_or_else(|error| error.to_string())),
        ("scgid.log", log.clone()),
        ("scgid.yaml", std::fs::read_to_string(daemon.site().config()).unwrap_or_default()),
    ];
    for (name, text) in pieces {
        write(&folder.join(name), &text);
    }
    let lines: Vec<_> = log.lines().collect();
    let last = lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n");
    crate::talk(&format!("---- what the daemon said last ----\n{last}\n----"));
    crate::talk(&format!("seed {seed}; all that is known is in {}", folder.display()));
}

fn write(path: &Path, text: &str) {
    if let Err(error) = std::fs::write(path, text) {
        crate::talk(&format!("cannot write `{}`: {error}", path.display()));
    }
}
