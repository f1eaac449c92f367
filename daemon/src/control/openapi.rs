//! The API for machines: an OpenAPI document made from the handlers and the types of the contract.

use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use scgi_protocol::control::{PROBLEM_MEDIA_TYPE, Problem};
use utoipa::openapi::path::Operation;
use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use super::{apps, change, events, logs, operations, revisions, site};

/// All that can be asked.
#[derive(OpenApi)]
#[openapi(
    info(title = "scgid", description = "Control of scgid, the daemon for SCGI apps"),
    paths(
        site::status,
        site::config,
        site::reload_site,
        change::plan,
        change::apply,
        change::rollback,
        revisions::list_revisions,
        revisions::show_revision,
        site::shutdown,
        site::upgrade,
        apps::list_apps,
        apps::show_app,
        apps::order_app,
        apps::scale_app,
        logs::logs,
        logs::all_logs,
        operations::list_operations,
        operations::show_operation,
        events::events,
        document,
    ),
    components(schemas(Problem)),
    modifiers(&Refusable)
)]
struct Document;

/// Adds to every operation that it may be refused.
struct Refusable;

impl Modify for Refusable {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let refusal = ResponseBuilder::new()
            .description("refused; nothing has changed")
            .content(PROBLEM_MEDIA_TYPE, content)
            .build();
        let refusable = |operation: &mut Operation| {
            let responses = &mut operation.responses.responses;
            responses.insert("default".to_owned(), refusal.clone().into());
        };
        let items = document.paths.paths.values_mut();
        items
            .flat_map(|item| [&mut item.get, &mut item.put, &mut item.post])
            .flatten()
            .for_each(refusable);
    }
}

/// This document as JSON; made once, when somebody first asks.
static JSON: LazyLock<String> = LazyLock::new(|| {
    Document::openapi().to_pretty_json().expect("the document has no map with odd keys")
});

/// This document.
#[utoipa::path(get, path = "/v1/openapi.json", responses(
    (status = 200, description = "the document", body = serde_json::Value),
))]
pub(super) async fn document() -> Response {
    ([(CONTENT_TYPE, "application/json")], JSON.as_str()).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::control::ROUTES;

    #[test]
    fn the_document_describes_every_route_and_no_other() {
        let document: serde_json::Value = serde_json::from_str(&JSON).unwrap();
        let mut described = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            let methods = item.as_object().unwrap().keys();
            described.extend(methods.map(|method| format!("{method} {path}")));
        }

        let served: BTreeSet<String> =
            ROUTES.iter().map(|route| format!("{} {}", route.method, route.path)).collect();

        assert_eq!(described, served);
    }

    #[test]
    fn every_reference_of_the_document_leads_somewhere() {
        let document: serde_json::Value = serde_json::from_str(&JSON).unwrap();
        let mut references = JSON.split("\"$ref\": \"#").skip(1).peekable();
        assert!(references.peek().is_some());

        for reference in references {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "`{pointer}` leads nowhere");
        }
    }

    #[test]
    fn every_operation_says_that_it_may_be_refused() {
        let document = Document::openapi();

        for (path, item) in &document.paths.paths {
            for operation in [&item.get, &item.put, &item.post].into_iter().flatten() {
                assert!(operation.responses.responses.contains_key("default"), "{path}");
            }
        }
    }
}
