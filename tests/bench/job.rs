//! The three jobs every contender does, so that all of them answer with the same bytes.

use std::sync::LazyLock;

/// Body of the reply to [`Job::Hello`].
pub const HELLO: &[u8] = b"hello\n";

/// Bytes in the body of a [`Job::Echo`], there and back.
pub const ECHO_BYTES: usize = 64 * 1024;

/// Bytes in the body of the reply to [`Job::Big`].
pub const BIG_BYTES: usize = 100 * 1024;

/// Body of the reply to [`Job::Big`].
pub static BIG: LazyLock<Vec<u8>> = LazyLock::new(|| pattern(BIG_BYTES));

static ECHO: LazyLock<Vec<u8>> = LazyLock::new(|| pattern(ECHO_BYTES));

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Job {
    /// GET, answered with [`HELLO`].
    Hello,
    /// POST of [`ECHO_BYTES`], answered with the same.
    Echo,
    /// GET, answered with [`BIG`].
    Big,
}

impl Job {
    /// Its name in tables and on command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Echo => "echo",
            Self::Big => "big",
        }
    }

    /// The path a client asks for.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Hello => "/hello",
            Self::Echo => "/echo",
            Self::Big => "/big",
        }
    }

    /// What a client sends after the head; empty for a GET.
    #[must_use]
    pub fn request_body(self) -> &'static [u8] {
        match self {
            Self::Hello | Self::Big => &[],
            Self::Echo => &ECHO,
        }
    }

    /// What the client must get back, to the last byte.
    #[must_use]
    pub fn reply_body(self) -> &'static [u8] {
        match self {
            Self::Hello => HELLO,
            Self::Echo => &ECHO,
            Self::Big => &BIG,
        }
    }
}

/// Bytes that repeat at no power of two, so that a piece lost, doubled or displaced is seen.
fn pattern(length: usize) -> Vec<u8> {
    (0..=250u8).cycle().take(length).collect()
}
