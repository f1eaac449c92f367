//! The catalogue of metrics: every family, what it means, and by what it is told apart.
//!
//! Dashboards, rules and the documentation speak of these names and no others. Labels come from
//! small fixed sets (`app` is bounded by the configuration); a pid, a path or a message is never
//! one. The families of the process itself bear the names Prometheus's own libraries give them.

/// How the numbers of a family behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They only rise, save when the daemon starts again.
    Counter,
    /// They rise and fall.
    Gauge,
    /// Counts of durations by upper bound, their number and their sum.
    Histogram,
}

/// One family of metrics.
#[derive(Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// How its numbers behave.
    pub kind: Kind,
    /// By what they are told apart.
    pub labels: &'static [&'static str],
    /// What it means, in one paragraph.
    pub help: &'static str,
}

/// Declares each family, and [`ALL`] of them so that none is forgotten.
macro_rules! families {
    ($($ident:ident: $kind:ident $name:literal $labels:tt $help:literal;)*) => {
        $(
            #[doc = $help]
            pub static $ident: Family =
                Family { name: $name, kind: Kind::$kind, labels: &$labels, help: $help };
        )*

        /// All families.
        pub static ALL: &[&Family] = &[$(&$ident),*];
    };
}

families! {
    REQUESTS: Counter "scgid_requests_total" ["app", "code"]
        "Requests answered, by class of the status: 2xx, 3xx, 4xx, 5xx, and other for those that \
         got none or another one.";
    REQUEST_DURATION: Histogram "scgid_request_duration_seconds" ["app"]
        "Time from accepting a connection to the end of its reply.";
    QUEUE_WAIT: Histogram "scgid_queue_wait_seconds" ["app"]
        "Time from the front end's stamp (X-Request-Start) to accepting the connection; only of \
         apps that have seen such a stamp.";
    REQUESTS_IN_FLIGHT: Gauge "scgid_requests_in_flight" ["app"]
        "Requests being served.";
    BUSY_SECONDS: Counter "scgid_busy_seconds_total" ["app"]
        "Time spent on requests; of several at once, the sum.";
    ABORTED_REQUESTS: Counter "scgid_aborted_requests_total" ["app"]
        "Requests whose client had gone before the reply was complete.";
    LENIENT_REQUESTS: Counter "scgid_lenient_requests_total" ["app"]
        "Requests that break the SCGI specification and were served nevertheless.";
    REPEATED_VARIABLES: Counter "scgid_repeated_variables_requests_total" ["app"]
        "Requests with variables that were sent more than once, and joined.";
    EXPIRED_REQUESTS: Counter "scgid_expired_requests_total" ["app"]
        "Requests answered 503 because they had waited longer than queue_timeout.";
    LARGE_RESPONSE_HEADS: Counter "scgid_large_response_heads_total" ["app"]
        "Response heads of more than 4096 bytes, which nginx refuses unless scgi_buffer_size is \
         raised.";
    CLIENTS_PARKED: Gauge "scgid_clients_parked" ["app"]
        "Slow clients that are waited for beside the workers' threads: for their request, or to take \
         their reply.";
    SHED_CLIENTS: Counter "scgid_shed_clients_total" ["app"]
        "Slow clients that were dropped to make room for others.";
    REFUSED_CONNECTIONS: Counter "scgid_refused_connections_total" ["app", "reason"]
        "Connections that never became a request: malformed, head too_long, head incomplete.";
    REQUEST_BYTES: Counter "scgid_request_bytes_total" ["app"]
        "Bytes of request heads and bodies received.";
    RESPONSE_BYTES: Counter "scgid_response_bytes_total" ["app"]
        "Bytes of replies sent.";

    WORKERS: Gauge "scgid_workers" ["app", "state"]
        "Workers of the app's program by state: starting, idle (room for a request), busy (no \
         room), draining, killed. Relief workers are not counted.";
    WORKERS_WANTED: Gauge "scgid_workers_wanted" ["app"]
        "Workers wanted at this moment.";
    WORKERS_MIN: Gauge "scgid_workers_min" ["app"]
        "Fewest workers ever wanted, as configured or scaled.";
    WORKERS_MAX: Gauge "scgid_workers_max" ["app"]
        "Most workers ever wanted, as configured or scaled.";
    RELIEF_WORKERS: Gauge "scgid_relief_workers" ["app"]
        "Built-in workers that answer 503 in the app's place.";
    POOL_UTILIZATION: Gauge "scgid_pool_utilization_ratio" ["app"]
        "Requests being served by workers that accept, divided by the requests that workers_max \
         workers could serve at once: what the accepting ones say, and as much for each that may \
         still be started, or the configured concurrency if there is none. 1 means that nothing is left to grow into. A program \
         that keeps no page counts as full while somebody waits in its queue, else as empty.";
    SATURATED_SECONDS: Counter "scgid_saturated_seconds_total" ["app"]
        "Time in which every worker that serves was busy, as far as the daemon looked: it does while \
         connections arrive.";
    LISTEN_QUEUE: Gauge "scgid_listen_queue" ["app"]
        "Connections waiting to be accepted, over all listeners of the app; missing if the kernel \
         does not say.";
    LISTEN_QUEUE_MAX: Gauge "scgid_listen_queue_max" ["app"]
        "Connections that may wait to be accepted, over all listeners of the app; missing if the \
         kernel does not say.";

    WORKER_STARTS: Counter "scgid_worker_starts_total" ["app"]
        "Workers started, relief workers included.";
    WORKER_EXITS: Counter "scgid_worker_exits_total" ["app", "reason"]
        "Workers of the app's program that are no more, by reason: exit (by itself, status 0), \
         failure (another status), signal, not_started, start_timeout, stop_timeout, rolled, \
         scaled_down, stopped.";
    WORKER_RESTARTS: Counter "scgid_worker_restarts_total" ["app"]
        "Workers that died unasked and were replaced.";
    BACKOFFS: Counter "scgid_backoffs_total" ["app"]
        "Pauses made before another attempt to start a worker.";

    LOG_LINES_DROPPED: Counter "scgid_log_lines_dropped_total" ["app"]
        "Lines that the app's workers wrote faster than they are written down, a thousand a second \
         after a burst of five thousand: they are in no log.";

    APP_UP: Gauge "scgid_app_up" ["app"]
        "1 if the app's own workers answer, or would be started by the first request; else 0.";
    APP_WANTED: Gauge "scgid_app_wanted" ["app"]
        "1 if the app shall run, 0 if an operator stopped it.";
    APP_STATE: Gauge "scgid_app_state" ["app", "state"]
        "Always 1; the label says how the app is: serving, idle, starting, rolling, degraded, \
         held, failing, unprepared, stopping, stopped.";
    APP_GENERATION: Gauge "scgid_app_generation" ["app"]
        "The app's latest generation; rises with each roll.";

    OPERATIONS: Counter "scgid_operations_total" ["verb", "result"]
        "Operations that ended, by what they did and whether they were done or failed.";
    RELOAD_SUCCESSFUL: Gauge "scgid_config_last_reload_successful" []
        "1 if the last attempt to read the configuration succeeded, else 0.";
    RELOAD_TIMESTAMP: Gauge "scgid_config_last_reload_success_timestamp_seconds" []
        "When the configuration was last read with success, in seconds since 1970.";
    BUILD_INFO: Gauge "scgid_build_info" ["version"]
        "Always 1; the label says which version of scgid this is.";
    START_TIME: Gauge "scgid_start_time_seconds" []
        "When scgid started, in seconds since 1970.";

    PROCESS_CPU: Counter "process_cpu_seconds_total" []
        "User and system CPU time spent by scgid itself.";
    PROCESS_RESIDENT: Gauge "process_resident_memory_bytes" []
        "Resident memory of scgid itself.";
    PROCESS_VIRTUAL: Gauge "process_virtual_memory_bytes" []
        "Virtual memory of scgid itself.";
    PROCESS_OPEN_FDS: Gauge "process_open_fds" []
        "File descriptors scgid has open.";
    PROCESS_MAX_FDS: Gauge "process_max_fds" []
        "File descriptors scgid may have open.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_says_its_unit_as_prometheus_wants_it() {
        for family in ALL {
            let name = family.name;
            let total = name.ends_with("_total");
            assert_eq!(total, family.kind == Kind::Counter, "{name}");
            assert!(name.starts_with("scgid_") || name.starts_with("process_"), "{name}");
            let legal = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(name.chars().all(legal), "{name}");
            let abbreviated = name.split('_').any(|word| ["ms", "sec", "kb", "mb"].contains(&word));
            assert!(!abbreviated, "{name}");
            assert!(family.help.ends_with('.') && !family.help.contains("  "), "{name}");
        }
    }

    #[test]
    fn no_name_is_given_twice() {
        let names: BTreeSet<_> = ALL.iter().map(|family| family.name).collect();

        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn labels_come_from_small_fixed_sets() {
        let bounded = ["app", "code", "reason", "state", "verb", "result", "version"];

        for family in ALL {
            assert!(family.labels.iter().all(|label| bounded.contains(label)), "{}", family.name);
        }
    }
}
