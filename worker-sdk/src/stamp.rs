//! The front end's stamp on a request, `X-Request-Start`: when it was received there.
//!
//! Written as `t=1700000000.123` or `1700000000.123` (nginx's `$msec`), or as whole milli- or
//! microseconds (Heroku, Apache's `%t`). The wall clock is handed in.

use std::time::Duration;

/// A longer wait is taken for a wrong clock or a client's joke.
const LONGEST: Duration = Duration::from_secs(3600);

/// How long a request waited from its stamp to `now`, both since 1970; `None` if the stamp says
/// nothing that can be true. A stamp a little in the future is a wait of zero.
pub(crate) fn waited(stamp: &[u8], now: Duration) -> Option<Duration> {
    let text = str::from_utf8(stamp).ok()?.trim();
    let number: f64 = text.strip_prefix("t=").unwrap_or(text).parse().ok()?;
    let seconds = match number {
        seconds if seconds < 1e11 => seconds,
        milliseconds if milliseconds < 1e14 => milliseconds / 1e3,
        microseconds if microseconds < 1e17 => microseconds / 1e6,
        nanoseconds => nanoseconds / 1e9,
    };
    let stamped = Duration::try_from_secs_f64(seconds).ok()?;
    if stamped > now {
        return (stamped - now < Duration::from_secs(1)).then_some(Duration::ZERO);
    }
    Some(now - stamped).filter(|waited| *waited <= LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_millis(1_700_000_000_500);

    fn waited_ms(stamp: &str) -> Option<u128> {
        waited(stamp.as_bytes(), NOW).map(|waited| (waited + Duration::from_micros(50)).as_millis())
    }

    #[test]
    fn every_common_way_to_write_a_stamp_is_understood() {
        for stamp in [
            "t=1700000000.250",
            "1700000000.250",
            "t=1700000000250",
            "1700000000250",
            "t=1700000000250000",
            "1700000000250000000",
        ] {
            assert_eq!(waited_ms(stamp), Some(250), "{stamp}");
        }
    }

    #[test]
    fn a_stamp_that_cannot_be_true_says_nothing() {
        for stamp in ["", "t=", "yesterday", "NaN", "inf", "-1", "0", "1600000000", "1800000000"] {
            assert_eq!(waited_ms(stamp), None, "{stamp}");
        }
    }

    #[test]
    fn clocks_that_differ_a_little_make_a_wait_of_zero() {
        assert_eq!(waited_ms("t=1700000000.501"), Some(0));
    }
}
