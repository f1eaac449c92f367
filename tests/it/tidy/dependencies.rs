//! What each crate may stand on. A dependency is argued for in the commit that adds it here.

use std::process::Command;

use super::tree;

/// Every crate that apps or the programs are made of, and its direct dependencies.
const ALLOWED: &[(&str, &[&str])] = &[
    (
        "scgi-protocol",
        &["humantime", "memmap2", "nix", "serde", "serde_json", "thiserror", "utoipa"],
    ),
    (
        "scgi-worker",
        &[
            "bytes",
            "http",
            "http-body",
            "matchit",
            "nix",
            "percent-encoding",
            "rustix",
            "scgi-protocol",
            "signal-hook",
            "thiserror",
            "tokio",
            "tower-service",
        ],
    ),
    ("scgi-worker-python", &["pyo3", "rustix", "scgi-protocol", "scgi-worker", "scoped-tls-hkt"]),
    (
        "scgictl",
        &[
            "anstream",
            "clap",
            "clap_complete",
            "http-body-util",
            "humantime",
            "hyper",
            "hyper-util",
            "nix",
            "scgi-protocol",
            "serde",
            "serde_json",
            "serde_yaml",
            "strsim",
            "terminal_size",
            "thiserror",
            "tokio",
        ],
    ),
    (
        "scgid",
        &[
            "annotate-snippets",
            "axum",
            "clap",
            "futures-util",
            "http-body-util",
            "humantime",
            "hyper",
            "hyper-util",
            "netlink-packet-core",
            "netlink-packet-sock-diag",
            "nix",
            "percent-encoding",
            "prometheus",
            "rustix",
            "scgi-protocol",
            "scgi-worker",
            "schemars",
            "serde",
            "serde-saphyr",
            "serde_json",
            "serde_yaml",
            "signal-hook",
            "strsim",
            "thiserror",
            "tokio",
            "tokio-stream",
            "tower",
            "tracing",
            "tracing-subscriber",
            "utoipa",
        ],
    ),
];

/// The dependencies that the crate `name` may have.
pub(super) fn of(name: &str) -> &'static [&'static str] {
    ALLOWED.iter().find(|(known, _)| *known == name).expect("the crate is known").1
}

/// The direct dependencies that a crate's manifest names, tests apart.
fn named_by(package: &serde_json::Value) -> Vec<String> {
    let all = package["dependencies"].as_array().unwrap();
    let usual = all.iter().filter(|dependency| dependency["kind"].is_null());
    let name = |dependency: &serde_json::Value| {
        let renamed = dependency["rename"].as_str();
        renamed.or_else(|| dependency["name"].as_str()).unwrap().to_owned()
    };
    let mut names: Vec<_> = usual.map(name).collect();
    names.sort();
    names
}

#[test]
fn every_crate_stands_on_what_it_may_and_nothing_else() {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(tree::root())
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{metadata:?}");
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();

    for (name, allowed) in ALLOWED {
        let package = packages.iter().find(|package| package["name"] == *name).unwrap();
        assert_eq!(named_by(package), *allowed, "dependencies of {name}");
    }
    assert_eq!(packages.len(), ALLOWED.len() + 1, "these and the tests are all crates");
}
