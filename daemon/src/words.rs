//! Errors in words: one line, with everything that is behind them.

use std::error::Error;
use std::io;

use nix::errno::Errno;

/// The error and all its sources in one line, system errors without their numbers.
pub(crate) fn in_words(error: &(dyn Error + 'static)) -> String {
    let mut words = one(error);
    let mut source = error.source();
    while let Some(error) = source {
        words = words + ": " + &one(error);
        source = error.source();
    }
    words
}

fn one(error: &(dyn Error + 'static)) -> String {
    let number = error
        .downcast_ref::<Errno>()
        .copied()
        .or_else(|| error.downcast_ref::<io::Error>()?.raw_os_error().map(Errno::from_raw));
    number.map_or_else(|| error.to_string(), |errno| errno.desc().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open `{0}`")]
    struct Outer(&'static str, #[source] io::Error);

    #[test]
    fn an_error_is_told_with_what_is_behind_it_and_without_numbers() {
        let error = Outer("x", io::Error::from_raw_os_error(2));

        assert_eq!(in_words(&error), "cannot open `x`: No such file or directory");
    }
}
