//! What is in `dashboards/` speaks of the metrics there are, and of all of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::names::{self, Kind};

/// Families that are on no dashboard and in no rule, and why.
const UNSEEN: [(&str, &str); 1] = [(
    "process_virtual_memory_bytes",
    "says nothing a person can act on; kept because Prometheus's own libraries tell it",
)];

fn file(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../dashboards").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn dashboard() -> Value {
    serde_json::from_str(&file("grafana/scgid.json")).unwrap()
}

/// The words of `text` that are, or look like, names of metrics.
fn words(text: &str) -> BTreeSet<String> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = text.split(|c| !part(c)).map(|word| word.trim_end_matches(':'));
    words
        .filter(|word| word.contains("scgid_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

/// All names a family goes by in a query.
fn spellings() -> BTreeSet<String> {
    let suffixes = |kind| match kind {
        Kind::Counter | Kind::Gauge => &[""][..],
        Kind::Histogram => &["", "_bucket", "_sum", "_count"][..],
    };
    let spell = |family: &&names::Family| {
        suffixes(family.kind)
            .iter()
            .map(|suffix| format!("{}{suffix}", family.name))
            .collect::<Vec<_>>()
    };
    names::ALL.iter().flat_map(spell).collect()
}

/// Everything that is asked of Prometheus: queries, annotations, variables.
fn queries(dashboard: &Value) -> Vec<String> {
    let list = |at: &str| dashboard.pointer(at).unwrap().as_array().unwrap().clone();
    let panels = list("/panels");
    let targets = panels.iter().filter_map(|panel| panel.get("targets")?.as_array()).flatten();
    let mut queries: Vec<_> = targets.map(|target| text(target, "/expr")).collect();
    queries.extend(list("/annotations/list").iter().map(|one| text(one, "/expr")));
    let variables = list("/templating/list");
    let asked = variables.iter().filter(|variable| variable["type"] == "query");
    queries.extend(asked.map(|variable| text(variable, "/query/query")));
    queries
}

fn text(value: &Value, at: &str) -> String {
    value
        .pointer(at)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("{at} in {value}"))
        .to_owned()
}

/// The panels that show something.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let all = dashboard["panels"].as_array().unwrap();
    all.iter().filter(|panel| panel["type"] != "row").collect()
}

#[test]
fn every_metric_that_is_asked_for_exists() {
    let (known, rules) = (spellings(), file("prometheus/scgid.rules.yml"));
    let recorded = rules.lines().filter_map(|line| line.trim().strip_prefix("- record: "));
    let recorded: BTreeSet<_> = recorded.map(str::to_owned).collect();
    let asked = [
        queries(&dashboard()).join("\n"),
        rules.clone(),
        file("prometheus/scgid.test.yml"),
        file("README.md"),
    ];

    for word in asked.iter().flat_map(|text| words(text)) {
        assert!(known.contains(&word) || recorded.contains(&word), "{word} does not exist");
    }
}

#[test]
fn every_metric_is_seen_somewhere_or_not_for_a_reason() {
    let asked = queries(&dashboard()).join("\n") + &file("prometheus/scgid.rules.yml");
    let seen = words(&asked);
    let bucketed = |name: &str| seen.contains(&format!("{name}_bucket"));

    for family in names::ALL {
        let is_seen = seen.contains(family.name) || bucketed(family.name);
        let excepted = UNSEEN.iter().any(|(name, _)| *name == family.name);
        assert_ne!(is_seen, excepted, "{}", family.name);
    }
}

#[test]
fn every_panel_says_what_it_shows_in_which_unit_and_from_where() {
    let dashboard = dashboard();

    for panel in panels(&dashboard) {
        let title = text(panel, "/title");
        assert!(text(panel, "/description").ends_with('.'), "{title}");
        assert!(!text(panel, "/fieldConfig/defaults/unit").is_empty(), "{title}");
        assert_eq!(text(panel, "/datasource/uid"), "${datasource}", "{title}");
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(text(target, "/datasource/uid"), "${datasource}", "{title}");
        }
    }
}

#[test]
fn every_query_stays_within_the_chosen_job_machine_and_app() {
    for query in queries(&dashboard()).iter().filter(|query| query.contains("scgid_app_")) {
        assert!(query.contains("job=~\"$job\""), "{query}");
    }
    for panel in panels(&dashboard()) {
        for target in panel["targets"].as_array().unwrap() {
            let query = text(target, "/expr");
            let selectors = query.matches('{').count();
            assert_eq!(
                query.matches("{job=~\"$job\",instance=~\"$instance\"").count(),
                selectors,
                "{query}"
            );
        }
    }
}

#[test]
fn a_counter_is_shown_as_a_rate_over_an_interval_that_fits_the_picture() {
    let dashboard = dashboard();
    let counters = names::ALL.iter().filter(|family| family.kind != Kind::Gauge);
    let counters: Vec<_> = counters.map(|family| family.name).collect();

    for panel in panels(&dashboard) {
        for target in panel["targets"].as_array().unwrap() {
            let query = text(target, "/expr");
            let counted = counters.iter().map(|name| query.matches(name).count()).sum::<usize>();
            assert_eq!(query.matches("[$__rate_interval]").count(), counted, "{query}");
            assert_eq!(query.matches("rate(").count(), counted, "{query}");
        }
    }
}

#[test]
fn panels_neither_overlap_nor_leave_the_page() {
    let dashboard = dashboard();
    let mut taken = BTreeSet::new();

    for panel in dashboard["panels"].as_array().unwrap() {
        let at = |side: &str| panel["gridPos"][side].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{}", panel["title"]);
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{}", panel["title"]);
            }
        }
    }
}
