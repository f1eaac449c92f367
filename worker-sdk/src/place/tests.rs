//! Places as front ends tell of them: by hand, as recorded from real ones, and for paths of any
//! bytes. Asks no real front end.

use super::*;

fn place(clues: [&'static str; 4], mount: Option<&'static str>) -> (String, String) {
    let [request_uri, document_uri, script_name, path_info] =
        clues.map(|clue| (clue != "-").then_some(clue.as_bytes()));
    let clues = Clues { request_uri, document_uri, script_name, path_info, ..Clues::default() };
    let Place { mount, path, configured: _ } = Place::of(&clues, mount);
    (mount.into_owned(), path.into_owned())
}

fn pair(mount: &str, path: &str) -> (String, String) {
    (mount.into(), path.into())
}

const URI: &str = "/app/a%20b/c?q=/x";

#[test]
fn under_a_mount_all_front_ends_lead_to_the_same_place() {
    for clues in [
        [URI, "/app/a b/c", "-", "-"],             // nginx, stock scgi_params
        [URI, "/app/a b/c", "/app", "/a b/c"],     // nginx with captures
        [URI, "-", "/app/a b/c", "-"],             // mod_proxy_scgi
        [URI, "-", "/app", "/a%20b/c"],            // mod_proxy_scgi with proxy-scgi-pathinfo
        [URI, "-", "/app", "/a b/c"],              // mod_scgi, lighttpd
        [URI, "-", "-", "-"],                      // only what the client sent
        ["http://h:1/app/a%20b/c", "-", "-", "-"], // the same in absolute form
    ] {
        assert_eq!(place(clues, Some("/app")), pair("/app", "/a b/c"), "{clues:?}");
        assert_eq!(place(clues, Some("/app/")), pair("/app", "/a b/c"), "{clues:?}");
    }
}

#[test]
fn a_mount_at_the_root_undoes_a_split_after_the_first_segment() {
    assert_eq!(place(["/a/b", "-", "/a", "/b"], Some("/")), pair("", "/a/b"));
}

#[test]
fn the_mount_itself_is_the_root_of_the_app() {
    assert_eq!(place(["/app", "/app", "/app", ""], Some("/app")), pair("/app", "/"));
    assert_eq!(place(["/app", "-", "/app", ""], None), pair("/app", "/"));
}

#[test]
fn a_sibling_that_begins_like_the_mount_is_not_inside_it() {
    let sibling = ["/application/x", "-", "/application", "/x"];

    assert_eq!(place(sibling, Some("/app")), pair("", "/application/x"));
}

#[test]
fn without_a_mount_the_split_of_the_front_end_holds() {
    assert_eq!(place([URI, "-", "/app", "/a b/c"], None), pair("/app", "/a b/c"));
    assert_eq!(place([URI, "-", "/app", "/a%20b/c"], None), pair("/app", "/a b/c"));
}

#[test]
fn without_a_split_the_path_is_the_whole_path() {
    assert_eq!(place([URI, "/app/a b/c", "-", "-"], None), pair("", "/app/a b/c"));
    assert_eq!(place([URI, "-", "/app/a b/c", "-"], None), pair("", "/app/a b/c"));
    assert_eq!(place(["-", "-", "-", "-"], None), pair("", "/"));
}

#[test]
fn a_decoded_percent_sign_is_not_decoded_again() {
    assert_eq!(place(["/app/a%2541", "-", "/app", "/a%41"], None), pair("/app", "/a%41"));
}

#[test]
fn what_a_client_writes_cannot_climb_out_of_the_app() {
    assert_eq!(place(["/a/../../etc/./x", "-", "-", "-"], None), pair("", "/etc/x"));
    assert_eq!(place(["/%2e%2e/x", "-", "-", "-"], None), pair("", "/x"));
}

#[test]
fn dots_at_the_end_lead_to_a_folder() {
    assert_eq!(place(["/a/b/..", "-", "-", "-"], None), pair("", "/a/"));
    assert_eq!(place(["/a/.", "-", "-", "-"], None), pair("", "/a/"));
    assert_eq!(place(["/..", "-", "-", "-"], None), pair("", "/"));
}

#[test]
fn cgi_is_given_bytes_and_no_slash_that_was_not_there() {
    let clues = Clues { document_uri: Some(b"/app/\xe9"), ..Clues::default() };
    let bare = Clues { document_uri: Some(b"/app"), ..Clues::default() };

    assert_eq!(Split::of(&clues, Some("/app")), split(b"/app", b"/\xe9"));
    assert_eq!(Split::of(&bare, Some("/app")), split(b"/app", b""));
    for (uri, rest) in
        [(&b"/app?q"[..], &b""[..]), (b"/%61pp", b""), (b"/app/", b"/"), (b"/app/.", b"/")]
    {
        let (script_name, path_info) = (Some(&b"/app"[..]), Some(&b"/"[..]));
        let proxy = Clues { request_uri: Some(uri), script_name, path_info, ..Clues::default() };
        assert_eq!(Split::of(&proxy, Some("/app")), split(b"/app", rest), "{uri:?}");
        assert_eq!(Split::of(&proxy, None), split(b"/app", rest), "{uri:?}");
    }
}

fn split<'r>(script_name: &'r [u8], path_info: &'r [u8]) -> Split<'r> {
    Split { script_name: script_name.into(), path_info: path_info.into() }
}

/// Variables, as a front end would send them.
type Variables = Vec<(Vec<u8>, Vec<u8>)>;

fn find<'v>(variables: &'v Variables, name: &str) -> Option<&'v [u8]> {
    variables.iter().find(|(other, _)| other == name.as_bytes()).map(|(_, value)| &**value)
}

