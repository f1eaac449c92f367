//! The texts that are shipped, what is written out, the schema, and texts at random.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::Value;

use super::super::read::Shape;
use super::super::yaml::{self, Form, Node};
use super::super::{init_text, load, load_kept, load_sent, raw, schema, show};
use super::*;

const EXAMPLE: &str = include_str!("../../../../deploy/site.example.yaml");

/// A text with every key in it.
const FULL: &str = "
control: {socket: /run/c.sock, owner: root, group: 33, mode: \"0660\", readers: [group:33], writers: [user:deploy]}
metrics: {listen: 127.0.0.1:9000}
revisions: {directory: /var/lib/x, keep: 7}
include: []
defaults: {stop_timeout: 5s}
apps:
  blog:
    run: [bin/blog, --port, \"0080\", \"yes\"]
    directory: /srv/blog
    env: {A: \"1\", B: \"no\", C: \" x: # y\", D: \"line\\nline\"}
    env_file: /srv/blog/blog.env
    clear_env: false
    mount: /blog
    listen: [{address: unix:/run/b.sock, owner: deploy, group: 33, mode: \"0600\", backlog: 5}, \"[::1]:80\", systemd:x]
    workers: {min: 0, max: 4, spare: 1, idle_timeout: 90s}
    concurrency: 3
    preload: true
    ready: {after: 1500ms}
    queue_timeout: 3s
    strict: true
    start_timeout: 2s
    stop_timeout: 1h
    stop_signal: HUP
    restart: {budget: 2, period: 5s, backoff: {first: 1ms, max: 1s}, give_up: true}
    roll: {surge: 30%, soak: 2s, health: {path: /up, timeout: 1s}}
    user: deploy
    group: 33
    groups: [33, 44]
    umask: \"0077\"
    nice: 3
    limits: {nofile: 9, nproc: unlimited, as: 1G, core: 0, cpu: 1h, data: 1K, fsize: 1T, memlock: 2, stack: {soft: 1, hard: unlimited}}
  scripts:
    {run: [/srv/blog], kind: cgi, cgi: {timeout: 5m, output: 1M}, listen: 127.0.0.1:4001}
  wiki:
    {run: [bin/blog], kind: inetd, inetd: {timeout: 5m}, listen: 127.0.0.1:4002}
  torrent:
    {run: [bin/blog], kind: standalone, listen: 127.0.0.1:4003, ready: connect}
";

#[test]
fn the_text_of_init_is_a_site_without_problems() {
    let loaded = loaded(init_text());

    assert!(loaded.unprepared.is_empty(), "{:?}", loaded.unprepared);
    assert_eq!(loaded.site.apps.len(), 1);
}

#[test]
fn the_text_of_init_has_all_it_needs_on_every_machine() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scgid.yaml");
    std::fs::write(&path, init_text()).unwrap();

    assert!(load(&path).and_then(Loaded::strict).is_ok());
}

#[test]
fn the_example_says_what_is_so_without_being_said() {
    let example = loaded(EXAMPLE);
    let bare = loaded(
        "
apps:
  blog: {run: [/srv/blog/bin/blog, --verbose], directory: /, listen: unix:/run/scgid/blog.sock}
  shop: {run: [python3, -m, scgi_worker, \"shop:app\"], listen: 127.0.0.1:4001, workers: {min: 0, max: 8}}
",
    );

    assert!(example.unprepared.is_empty(), "{:?}", example.unprepared);
    assert_eq!(example.site, bare.site);
}

#[test]
fn the_example_and_the_text_of_init_speak_of_keys_that_exist() {
    let schema = schema();
    let known: BTreeSet<&str> = keys_of(&schema).into_values().flatten().collect();

    for line in EXAMPLE.lines().chain(init_text().lines()) {
        let Some(comment) = line.trim_start().strip_prefix("# ") else { continue };
        let Some((key, value)) = comment.trim_start().split_once(':') else { continue };
        let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        if is_key && (value.is_empty() || value.starts_with(' ')) {
            assert!(known.contains(key), "{line}");
        }
    }
    for key in raw::App::KEYS.iter().chain(raw::Site::KEYS).chain(raw::Control::KEYS) {
        assert!(EXAMPLE.contains(&format!("{key}:")), "{key} is not in the example");
    }
}

#[test]
fn what_is_shown_means_what_was_meant() {
    for text in [FULL, EXAMPLE, init_text()] {
        let site = loaded(text).site;

        let shown = show(&site);

        assert_eq!(loaded(&shown).site, site, "{shown}");
    }
}

#[test]
fn a_site_is_shown_in_full() {
    insta::assert_snapshot!(show(&loaded(FULL).site));
}

/// A tree as our reader sees it, in the terms of another.
fn json(node: &Node) -> Value {
    match &node.value {
        yaml::Value::Null => Value::Null,
        yaml::Value::Scalar { text, form: Form::Text } => text.as_str().into(),
        yaml::Value::Scalar { text, .. } => serde_json::from_str(text).unwrap(),
        yaml::Value::List(items) => items.iter().map(json).collect(),
        yaml::Value::Map(entries) => {
            entries.iter().map(|entry| (entry.key.clone(), json(&entry.node))).collect()
        }
    }
}

#[test]
fn other_yaml_readers_read_the_same() {
    let shown = show(&loaded(FULL).site);

    for text in [FULL, EXAMPLE, init_text(), &shown] {
        let ours = json(&yaml::read(text, 0).unwrap());
        let theirs: Value = serde_yaml::from_str(text).unwrap();

        assert_eq!(ours, theirs, "{text}");
    }
}

/// The properties of every object in the schema, by the object's name.
fn keys_of(schema: &Value) -> BTreeMap<&str, Vec<&str>> {
    let definitions = schema["definitions"].as_object().unwrap();
    let objects = definitions.iter().map(|(name, schema)| (name.as_str(), schema));
    objects
        .chain([("Site", schema)])
        .filter_map(|(name, schema)| {
            let keys = schema["properties"].as_object()?.keys().map(String::as_str).collect();
            Some((name, keys))
        })
        .collect()
}

/// Whether a value fits a schema, as far as our schema goes; patterns are taken for granted.
fn fits(value: &Value, schema: &Value, root: &Value) -> bool {
    let Some(rules) = schema.as_object() else { return schema.as_bool().expect("true or false") };
    rules.iter().all(|(rule, said)| match rule.as_str() {
        "$ref" => {
            let name = said.as_str().unwrap().strip_prefix("#/definitions/").unwrap();
            fits(value, &root["definitions"][name], root)
        }
        "allOf" => said.as_array().unwrap().iter().all(|schema| fits(value, schema, root)),
        "anyOf" => said.as_array().unwrap().iter().any(|schema| fits(value, schema, root)),
        "const" => value == said,
        "enum" => said.as_array().unwrap().contains(value),
        "type" => match said {
            Value::Array(kinds) => kinds.iter().any(|kind| is_a(value, kind)),
            kind => is_a(value, kind),
        },
        "minimum" => value.as_i64().is_none_or(|number| number >= said.as_i64().unwrap()),
        "maximum" => value.as_i64().is_none_or(|number| number <= said.as_i64().unwrap()),
        "minLength" => {
            value.as_str().is_none_or(|text| text.len() as u64 >= said.as_u64().unwrap())
        }
        "minItems" => value.as_array().is_none_or(|all| all.len() as u64 >= said.as_u64().unwrap()),
        "items" => value.as_array().is_none_or(|all| all.iter().all(|one| fits(one, said, root))),
        "required" => value.as_object().is_none_or(|map| {
            said.as_array().unwrap().iter().all(|key| map.contains_key(key.as_str().unwrap()))
        }),
        "additionalProperties" => value.as_object().is_none_or(|map| {
            let known = |key: &str| rules.get("properties").and_then(|all| all.get(key)).is_some();
            map.iter().all(|(key, value)| known(key) || fits(value, said, root))
        }),
        "properties" => value.as_object().is_none_or(|map| {
            map.iter().all(|(key, value)| said.get(key).is_none_or(|said| fits(value, said, root)))
        }),
        "pattern" | "propertyNames" | "definitions" => true,
        "$schema" | "description" | "examples" | "title" => true,
        other => panic!("the test does not know the rule {other}"),
    })
}

fn is_a(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("the test does not know the type {other}"),
    }
}

#[test]
fn the_schema_takes_what_the_reader_takes() {
    let schema = schema();

    for text in [FULL, EXAMPLE, init_text(), &show(&loaded(FULL).site)] {
        let value = json(&yaml::read(text, 0).unwrap());

        assert!(fits(&value, &schema, &schema), "{text}");
    }
}

#[test]
fn the_schema_and_the_reader_refuse_the_same_keys() {
    let schema = schema();
    let lines: Vec<&str> = FULL.lines().collect();
    let keys: BTreeSet<&str> = keys_of(&schema).into_values().flatten().collect();

    let mut tried = 0;
    for key in keys {
        // `min` begins `minimum`: a key is what stands between a space or brace and a colon.
        let Some(line) = lines.iter().position(|line| mentions(line, key)) else {
            panic!("{key} is in the schema, but not in the full text");
        };
        let mut changed = lines.clone();
        let renamed = lines[line].replacen(&format!("{key}:"), &format!("no-{key}:"), 1);
        changed[line] = &renamed;
        let text = changed.join("\n");
        let value = json(&yaml::read(&text, 0).unwrap());

        assert!(!fits(&value, &schema, &schema), "{text}");
        assert!(read(&Paper::new(), &text).is_err(), "{text}");
        tried += 1;
    }
    assert!(tried > 50, "{tried} keys");
}

fn mentions(line: &str, key: &str) -> bool {
    let begins = |start: usize| start == 0 || line[..start].ends_with([' ', '{']);
    line.find(&format!("{key}:")).is_some_and(begins)
}

#[test]
fn the_schema_explains_every_key() {
    let schema = schema();
    let objects = schema["definitions"].as_object().unwrap().values().chain([&schema]);

    for (key, property) in
        objects.flat_map(|object| object["properties"].as_object().into_iter().flatten())
    {
        assert!(property["description"].as_str().is_some_and(|text| text.len() > 9), "{key}");
    }
}

#[test]
fn the_schema_is_what_editors_were_given() {
    insta::assert_json_snapshot!(schema());
}

/// A valid text with a few bytes replaced, removed or put in.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), 0..3usize, prop::collection::vec(any::<u8>(), 0..4));
    let source = prop::sample::select(vec![FULL, EXAMPLE, init_text()]);
    (source, prop::collection::vec(edit, 1..8)).prop_map(|(text, edits)| {
        let mut bytes = text.as_bytes().to_owned();
        for (index, removed, added) in edits {
            let start = index.index(bytes.len());
            let end = (start + removed).min(bytes.len());
            bytes.splice(start..end, added);
        }
        bytes
    })
}

/// Pieces of YAML in no order.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "apps",
        "blog",
        "run",
        "listen",
        "workers",
        "limits",
        "restart",
        "include",
        ": ",
        ":",
        "\n",
        "  ",
        "    ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "\"",
        "'",
        "|\n",
        ">\n",
        "&a ",
        "*a",
        "<<: ",
        "1",
        "0",
        "-1",
        "30s",
        "1G",
        "~",
        "true",
        "é",
        "\u{feff}",
        "\t",
        "#",
        "---\n",
        "!x ",
        "%",
        "x",
        "../",
        "\r\n",
        "\0",
        "unix:",
        "127.0.0.1:80",
        "? ",
        "99999999999999999999",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic_and_every_refusal_has_a_reason(
        bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..200), mutated(), pieces()]
    ) {
        let text = String::from_utf8_lossy(&bytes);

        if let Err(problems) = read(&Paper::new(), &text).and_then(Loaded::strict) {
            let told = problems.list();
            prop_assert!(!told.is_empty());
            prop_assert!(told.iter().all(|problem| !problem.message.is_empty() && problem.hint.is_some()));
            prop_assert!(problems.render(Paint::Plain).starts_with("refused: "));
            prop_assert!(!problems.render(Paint::Colour).is_empty());
        }
    }
}

#[test]
fn a_configuration_that_was_kept_is_read_again_without_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let app = |name: &str, port: u16| {
        format!("apps: {{{name}: {{run: [/bin/true], listen: '127.0.0.1:{port}', workers: 1}}}}")
    };
    std::fs::create_dir(folder.path().join("apps.d")).unwrap();
    std::fs::write(folder.path().join("apps.d/b.yaml"), app("b", 2)).unwrap();
    std::fs::write(folder.path().join("one.yaml"), app("one", 3)).unwrap();
    let first = format!("include: ['apps.d/*.yaml', one.yaml]\n{}", app("a", 1));
    let path = folder.path().join("scgid.yaml");
    std::fs::write(&path, &first).unwrap();
    let loaded = load(&path).unwrap();
    let kept = loaded.sources.kept();
    drop(folder);

    let again = load_kept(&kept).unwrap();

    assert_eq!(again.site, loaded.site);
    assert_eq!(again.site.apps.len(), 3);
    assert_eq!(again.sources.kept(), kept);
    let lost = load_kept(&kept[..2]).unwrap_err();
    assert!(lost.render(Paint::Plain).contains("one.yaml` was not kept"));
}

#[test]
fn a_text_that_is_sent_includes_what_stands_in_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let app = "apps: {b: {run: [./b], listen: 'unix:b.sock'}}";
    std::fs::write(folder.path().join("b.yaml"), app).unwrap();

    let sent = load_sent("standard input", folder.path(), "include: b.yaml");
    let wrong = load_sent("standard input", folder.path(), "apps: 4").unwrap_err();

    let problems = &sent.unwrap().unprepared[&"b".parse().unwrap()];
    let program = folder.path().join("./b").display().to_string().replace("/./", "/");
    assert!(problems[0].message.contains(&program), "{problems:?}");
    assert!(wrong.render(Paint::Plain).contains("standard input:1:"), "{wrong}");
}
