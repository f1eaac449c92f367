//! How this process came to be, and what it found then: a worker of scgid, a program started by
//! another manager with a socket in its hands, or one in a terminal that makes its own.
//!
//! ```text
//! SCGI_APP … for this pid?  ─▶ worker: sockets at 3.., page, notices, mount
//! LISTEN_FDS for this pid?  ─▶ sockets at 3.. (systemd)
//! --listen ADDRESS?         ─▶ a socket of its own
//! fd 0 is listening?        ─▶ that one (spawn-fcgi, lighttpd)
//! else                      ─▶ a socket of its own, at the default address
//! ```

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::process;
use std::time::Duration;

use scgi_protocol::address::{Address, AddressError};
use scgi_protocol::birth::{self, Birth, LISTEN_FDS_START, LISTENERS_MAX};
use scgi_protocol::inherit;
use scgi_protocol::notice::Voice;
use scgi_protocol::page::{Page, PageError};

use crate::listener::{ListenError, Listener, is_listening};
use crate::log;

/// Where a program in a terminal listens if nothing else is said.
pub(crate) const DEFAULT_ADDRESS: &str = "127.0.0.1:4000";

/// What this process found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) page: Page,
    /// Where the page came from. It stays open, at its number: a daemon that has lost its own
    /// takes it back from there, as it does with the listening sockets.
    pub(crate) page_fd: Option<OwnedFd>,
    pub(crate) voice: Option<Voice>,
    pub(crate) watchdog: Option<Duration>,
    pub(crate) mount: Option<String>,
    /// How many requests at once the configuration lets it serve.
    pub(crate) concurrency: Option<u16>,
    /// How long a request may have waited that it serves.
    pub(crate) queue_timeout: Option<Duration>,
    /// The configuration wants heads to keep all rules.
    pub(crate) is_strict: bool,
    /// Others serve as well, and it has to show soon that it can.
    pub(crate) on_trial: bool,
    /// Somebody watches over it and will tell it when to leave.
    pub(crate) is_managed: bool,
    /// The socket file it made, to be removed at the end.
    pub(crate) made: Option<PathBuf>,
}

/// Why a process cannot begin to serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BirthError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("cannot use the page at descriptor {number}")]
    Page { number: i32, source: PageError },
    #[error("cannot take the descriptor {number} that was announced")]
    Inherit { number: i32, source: io::Error },
    #[error("cannot make a page")]
    NoPage(#[source] io::Error),
    #[error(
        "`preload: true` asks this program to fork workers, which it cannot; remove the key from \
         the app's configuration"
    )]
    Template,
    #[error("`--listen {text}` is no address to listen on")]
    Address { text: String, source: AddressError },
    #[error("`--listen` says no address; write `--listen {DEFAULT_ADDRESS}` or `unix:/path`")]
    NoAddress,
}

/// Looks around; `own` is where the app wants to listen if nobody says anything.
///
/// # Errors
///
/// [`BirthError`], if what was announced is not there, or no socket can be made.
pub(crate) fn look_around(own: &Address) -> Result<Found, BirthError> {
    if let Some(birth) = Birth::from_environment(|name| env::var_os(name), process::id()) {
        return of_worker(birth);
    }
    if birth::is_template(|name| env::var_os(name)) {
        return Err(BirthError::Template);
    }
    let found = of_nobody()?;
    if let Some(count) = handed_over() {
        return Ok(Found { listeners: take_listeners(count)?, ..found });
    }
    let said = listen_argument(env::args_os().skip(1))?;
    if said.is_none()
        && let Some(listener) = on_standard_input()?
    {
        return Ok(Found { listeners: vec![listener], ..found });
    }
    let address = said.unwrap_or_else(|| own.clone());
    let listener = Listener::bind(&address)?;
    log::say(&format!("listening on {}; end with Ctrl-C", listener.address()));
    let made = match address {
        Address::Unix(path) => Some(path),
        Address::Tcp(_) => None,
    };
    Ok(Found { listeners: vec![listener], is_managed: false, made, ..found })
}

/// What there is for a program that listens on `socket`, which somebody in it made.
///
/// # Errors
///
/// [`BirthError::Listen`], if it does not listen; [`BirthError::NoPage`].
pub(crate) fn with_socket(socket: OwnedFd) -> Result<Found, BirthError> {
    let number = socket.as_raw_fd();
    Ok(Found { listeners: vec![inherited(number, socket)?], ..of_nobody()? })
}

