//! Which handler a request is for: by path, then by method. Runs none.
//!
//! Paths are matched by `matchit`; `:name` and `*rest`, as other frameworks write them, mean
//! `{name}` and `{*rest}`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::cgi::Manner;
use crate::request::Request;
use crate::response::{Response, Stage};

/// A handler whose type has been forgotten.
pub(crate) enum Handler<S> {
    /// Answers with a response.
    Answers(Answers<S>),
    /// Writes its response itself.
    Writes(Manner, Writes<S>),
    /// Says its head while it writes.
    Stages(Stages<S>),
}

pub(crate) type Answers<S> = Box<dyn Fn(&mut Request<'_, S>) -> Response + Send + Sync>;
pub(crate) type Writes<S> =
    Box<dyn Fn(&mut Request<'_, S>, &mut dyn Write) -> io::Result<()> + Send + Sync>;
pub(crate) type Stages<S> =
    Box<dyn Fn(&mut Request<'_, S>, &mut dyn Stage) -> io::Result<()> + Send + Sync>;

/// The routes of an app.
pub(crate) struct Routes<S> {
    router: matchit::Router<usize>,
    /// By the order in which their paths were first named; the router knows the positions.
    paths: Vec<Path<S>>,
    known: BTreeMap<String, usize>,
    fallback: Option<Handler<S>>,
    problems: Vec<RouteError>,
}

/// Everything that answers at one path.
struct Path<S> {
    any: Option<Handler<S>>,
    by_method: Vec<(String, Handler<S>)>,
}

/// Why a route cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RouteError {
    #[error("the route `{path}` does not begin with `/`")]
    NotRooted { path: String },
    #[error("the route `{path}` cannot stand beside the others")]
    Conflict { path: String, source: matchit::InsertError },
    #[error("the route `{path}` has two handlers for {method}")]
    Twice { path: String, method: String },
}

/// What routing a request came to.
pub(crate) enum Found<'a, S> {
    Handler(&'a Handler<S>, Option<matchit::Params<'a, 'a>>),
    /// Nothing answers at this path.
    Nothing,
    /// Something does, but not with this method; these are the ones it knows.
    OtherMethods(String),
}

impl<S> Default for Routes<S> {
    fn default() -> Self {
        Self {
            router: matchit::Router::new(),
            paths: Vec::new(),
            known: BTreeMap::new(),
            fallback: None,
            problems: Vec::new(),
        }
    }
}

impl<S> Routes<S> {
    /// Adds a handler at `path`, for `method` or, with `None`, for all that have none of their own.
    pub(crate) fn add(&mut self, method: Option<&str>, path: &str, handler: Handler<S>) {
        let at = match self.position(path) {
            Ok(at) => at,
            Err(problem) => return self.problems.push(problem),
        };
        let entry = &mut self.paths[at];
        let twice = match method {
            None => entry.any.replace(handler).is_some(),
            Some(method) => {
                let twice = entry.by_method.iter().any(|(other, _)| other == method);
                entry.by_method.push((method.to_owned(), handler));
                twice
            }
        };
        if twice {
            let method = method.unwrap_or("every method").to_owned();
            self.problems.push(RouteError::Twice { path: path.to_owned(), method });
        }
    }

    pub(crate) fn set_fallback(&mut self, handler: Handler<S>) {
        self.fallback = Some(handler);
    }

    /// Whether no handler was given at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.fallback.is_none()
    }

    /// Ends the making of routes.
    ///
    /// # Errors
    ///
    /// All that is wrong with them.
    pub(crate) fn seal(&mut self) -> Result<(), Vec<RouteError>> {
        for (pattern, at) in &self.known {
            // `/files/{*rest}` is meant to answer at `/files/` too, unless another route does.
            if let Some(start) = pattern.find("{*") {
                let _ = self.router.insert(&pattern[..start], *at);
            }
        }
        if self.problems.is_empty() { Ok(()) } else { Err(std::mem::take(&mut self.problems)) }
    }

    /// Finds who answers.
    pub(crate) fn find<'a>(&'a self, method: &str, path: &'a str) -> Found<'a, S> {
        let Ok(matched) = self.router.at(path) else {
            return match &self.fallback {
                Some(handler) => Found::Handler(handler, None),
                None => Found::Nothing,
            };
        };
        let path = &self.paths[*matched.value];
        match path.handler(method) {
            Some(handler) => Found::Handler(handler, Some(matched.params)),
            None => Found::OtherMethods(path.methods()),
        }
    }

    fn position(&mut self, path: &str) -> Result<usize, RouteError> {
        if !path.starts_with('/') {
            return Err(RouteError::NotRooted { path: path.to_owned() });
        }
        let pattern = pattern(path);
        if let Some(at) = self.known.get(&pattern) {
            return Ok(*at);
        }
        let at = self.paths.len();
        self.router
            .insert(&pattern, at)
            .map_err(|source| RouteError::Conflict { path: path.to_owned(), source })?;
        self.paths.push(Path { any: None, by_method: Vec::new() });
        self.known.insert(pattern, at);
        Ok(at)
    }
}

impl<S> Path<S> {
    fn handler(&self, method: &str) -> Option<&Handler<S>> {
        let of = |wanted: &str| {
            self.by_method.iter().find_map(|(other, handler)| (other == wanted).then_some(handler))
        };
        let as_get = || (method == "HEAD").then(|| of("GET")).flatten();
        of(method).or_else(as_get).or(self.any.as_ref())
    }

    fn methods(&self) -> String {
        let mut names: Vec<&str> =
            self.by_method.iter().map(|(method, _)| method.as_str()).collect();
        if names.contains(&"GET") && !names.contains(&"HEAD") {
            names.push("HEAD");
        }
        names.join(", ")
    }
}

/// A path as `matchit` writes it.
fn pattern(path: &str) -> String {
    let segment = |segment: &str| match segment.as_bytes() {
        [b':', name @ ..] if !name.is_empty() => format!("{{{}}}", &segment[1..]),
        [b'*', name @ ..] if !name.is_empty() => format!("{{*{}}}", &segment[1..]),
        _ => segment.to_owned(),
    };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(wanted: &[(Option<&str>, &str)]) -> Routes<()> {
        let mut routes = Routes::default();
        for (method, path) in wanted {
            let name = format!("{} {path}", method.unwrap_or("*"));
            let answer = Box::new(move |_: &mut Request<'_>| Response::text(name.clone()));
            routes.add(*method, path, Handler::Answers(answer));
        }
        routes
    }

    fn problems(wanted: &[(Option<&str>, &str)]) -> Vec<String> {
        let problems = routes(wanted).seal().unwrap_err();
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn both_ways_to_write_a_parameter_mean_the_same() {
        assert_eq!(pattern("/a/:id/*rest"), "/a/{id}/{*rest}");
        assert_eq!(pattern("/a/{id}/{*rest}"), "/a/{id}/{*rest}");
        assert_eq!(pattern("/:/*"), "/:/*");
    }

    #[test]
    fn all_that_is_wrong_with_the_routes_is_told_at_once() {
        let told = problems(&[
            (None, "no-slash"),
            (Some("GET"), "/a"),
            (Some("GET"), "/a"),
            (None, "/x/{one}"),
            (None, "/x/{two}"),
        ]);

        assert_eq!(
            told,
            [
                "the route `no-slash` does not begin with `/`",
                "the route `/a` has two handlers for GET",
                "the route `/x/{two}` cannot stand beside the others",
            ]
        );
    }

    #[test]
    fn a_rest_may_be_empty_unless_another_route_answers_there() {
        let mut alone = routes(&[(None, "/files/*rest")]);
        let mut beside = routes(&[(None, "/files/*rest"), (Some("GET"), "/files/")]);
        alone.seal().unwrap();
        beside.seal().unwrap();

        assert!(matches!(alone.find("PUT", "/files/"), Found::Handler(..)));
        assert!(matches!(beside.find("PUT", "/files/"), Found::OtherMethods(_)));
        assert!(matches!(alone.find("PUT", "/files"), Found::Nothing));
    }

    #[test]
    fn head_is_answered_by_the_handler_for_get() {
        let routes = routes(&[(Some("GET"), "/a"), (Some("POST"), "/a")]);

        assert!(matches!(routes.find("HEAD", "/a"), Found::Handler(..)));
        let Found::OtherMethods(allow) = routes.find("PUT", "/a") else { panic!("PUT is served") };
        assert_eq!(allow, "GET, POST, HEAD");
    }
}
