//! Write an SCGI app in ten lines and run it under scgid, or alone.
//!
//! ```no_run
//! use scgi_worker::{App, Exit};
//!
//! fn main() -> Exit {
//!     App::new().get("/", |_| "hello\n").run()
//! }
//! ```
//!
//! Started by hand, this listens on 127.0.0.1:4000 (or where `--listen` says) and a web server
//! passes requests to it. Started by scgid, it takes over the listening sockets of its app, tells
//! when it is ready and what it is doing, and leaves without losing a request when told to. The
//! program is the same.
//!
//! # How it serves
//!
//! ```text
//! thread:  wait ─▶ accept ─▶ receive ─▶ handler ─▶ send ─▶ close ─┐
//!            ▲        ▲                                           │
//!            └────────┴─── (the wait is left out under load) ◀────┘
//! ```
//!
//! A handler is an ordinary function that may block: one thread serves one request at a time, and
//! a worker has as many threads as [`App::threads`] or the configuration says. More requests at
//! once are the business of more workers, which share the listening sockets; the kernel hands
//! every connection to exactly one of them. A request of the usual size costs five system calls,
//! four under load.
//!
//! A client that is slow holds no thread: half a head, a body on its way
//! ([`Limits::body_buffer_bytes`]) and a reply nobody takes are *parked* with one thread for all of
//! them, which is started when the first comes. A request that is whole by then goes back to the
//! threads.
//!
//! What may go wrong with a request stays with it: a handler that fails or panics is a 500 and a
//! line on standard error, a client that leaves is counted, bytes that are not SCGI are answered
//! in words, and no peer is waited for longer than the [`Limits`] allow.
//!
//! # Where to look
//!
//! [`App`] holds the handlers, [`Request`] and [`Response`] are what they work with, [`Body`]
//! streams in, [`Response::stream`] out. [`App::test`] tries an app without a socket. With the
//! feature `async`, `Server` serves any tower service of HTTP requests, each a task. The
//! contracts with the daemon are in the crate `scgi-protocol`; nothing here defines one.

#![warn(missing_docs)]

mod account;
mod app;
mod birth;
mod blinks;
mod body;
mod cgi;
mod clues;
mod connection;
mod drain;
mod environ;
mod exit;
mod gate;
mod intake;
mod leaving;
mod limits;
mod listener;
mod log;
mod place;
mod pulse;
mod query;
mod raw;
mod reply;
mod request;
mod response;
mod route;
#[cfg(test)]
mod scripted;
mod serve;
mod service;
mod shield;
mod stamp;
mod tally;
#[cfg(feature = "async")]
mod tasks;
pub mod testing;
mod trace;
mod unsent;
mod wire;

pub use app::App;
pub use body::{Body, BodyError};
pub use environ::environ;
pub use exit::Exit;
pub use limits::Limits;
pub use raw::{Parting, serve_connections};
pub use request::Request;
pub use response::{IntoResponse, Response, Stage};
pub use scgi_protocol::address::Address;
pub use scgi_protocol::scgi::{Policy, ResponseHead, Shape};
#[cfg(feature = "async")]
pub use tasks::{HttpService, Incoming, Mount, Server, Variables};
pub use trace::Traceparent;

/// The examples of the README, so that they go on working.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;