/// What there is for a program that was handed nothing.
fn of_nobody() -> Result<Found, BirthError> {
    let voice = env::var("NOTIFY_SOCKET").ok().and_then(|name| voice(&name));
    Ok(Found {
        listeners: Vec::new(),
        page: Page::create().map_err(BirthError::NoPage)?.0,
        page_fd: None,
        watchdog: voice.is_some().then(watchdog).flatten(),
        voice,
        mount: None,
        concurrency: None,
        queue_timeout: None,
        is_strict: false,
        on_trial: false,
        is_managed: true,
        made: None,
    })
}

fn of_worker(birth: Birth) -> Result<Found, BirthError> {
    let page_fd = birth.page_fd.map(take).transpose()?;
    let page = match (&page_fd, birth.page_fd) {
        (Some(fd), Some(number)) => Page::open(fd, birth.page_offset)
            .map_err(|source| BirthError::Page { number, source })?,
        _ => Page::create().map_err(BirthError::NoPage)?.0,
    };
    Ok(Found {
        listeners: take_listeners(birth.listeners.len())?,
        page,
        page_fd,
        voice: birth.notify_socket.as_deref().and_then(voice),
        watchdog: birth.watchdog,
        mount: birth.mount,
        concurrency: Some(birth.concurrency),
        queue_timeout: birth.queue_timeout,
        is_strict: birth.strict,
        on_trial: birth.on_trial,
        is_managed: true,
        made: None,
    })
}

/// How many sockets systemd, or who speaks like it, announces to this process.
fn handed_over() -> Option<usize> {
    let number = |name| env::var(name).ok()?.parse::<usize>().ok();
    let is_ours = number("LISTEN_PID") == usize::try_from(process::id()).ok();
    number("LISTEN_FDS").filter(|count| is_ours && *count > 0).map(|count| count.min(LISTENERS_MAX))
}

fn watchdog() -> Option<Duration> {
    Some(Duration::from_micros(env::var("WATCHDOG_USEC").ok()?.parse().ok()?))
}

fn take_listeners(count: usize) -> Result<Vec<Listener>, BirthError> {
    let numbers = (LISTEN_FDS_START..).take(count);
    numbers.map(|number| inherited(number, take(number)?)).collect()
}

fn take(number: i32) -> Result<OwnedFd, BirthError> {
    inherit::take(number).map_err(|source| BirthError::Inherit { number, source })
}

fn inherited(number: i32, fd: OwnedFd) -> Result<Listener, BirthError> {
    Listener::inherited(fd)
        .map_err(|source| BirthError::Listen(ListenError::Inherited { number, source }))
}

fn on_standard_input() -> Result<Option<Listener>, BirthError> {
    let stdin = io::stdin();
    if !is_listening(stdin.as_fd()) {
        return Ok(None);
    }
    let own = stdin.as_fd().try_clone_to_owned();
    let own = own.map_err(|source| BirthError::Inherit { number: 0, source })?;
    inherited(0, own).map(Some)
}

fn voice(name: &str) -> Option<Voice> {
    Voice::to(name).inspect_err(|error| log::say(&format!("no notices to `{name}`: {error}"))).ok()
}

/// The address after `--listen`; other arguments are the app's own business.
fn listen_argument(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Option<Address>, BirthError> {
    let mut arguments =
        arguments.into_iter().map(|argument| argument.to_string_lossy().into_owned());
    let text = loop {
        match arguments.next() {
            None => return Ok(None),
            Some(word) if word == "--" => return Ok(None),
            Some(word) if word == "--listen" => {
                break arguments.next().ok_or(BirthError::NoAddress)?;
            }
            Some(word) => {
                if let Some(text) = word.strip_prefix("--listen=") {
                    break text.to_owned();
                }
            }
        }
    };
    text.parse().map(Some).map_err(|source| BirthError::Address { text, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(arguments: &[&str]) -> Result<Option<Address>, BirthError> {
        listen_argument(arguments.iter().map(OsString::from))
    }

    #[test]
    fn the_address_is_found_among_the_arguments_of_the_app() {
        let expected = Some("127.0.0.1:81".parse().unwrap());

        assert_eq!(listen(&["--fast", "--listen", "127.0.0.1:81"]).unwrap(), expected);
        assert_eq!(listen(&["--listen=127.0.0.1:81", "x"]).unwrap(), expected);
        assert_eq!(listen(&["--", "--listen=127.0.0.1:81"]).unwrap(), None);
        assert_eq!(listen(&[]).unwrap(), None);
    }

    #[test]
    fn a_wrong_address_is_refused_with_the_right_spelling() {
        let error = listen(&["--listen", "4000"]).unwrap_err();

        assert_eq!(
            log::chain(&error),
            "`--listen 4000` is no address to listen on: `4000` names no interface; write \
             `127.0.0.1:4000`, or `0.0.0.0:4000` for all of them"
        );
        assert!(matches!(listen(&["--listen"]), Err(BirthError::NoAddress)));
    }
}
