//! All that is said between two programs of scgid, and nothing else.
//!
//! | who says | to whom | what | where |
//! |---|---|---|---|
//! | web server | worker | a request, and gets the reply | [`scgi`] |
//! | daemon | worker | what it finds when it is born | [`birth`] |
//! | worker | daemon | ready, alive, leaving | [`notice`] |
//! | worker | daemon | what it is doing, in shared memory | [`page`] |
//! | daemon | template | fork a worker; and what became of that | [`template`] |
//! | scgictl | daemon | orders and questions, over HTTP | `control` (feature `control`) |
//!
//! Each contract is one-way and works without this crate, in any language; the prose for authors
//! of workers is in `protocol/README.md`. Nothing here opens a connection, keeps a policy or
//! decides anything.

#![warn(missing_docs)]

pub mod address;
pub mod birth;
#[cfg(feature = "control")]
pub mod control;
pub mod inherit;
pub mod name;
pub mod notice;
pub mod page;
pub mod scgi;
pub mod template;
