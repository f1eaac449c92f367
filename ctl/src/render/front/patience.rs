//! How long a front end waits for an app's answer, from the app's own time limits.

use std::time::Duration;

/// What every one of the front ends waits if nobody tells it.
const USUAL: Duration = Duration::from_secs(60);

/// By how much the front end waits longer than the daemon does.
const AFTER_THE_DAEMON: Duration = Duration::from_secs(5);

/// The keys by which a configuration bounds the time of one request; an app has one of them at most.
const LIMITS: [&str; 3] = ["request_timeout", "cgi.timeout", "inetd.timeout"];

/// A time to wait, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    pub(super) time: Duration,
    pub(super) because: String,
}

impl Patience {
    /// That of an app with these `settings`, in the words of the configuration.
    pub(super) fn of(settings: &[(String, String)]) -> Self {
        let said = |key: &str| {
            let value = settings.iter().find(|(other, _)| other == key).map(|(_, value)| value);
            value.and_then(|text| humantime::parse_duration(text).ok())
        };
        let on_demand = settings.iter().any(|(key, least)| key == "workers.min" && least == "0");
        let mut time = USUAL;
        let mut because = "the usual 60s, as the app sets no limit".to_owned();
        if let Some((key, limit)) = LIMITS.iter().find_map(|key| Some((key, said(key)?))) {
            time = limit + AFTER_THE_DAEMON;
            because = format!("{key}, and 5s so that scgid is the first to end what hangs");
        }
        if let Some(wait) = said("queue_timeout") {
            time += wait;
            because.push_str("; queue_timeout");
        }
        if let Some(start) = said("start_timeout").filter(|_| on_demand) {
            time += start;
            because
                .push_str("; start_timeout, since a request may have to wait for the first worker");
        }
        Self { time, because }
    }

    /// In whole seconds, rounded up: no front end is more exact in all its directives.
    pub(super) fn seconds(&self) -> u64 {
        self.time.as_secs() + u64::from(self.time.subsec_nanos() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(settings: &[(&str, &str)]) -> u64 {
        let settings: Vec<_> =
            settings.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        Patience::of(&settings).seconds()
    }

    #[test]
    fn a_front_end_waits_longer_than_everything_the_daemon_waits_for() {
        let start = ("start_timeout", "30s");

        assert_eq!(seconds(&[start, ("workers", "4")]), 60);
        assert_eq!(seconds(&[start, ("workers.min", "1")]), 60);
        assert_eq!(seconds(&[start, ("workers.min", "0")]), 90);
        assert_eq!(seconds(&[start, ("request_timeout", "1m 500ms")]), 66);
        assert_eq!(seconds(&[("request_timeout", "2s"), ("queue_timeout", "1s")]), 8);
        assert_eq!(seconds(&[("cgi.timeout", "1h")]), 3605);
        assert_eq!(seconds(&[("inetd.timeout", "1m")]), 65);
        assert_eq!(seconds(&[("request_timeout", "none")]), 60);
    }
}
