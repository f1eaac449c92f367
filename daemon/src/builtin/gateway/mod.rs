//! `gateway`: an HTTP server in front of SCGI apps, for development and the demo only.
//!
//! ```text
//! browser ─HTTP/1.1─▶ serve ▶ routes ▶ head ▶ exchange ─SCGI─▶ app
//!                                 └─▶ pages (the index, and what went wrong in words)
//! ```
//!
//! It speaks plain HTTP, keeps no log of requests, and trusts whoever connects: a web server
//! belongs in its place wherever strangers come. Never reads a body as a whole, unless its length
//! is not announced.

mod exchange;
mod failure;
mod head;
mod pages;
mod routes;
mod serve;
mod tally;

use std::error::Error;
use std::io;
use std::net::TcpListener;
use std::os::fd::IntoRawFd;
use std::process::ExitCode;
use std::sync::Arc;

use scgi_protocol::birth::{Birth, LISTEN_FDS_START};
use scgi_protocol::control::socket;
use scgi_protocol::inherit;
use scgi_protocol::notice::{Notice, Voice};
use scgi_protocol::page::Page;
use scgi_worker::Exit;
use tokio::signal::unix::{SignalKind, signal};

use exchange::Patience;
use serve::{Gateway, serve};
use tally::Tally;

/// Where it listens when it is not a worker and no argument says.
const DEFAULT_ADDRESS: &str = "127.0.0.1:8080";

/// Why the gateway does not serve.
#[derive(Debug, thiserror::Error)]
enum GatewayError {
    #[error("cannot listen on {address}")]
    Listen { address: String, source: io::Error },
    #[error("cannot take the listener this worker was born with")]
    Inherit(#[source] io::Error),
    #[error("cannot begin to serve")]
    Start(#[source] io::Error),
}

/// Serves until told to leave. The arguments are routes, and `--listen ADDRESS` when it is not a
/// worker.
pub(super) fn main(arguments: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    let (routes, listen) = routes::parse(arguments)?;
    let birth = Birth::from_environment(|name| std::env::var_os(name), std::process::id());
    let listener = match &birth {
        Some(_) => {
            inherit::take(LISTEN_FDS_START).map(TcpListener::from).map_err(GatewayError::Inherit)?
        }
        None => bind(listen.as_deref().unwrap_or(DEFAULT_ADDRESS))?,
    };
    listener.set_nonblocking(true).map_err(GatewayError::Start)?;
    let gateway = Gateway {
        routes,
        patience: Patience::default(),
        tally: Arc::new(tally(birth.as_ref()).map_err(GatewayError::Start)?),
        socket: std::env::var(socket::VARIABLE).ok(),
    };
    let voice = birth.and_then(|birth| Voice::to(&birth.notify_socket?).ok());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(GatewayError::Start)?.block_on(live(listener, gateway, voice))?;
    Ok(super::left(Exit::Drained))
}

fn bind(address: &str) -> Result<TcpListener, GatewayError> {
    TcpListener::bind(address)
        .map_err(|source| GatewayError::Listen { address: address.to_owned(), source })
}

/// Where requests are counted: the page this worker was born with, or one that nobody reads.
fn tally(birth: Option<&Birth>) -> io::Result<Tally> {
    let capacity = birth.map_or(1, |birth| birth.concurrency);
    let page = match birth.and_then(|birth| Some((birth.page_fd?, birth.page_offset))) {
        Some((number, offset)) => {
            let book = inherit::take(number)?;
            let page = Page::open(&book, offset).map_err(io::Error::other)?;
            // Stays open to the end: the next daemon takes it from here, should this one die.
            let _ = book.into_raw_fd();
            page
        }
        None => Page::create()?.0,
    };
    Ok(Tally::new(page, capacity))
}

async fn live(
    listener: TcpListener,
    gateway: Gateway,
    voice: Option<Voice>,
) -> Result<(), GatewayError> {
    let address = listener.local_addr().map_err(GatewayError::Start)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(GatewayError::Start)?;
    let mut term = signal(SignalKind::terminate()).map_err(GatewayError::Start)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(GatewayError::Start)?;
    let leave = async {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        say(voice.as_ref(), &Notice::stopping());
    };
    let status = format!("http://{address}/ for development only");
    say(voice.as_ref(), &Notice { status: Some(status), ..Notice::ready() });
    serve(listener, gateway, leave).await;
    Ok(())
}

fn say(voice: Option<&Voice>, notice: &Notice) {
    // A daemon that does not listen finds out by its own means how this worker is.
    let _ = voice.map(|voice| voice.say(notice));
}

#[cfg(test)]
mod tests;
