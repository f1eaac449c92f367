//! SCGI.