fn clues(variables: &Variables) -> Clues<'_> {
    Clues {
        request_uri: find(variables, "REQUEST_URI"),
        document_uri: find(variables, "DOCUMENT_URI"),
        script_name: find(variables, "SCRIPT_NAME"),
        path_info: find(variables, "PATH_INFO"),
        ..Clues::default()
    }
}

/// The heads in `tests/fixtures/front-ends`: file, case, variables.
fn recordings() -> Vec<(String, String, Variables)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/front-ends");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut recordings = Vec::new();
    for file in files.filter(|file| file.extension().is_some_and(|end| end == "jsonl")) {
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            let json: serde_json::Value = serde_json::from_str(line).unwrap();
            let word = |key: &str| json[key].as_str().unwrap().to_owned();
            let pairs = json["variables"].as_array().unwrap().iter();
            let variables = pairs.map(|pair| (latin1(&pair[0]), latin1(&pair[1]))).collect();
            recordings.push((word("front_end"), word("case"), variables));
        }
    }
    recordings
}

/// The bytes of a string in which each character stands for one.
fn latin1(string: &serde_json::Value) -> Vec<u8> {
    string.as_str().unwrap().chars().map(|character| u8::try_from(character).unwrap()).collect()
}

/// What stands behind `/app` in the URL of a recorded case, decoded, as its request was written.
fn rest_of(case: &str) -> &'static [u8] {
    match case {
        "get_query" | "pct_slash" => b"/a/b",
        "mount_root" => b"/",
        "mount_noslash" => b"",
        "pct_space_utf8" => b"/a b\xc3\xa9%",
        "pct_newline" => b"/a\nb",
        "dot_segments" => b"/d/f",
        "latin1_bytes" => b"/\xe9",
        _ => b"/x",
    }
}

#[test]
fn every_recorded_request_below_a_mount_is_split_at_the_mount() {
    let mut seen = 0;
    for (front_end, case, variables) in recordings() {
        let expected = match case.as_str() {
            "prefix_sibling" => split(b"", b"/application/x"),
            case => split(b"/app", rest_of(case)),
        };
        let mut ways = vec![variables.clone()];
        if front_end.starts_with("nginx") {
            // Recorded with captures; the stock `scgi_params` are without.
            let stock =
                |(name, _): &(Vec<u8>, Vec<u8>)| name != b"SCRIPT_NAME" && name != b"PATH_INFO";
            ways.push(variables.iter().filter(|pair| stock(pair)).cloned().collect());
        }
        if front_end.ends_with("mod_proxy_scgi") {
            ways.push(with_proxy_scgi_pathinfo(&expected.path_info, &variables));
        }
        for way in ways {
            assert_eq!(Split::of(&clues(&way), Some("/app")), expected, "{front_end} {case}");
            seen += 1;
        }
    }
    assert_eq!(seen, 26 + 26 + 24 + 24 + 25 + 24, "a recording is missing");
}

/// A recording as `SetEnvIf Request_URI . proxy-scgi-pathinfo` would have made it.
fn with_proxy_scgi_pathinfo(rest: &[u8], variables: &Variables) -> Variables {
    let mut variables = variables.clone();
    let whole = find(&variables, "SCRIPT_NAME").unwrap().to_vec();
    variables.retain(|(name, _)| name != b"SCRIPT_NAME");
    variables.extend(proxy_scgi_pathinfo(&whole, rest));
    variables
}

