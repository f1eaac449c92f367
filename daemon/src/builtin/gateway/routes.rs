//! Which app a path belongs to: the longest prefix wins.

use scgi_protocol::address::{Address, AddressError};

/// An app behind the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// Where the app is mounted: empty for the root, else `/` and more without a final slash.
    pub(super) prefix: String,
    /// Where it listens.
    pub(super) address: Address,
}

/// All apps behind the gateway, by prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Routes(Vec<Route>);

/// Why the arguments are not understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ArgumentError {
    #[error("write `scgid builtin gateway /PREFIX=ADDRESS … [--listen ADDRESS]`, not `{0}`")]
    Usage(String),
    #[error("`{0}` says no address; write `/PREFIX=unix:/path` or `/PREFIX=127.0.0.1:4000`")]
    NoAddress(String),
    #[error("`{argument}` leads nowhere")]
    Address { argument: String, source: AddressError },
    #[error("two apps are mounted at `{0}`")]
    Twice(String),
}

/// Reads the arguments: routes, and the address to listen on.
pub(super) fn parse(arguments: &[String]) -> Result<(Routes, Option<String>), ArgumentError> {
    let (mut routes, mut listen) = (Vec::<Route>::new(), None);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == "--listen" {
            let address = arguments.next().ok_or_else(|| ArgumentError::Usage(argument.clone()))?;
            listen = Some(address.clone());
            continue;
        }
        let route = route(argument)?;
        if routes.iter().any(|other| other.prefix == route.prefix) {
            return Err(ArgumentError::Twice(route.prefix));
        }
        routes.push(route);
    }
    routes.sort_by(|a, b| a.prefix.cmp(&b.prefix));
    Ok((Routes(routes), listen))
}

fn route(argument: &str) -> Result<Route, ArgumentError> {
    if !argument.starts_with('/') {
        return Err(ArgumentError::Usage(argument.to_owned()));
    }
    let (prefix, address) =
        argument.split_once('=').ok_or_else(|| ArgumentError::NoAddress(argument.to_owned()))?;
    let address = address
        .parse()
        .map_err(|source| ArgumentError::Address { argument: argument.to_owned(), source })?;
    Ok(Route { prefix: prefix.trim_end_matches('/').to_owned(), address })
}

impl Routes {
    /// The app that a decoded path belongs to, and what of the path is its own: empty, or `/` and
    /// more.
    pub(super) fn find<'p>(&self, path: &'p [u8]) -> Option<(&Route, &'p [u8])> {
        let inside = |route: &Route| {
            let rest = path.strip_prefix(route.prefix.as_bytes())?;
            (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
        };
        let found = self.0.iter().filter_map(|route| Some((route, inside(route)?)));
        found.max_by_key(|(route, _)| route.prefix.len())
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Route> {
        self.0.iter()
    }
}

impl Route {
    /// What people call the app: its prefix without the slash.
    pub(super) fn name(&self) -> &str {
        let name = self.prefix.trim_start_matches('/');
        if name.is_empty() { "the app" } else { name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn found<'p>(routes: &Routes, path: &'p str) -> Option<(String, &'p str)> {
        let (route, rest) = routes.find(path.as_bytes())?;
        Some((route.prefix.clone(), str::from_utf8(rest).unwrap()))
    }

    #[test]
    fn the_longest_prefix_wins_and_only_at_a_slash() {
        let arguments = words("/blog=unix:/b /blog/admin/=unix:/a --listen 127.0.0.1:9");

        let (routes, listen) = parse(&arguments).unwrap();

        assert_eq!(listen.as_deref(), Some("127.0.0.1:9"));
        assert_eq!(found(&routes, "/blog/x"), Some(("/blog".into(), "/x")));
        assert_eq!(found(&routes, "/blog"), Some(("/blog".into(), "")));
        assert_eq!(found(&routes, "/blog/admin/"), Some(("/blog/admin".into(), "/")));
        assert_eq!(found(&routes, "/blogger"), None);
        assert_eq!(found(&routes, "/"), None);
    }

    #[test]
    fn an_app_at_the_root_takes_what_no_other_does() {
        let (routes, _) = parse(&words("/=unix:/root /shop=127.0.0.1:1")).unwrap();

        assert_eq!(found(&routes, "/x"), Some(("".into(), "/x")));
        assert_eq!(found(&routes, "/shop/x"), Some(("/shop".into(), "/x")));
    }

    #[test]
    fn arguments_that_make_no_sense_are_told_the_right_spelling() {
        let told = |text: &str| parse(&words(text)).unwrap_err().to_string();

        assert!(told("blog=unix:/b").starts_with("write `scgid builtin gateway"));
        assert!(told("/blog").ends_with("write `/PREFIX=unix:/path` or `/PREFIX=127.0.0.1:4000`"));
        assert_eq!(told("/blog=4000"), "`/blog=4000` leads nowhere");
        assert_eq!(told("/a=unix:/b /a/=unix:/c"), "two apps are mounted at `/a`");
        assert!(told("--listen").starts_with("write `scgid"));
    }
}
