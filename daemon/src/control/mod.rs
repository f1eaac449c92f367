//! The door for people and `scgictl`: HTTP and JSON on a unix socket.
//!
//! | file | answers |
//! |---|---|
//! | `apps` | what the apps are doing; orders to one of them |
//! | `site` | the daemon as a whole, its configuration, its end |
//! | `change` | another configuration: what it would change, to be taken over, one to return to |
//! | `revisions` | the configurations that were in force |
//! | `operations` | what became of an order |
//! | `events`, `logs` | what happened and what workers wrote; once or as it comes (`reading`, `sse`) |
//! | `openapi` | all of this, for machines |
//!
//! `door` says who may ask, `body` what may be sent, `problem` how a refusal looks, `view`
//! turns what the daemon knows into the words of the contract, `serve` holds the connections.
//!
//! Nothing here decides anything. Reading never asks the loop: it looks at what the loop last
//! posted, at the journal and at the pages. Only an order goes through the [`Handle`].

mod apps;
mod body;
mod change;
mod door;
mod events;
mod logs;
mod openapi;
mod operations;
mod patient;
mod problem;
mod reading;
mod revisions;
mod serve;
mod settings;
mod site;
mod sse;
mod unseen;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, get, post, put};
use scgi_protocol::address::Address;
use tokio::sync::{Semaphore, watch};

use scgi_protocol::control::Origin;

pub use door::Door;
pub use serve::serve;

use crate::journal::Journal;
use crate::scoreboard::Scoreboard;
use crate::shell::backlog::Queues;
use crate::shell::board::Board;
use crate::shell::clock::Clock;
use crate::shell::handle::Handle;
use crate::shell::revisions::Archive;

/// Streams of events or lines that may be open at once; fewer than there may be connections, so
/// that followers cannot keep an operator out.
const STREAMS_MAX: usize = 32;

/// All that the control API knows and can ask.
#[derive(Clone, Debug)]
pub struct ControlState {
    /// Where orders go.
    pub handle: Handle,
    /// How the apps and operations are.
    pub board: Board,
    /// What happened and what workers wrote.
    pub journal: Journal,
    /// What the workers are doing right now, and what they have counted.
    pub scoreboard: Scoreboard,
    /// How many connections wait at the apps' listeners.
    pub queues: Queues,
    /// What time it is.
    pub clock: Clock,
    /// What the site says about the daemon itself; the loop sends the next one after an apply.
    pub facts: watch::Receiver<Arc<SiteFacts>>,
    /// Where the sockets listen that the service manager handed over, by name.
    pub handed_over: Arc<BTreeMap<String, Address>>,
    /// The configurations that were in force.
    pub archive: Archive,
}

/// What a site says about the daemon itself.
#[derive(Clone, Debug)]
pub struct SiteFacts {
    /// The file it was read from; `None` for the demo.
    pub config: Option<String>,
    /// The configuration as YAML, as it was written.
    pub text: String,
    /// The tag of that text, in its quotes: the same for the same text.
    pub tag: String,
    /// Where it came from; `None` if from the daemon's own file.
    pub origin: Option<Origin>,
    /// Where the metrics are, if anywhere.
    pub metrics: Option<String>,
    /// Who may ask.
    pub door: Door,
}

impl SiteFacts {
    /// Whether the tag is among `tags`, as `If-Match` and `If-None-Match` list them.
    pub fn is_tagged(&self, tags: &str) -> bool {
        let one = |one: &str| one == "*" || one.trim_start_matches("W/") == self.tag;
        tags.split(',').map(str::trim).any(one)
    }
}

/// What the handlers share.
#[derive(Debug)]
struct Room {
    state: ControlState,
    /// One permit for each stream that may be opened.
    streams: Arc<Semaphore>,
    /// Becomes true when streams shall end, since the daemon does.
    closing: watch::Receiver<bool>,
}

impl Room {
    fn new(state: ControlState, closing: watch::Receiver<bool>) -> Arc<Self> {
        Arc::new(Self { state, streams: Arc::new(Semaphore::new(STREAMS_MAX)), closing })
    }

    /// What the site says right now.
    fn facts(&self) -> Arc<SiteFacts> {
        Arc::clone(&self.state.facts.borrow())
    }
}

/// Returns when streams and connections shall end.
async fn closed(mut closing: watch::Receiver<bool>) {
    // Without a sender nobody serves any more, which is an end too.
    let _told_or_abandoned = closing.wait_for(|closing| *closing).await;
}

/// One thing that can be asked.
struct Route {
    /// Only read by the test that holds this table against the OpenAPI document.
    #[cfg_attr(not(test), expect(dead_code, reason = "the handler knows its method itself"))]
    method: &'static str,
    path: &'static str,
    handler: fn() -> MethodRouter<Arc<Room>>,
}

/// Everything that can be asked. `GET` changes nothing and needs the right to look; all else needs
/// the right to act, and so does the configuration's text.
#[rustfmt::skip]
const ROUTES: [Route; 20] = [
    Route { method: "get",  path: "/v1/status",              handler: || get(site::status) },
    Route { method: "get",  path: "/v1/config",              handler: || get(site::config) },
    Route { method: "post", path: "/v1/site/reload",         handler: || post(site::reload_site) },
    Route { method: "post", path: "/v1/upgrade",             handler: || post(site::upgrade) },
    Route { method: "post", path: "/v1/plan",                handler: || post(change::plan) },
    Route { method: "post", path: "/v1/apply",               handler: || post(change::apply) },
    Route { method: "post", path: "/v1/rollback",            handler: || post(change::rollback) },
    Route { method: "get",  path: "/v1/revisions",           handler: || get(revisions::list_revisions) },
    Route { method: "get",  path: "/v1/revisions/{number}",  handler: || get(revisions::show_revision) },
    Route { method: "post", path: "/v1/shutdown",            handler: || post(site::shutdown) },
    Route { method: "get",  path: "/v1/apps",                handler: || get(apps::list_apps) },
    Route { method: "get",  path: "/v1/apps/{app}",          handler: || get(apps::show_app) },
    Route { method: "post", path: "/v1/apps/{app}/{verb}",   handler: || post(apps::order_app) },
    Route { method: "put",  path: "/v1/apps/{app}/workers",  handler: || put(apps::scale_app) },
    Route { method: "get",  path: "/v1/apps/{app}/logs",     handler: || get(logs::logs) },
    Route { method: "get",  path: "/v1/logs",                handler: || get(logs::all_logs) },
    Route { method: "get",  path: "/v1/operations",          handler: || get(operations::list_operations) },
    Route { method: "get",  path: "/v1/operations/{id}",     handler: || get(operations::show_operation) },
    Route { method: "get",  path: "/v1/events",              handler: || get(events::events) },
    Route { method: "get",  path: "/v1/openapi.json",        handler: || get(openapi::document) },
];

/// The whole API; every refusal that leaves it is a problem document.
fn router(room: Arc<Room>) -> Router {
    let routes = ROUTES
        .iter()
        .fold(Router::new(), |router, route| router.route(route.path, (route.handler)()));
    let routes = routes
        .fallback(problem::nowhere)
        // `take` knows how long a body may be, and where.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn(body::take))
        .layer(from_fn_with_state(Arc::clone(&room), door::guard))
        .with_state(room);
    // A router of its own: what methods are allowed is added outside the layers of the first.
    Router::new().fallback_service(routes).layer(from_fn(problem::dress))
}

#[cfg(test)]
mod tests;