/// What Apache makes of a path and its end: the latter encoded again, the former cut where the two
/// differ for the first time from behind, at the next slash.
fn proxy_scgi_pathinfo(whole: &[u8], rest: &[u8]) -> Variables {
    let path_info = encoded(rest, |byte| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte));
    let common = whole.iter().rev().zip(path_info.iter().rev()).take_while(|(a, b)| a == b).count();
    let differ = whole.len() - common;
    // The byte that differs is looked at, too; it is no slash, or it would not differ.
    let cut =
        whole[differ..].iter().position(|&byte| byte == b'/').map_or(whole.len(), |at| differ + at);
    pairs(&[("SCRIPT_NAME", &whole[..cut]), ("PATH_INFO", &path_info)])
}

fn pairs(said: &[(&str, &[u8])]) -> Variables {
    said.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect()
}

fn encoded(bytes: &[u8], keeps: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut encoded = Vec::new();
    for &byte in bytes {
        if keeps(byte) {
            encoded.push(byte);
        } else {
            encoded.extend(format!("%{byte:02X}").bytes());
        }
    }
    encoded
}

/// Every way in which the four front ends tell of the path `mount` and `rest`.
fn ways(mount: &str, rest: &[u8]) -> Vec<(&'static str, Variables)> {
    let whole = [mount.as_bytes(), rest].concat();
    let raw =
        [&encoded(&whole, |byte| byte.is_ascii_alphanumeric() || byte == b'/')[..], b"?q=/%41"]
            .concat();
    let absolute = [b"http://example.org:88", &raw[..]].concat();
    let first = whole[1..].iter().position(|&byte| byte == b'/').map_or(whole.len(), |at| at + 1);
    let mut ways = vec![
        ("nginx", pairs(&[("DOCUMENT_URI", &whole)])),
        ("mod_proxy_scgi", pairs(&[("SCRIPT_NAME", &whole)])),
        ("mod_scgi", pairs(&[("SCRIPT_NAME", mount.as_bytes()), ("PATH_INFO", rest)])),
        (
            "lighttpd at the root",
            pairs(&[("SCRIPT_NAME", &whole[..first]), ("PATH_INFO", &whole[first..])]),
        ),
        ("a client of its own", Vec::new()),
    ];
    if rest.is_empty() {
        ways.push((
            "mod_proxy_scgi with pathinfo",
            pairs(&[("SCRIPT_NAME", mount.as_bytes()), ("PATH_INFO", b"/")]),
        ));
    } else {
        ways.push(("mod_proxy_scgi with pathinfo", proxy_scgi_pathinfo(&whole, rest)));
    }
    let mut all = Vec::new();
    for (name, variables) in ways {
        for uri in [&raw, &absolute] {
            all.push((name, [variables.clone(), pairs(&[("REQUEST_URI", uri)])].concat()));
        }
    }
    all
}

proptest::proptest! {
    #[test]
    fn whatever_the_path_it_is_the_mount_and_the_decoded_rest(
        mount in "(/[a-z.~]{1,3}[a-z0-9]){1,3}",
        segments in proptest::collection::vec(
            proptest::collection::vec(proptest::prop_oneof![1..=46_u8, 48..=255_u8, proptest::strategy::Just(b'%')], 1..5),
            0..4,
        ),
        folder: bool,
    ) {
        let segments: Vec<_> =
            segments.into_iter().filter(|one| *one != b"." && *one != b"..").collect();
        let mut rest: Vec<u8> = segments.iter().flat_map(|one| [b"/", &one[..]].concat()).collect();
        rest.extend(folder.then_some(b'/'));

        for (name, variables) in ways(&mount, &rest) {
            let found = Split::of(&clues(&variables), Some(&mount));
            assert_eq!(found, split(mount.as_bytes(), &rest), "{name}: {variables:?}");
        }
    }

    #[test]
    fn a_request_outside_of_the_mount_keeps_its_whole_path(name in "[a-z]{1,9}", rest in "(/[a-z%]{1,4}){0,3}") {
        let whole = format!("/app{name}{rest}");

        for (front_end, variables) in ways(&format!("/app{name}"), rest.as_bytes()) {
            let found = Split::of(&clues(&variables), Some("/app"));
            assert_eq!(found, split(b"", whole.as_bytes()), "{front_end}");
        }
    }
}
