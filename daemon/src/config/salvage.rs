//! The control socket that a file may mean that cannot be read as a configuration.
//!
//! What is found here is a guess and is believed by nobody: it only says where to look for the
//! state of a daemon that was killed, and that says itself which file it is of.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use scgi_protocol::control::{CONFIG_MAX_BYTES, socket};

use super::machine::{Here, Machine as _};

/// Most sockets that are looked at.
const SOCKETS_MAX: usize = 8;

/// The control sockets that the file at `path` may mean: whatever it calls `socket`, then the
/// usual one.
pub fn control_sockets(path: &Path) -> Vec<PathBuf> {
    let mut text = Vec::new();
    if let Ok(file) = File::open(path) {
        // As much of it as can be had.
        let _ = file.take(CONFIG_MAX_BYTES as u64).read_to_end(&mut text);
    }
    let mut sockets = named(&String::from_utf8_lossy(&text));
    let usual =
        socket::default_path(nix::unistd::geteuid().as_raw(), Here::default().runtime_dir());
    if !sockets.contains(&usual) {
        sockets.push(usual);
    }
    sockets
}

/// Every absolute path that follows the word `socket:`.
fn named(text: &str) -> Vec<PathBuf> {
    let after = text.lines().filter_map(|line| Some(line.split_once("socket:")?.1.trim_start()));
    let word = |rest: &str| match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => rest[1..].split(quote).next().map(str::to_owned),
        _ => rest.split([',', '}', '#', ' ']).next().map(str::to_owned),
    };
    let paths = after.filter_map(word).map(|path| PathBuf::from(path.trim()));
    paths.filter(|path| path.is_absolute()).take(SOCKETS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_found_however_the_file_is_broken() {
        for text in [
            "control: {socket: /run/a.sock, group: x}\napps: [",
            "control:\n  socket: /run/a.sock # ours\n\tapps:",
            "control: {socket: \"/run/a.sock\"",
            "}}} socket: '/run/a.sock' {{{",
        ] {
            assert_eq!(named(text), [PathBuf::from("/run/a.sock")], "{text}");
        }
        assert!(named("websocket: yes\nsocket: relative.sock\nsocket:").is_empty());
    }

    #[test]
    fn the_usual_socket_is_looked_at_last() {
        let sockets = control_sockets(Path::new("/no/such/file"));

        assert_eq!(sockets.len(), 1);
        assert!(sockets[0].ends_with("control.sock"));
    }
}
