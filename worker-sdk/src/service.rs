//! What all threads of a worker share: the app sealed, and the accounts of what it does.
//!
//! Finds the handler for a request and runs it. Never touches a connection.

use std::sync::Arc;

use scgi_protocol::page::Page;
use scgi_protocol::scgi;

use crate::cgi::Manner;
use crate::environ::environ;
use crate::limits::Limits;
use crate::reply;
use crate::request::Request;
use crate::response::Response;
use crate::route::{Found, Handler, Routes, Stages, Writes};
use crate::tally::Tally;

/// A sealed app at work.
pub(crate) struct Service<S> {
    pub(crate) routes: Routes<S>,
    pub(crate) state: S,
    pub(crate) terms: Arc<Terms>,
    pub(crate) mount: Option<String>,
}

/// On which terms connections are taken, and where it is told what became of them.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) limits: Limits,
    pub(crate) codec: scgi::Limits,
    pub(crate) tally: Tally,
}

impl Terms {
    pub(crate) fn new(limits: Limits, page: Page) -> Self {
        page.tells_checkups();
        Self { codec: limits.codec(), limits, tally: Tally::new(page) }
    }
}

impl<S> Service<S> {
    /// Answers one request: by its handler, or as HTTP wants it where there is none.
    pub(crate) fn answer<'r>(&'r self, request: &mut Request<'r, S>) -> Answer<'r, S> {
        if self.routes.is_empty() {
            return Answer::Response(environ(request));
        }
        match self.routes.find(request.method, &request.place.path) {
            Found::Handler(handler, params) => {
                request.params = params;
                match handler {
                    Handler::Answers(answer) => Answer::Response(answer(request)),
                    Handler::Writes(manner, write) => Answer::Writer(*manner, write),
                    Handler::Stages(stage) => Answer::Stager(stage),
                }
            }
            Found::Nothing => Answer::Response(reply::plain(404)),
            Found::OtherMethods(allow) => {
                Answer::Response(reply::plain(405).header("Allow", allow))
            }
        }
    }
}

/// What a request is answered with.
pub(crate) enum Answer<'r, S> {
    Response(Response),
    /// Somebody who writes it.
    Writer(Manner, &'r Writes<S>),
    /// Somebody who writes it and says its head meanwhile.
    Stager(&'r Stages<S>),
}
