//! SCGI, the language between a web server and an app: heads and bodies, both ways.
//!
//! A web server (the *front end*) that has a request for an app opens a connection, says one
//! request, reads one response, and sees the connection closed. There is no keep-alive, no
//! multiplexing and no half-close; that is the whole charm of it.
//!
//! ```text
//! front end ─────────────────────────────────────────────────────────▶ app
//!
//!    44 : CONTENT_LENGTH ∅ 5 ∅ SCGI ∅ 1 ∅ REQUEST_METHOD ∅ POST ∅ ,  hello
//!    ├──┘ └──────────── block: name NUL value NUL … ───────────┘ │  └─┬─┘
//!   length                                                     comma body
//!    └───────────────────── head: a netstring ──────────────────┘
//!
//! front end ◀───────────────────────────────────────────────────────── app
//!
//!    Status: 200 OK ⏎ Content-Type: text/plain ⏎ Content-Length: 5 ⏎ ⏎ hello
//!    └──────────────────────── response head ─────────────────────────┘ body, to the close
//! ```
//!
//! # Sources
//!
//! - *SCGI: A Simple Common Gateway Interface alternative*, Neil Schemenauer, 2008: the request.
//! - *Netstrings*, D. J. Bernstein, 1997: the framing of its head.
//! - RFC 3875, *CGI/1.1*, 2004: what the variables mean, and the response, about which the SCGI
//!   text says nothing. RFC 9110 for the names of headers and the reasons.
//! - What front ends do: `tests/fixtures/front-ends` holds heads recorded from nginx, both Apache
//!   modules and lighttpd.
//!
//! # Where we are lenient, and why
//!
//! The specification forbids some things that common front ends do. A strict parser behind nginx
//! fails every request in which a browser repeats a header, so [`Policy::Lenient`] is the default.
//! Whatever it lets pass is told by [`Head::leniencies`], to be counted.
//!
//! | what | who sends it | lenient | strict |
//! |---|---|---|---|
//! | a repeated `HTTP_…` variable | nginx before 1.23; mod_scgi and lighttpd if `X-A` and `X_A` meet | joined with `, ` (`HTTP_COOKIE` with `; `) | refused |
//! | any other variable repeated | a misconfigured front end, an attack | refused | refused |
//! | `SCGI` missing or not `1` | nginx without `scgi_param SCGI 1` | accepted | refused |
//! | `CONTENT_LENGTH` not first | hand-written clients | accepted | refused |
//! | leading zeros in `CONTENT_LENGTH` | mod_scgi passes on the client's | accepted | accepted: it says "digits" |
//! | `SCGI` last | lighttpd | accepted | accepted: it says "somewhere" |
//! | control characters, newlines, bytes beyond ASCII in values | all, from `%0A` and Latin-1 | kept | kept: only NUL is special |
//!
//! Nothing is lenient about framing: the length of the head, its comma, its strings in pairs, and
//! `CONTENT_LENGTH` decide where one thing ends and the next begins, and a guess there is a hole.
//! A peer who speaks HTTP or TLS is recognised and [answered](HeadError::answer) in words.
//!
//! # Rooms
//!
//! Request: [`decode`] and [`needed`] for an app, [`Decoder`] for one that is asked often, [`RequestHead`] for a client, [`Body`] for both.
//! Response: [`ResponseWriter`] for an app, [`ResponseHead`] for a client. Nothing in here performs I/O.

mod block;
mod body;
mod decoder;
mod head;
mod netstring;
mod reason;
mod refusal;
mod request;
mod response;
mod response_decode;

pub use body::{Aborted, Body};
pub use decoder::Decoder;
pub use head::{Head, Leniencies, Limits, MAX_CONTENT_LENGTH, OwnedHead, Policy, Shape};
pub use head::{decode, needed};
pub use reason::reason_phrase;
pub use refusal::HeadError;
pub use request::{RequestError, RequestHead};
pub use response::{NGINX_HEADER_BYTES, ResponseError, ResponseHead, ResponseWriter};
pub use response_decode::ResponseDecodeError;
