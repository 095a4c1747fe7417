//! `/api/v1/openapi.json`: the operations described, OpenAPI 3.1.

use serde_json::{Map, Value, json};

use super::{Operation, operations, schema};
use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::reply::{self, Failure};
use crate::console::route::{Needs, Route};
use crate::net::{Method, Response};

pub(super) const OPERATIONS: &[Operation] = &[Operation {
    route: Route {
        method: Method::Get,
        path: "/api/v1/openapi.json",
        needs: Needs::Nothing,
        handle: serve,
    },
    id: "openapi",
    summary: "This document.",
    places: &[],
    query: &[],
    body: None,
    answer: (200, any_object),
}];

fn any_object() -> Value {
    json!({"type": "object"})
}

fn serve(_desk: &mut Desk, _call: &Call) -> Result<Response, Failure> {
    Ok(reply::json(200, &document()))
}

/// The whole document. It says nothing of this site.
pub(super) fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations() {
        let path = path_of(operation);
        let entry = paths.entry(path).or_insert_with(|| json!({}));
        entry[method_of(operation.route.method)] = described(operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Cardea",
            "version": "1",
            "description": "Everything that the console does, for scripts.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Problem": problem()},
        },
    })
}

fn problem() -> Value {
    schema::object(&[
        ("title", schema::text()),
        ("status", schema::integer()),
        ("detail", schema::text()),
    ])
}

fn method_of(method: Method) -> &'static str {
    match method {
        Method::Get | Method::Head => "get",
        Method::Post => "post",
        Method::Put => "put",
        Method::Patch => "patch",
        Method::Delete => "delete",
        Method::Options => "options",
    }
}

/// The path with the names of its places.
fn path_of(operation: &Operation) -> String {
    operation
        .places
        .iter()
        .fold(operation.route.path.to_owned(), |path, place| {
            path.replacen("{}", &format!("{{{}}}", place_of(place).0), 1)
        })
}

/// The name of a place, and the words that may stand there, if only some may.
fn place_of(place: &'static str) -> (&'static str, Option<Vec<&'static str>>) {
    match place.split_once('=') {
        Some((name, words)) => (name, Some(words.split('|').collect())),
        None => (place, None),
    }
}

fn described(operation: &Operation) -> Value {
    let (status, answer) = operation.answer;
    let mut parameters: Vec<Value> = Vec::new();
    for place in operation.places {
        let (name, words) = place_of(place);
        let schema = match words {
            Some(words) => schema::one_of(&words),
            None => json!({"type": "string", "minLength": 1}),
        };
        parameters.push(json!({
            "name": name, "in": "path", "required": true, "schema": schema,
        }));
    }
    for (name, schema, says) in operation.query {
        parameters.push(json!({
            "name": name, "in": "query", "description": says, "schema": schema(),
        }));
    }
    let mut responses = Map::new();
    let content = json!({"application/json": {"schema": answer()}});
    responses.insert(
        status.to_string(),
        json!({"description": "Done.", "content": content}),
    );
    // What is no request at all is refused before the API sees it, in plain words.
    let refused = json!({
        "application/json": {"schema": {"$ref": "#/components/schemas/Problem"}},
        "text/plain": {"schema": schema::text()},
    });
    responses.insert(
        "default".to_owned(),
        json!({"description": "Not done, and why.", "content": refused}),
    );
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "parameters": parameters,
        "responses": responses,
    });
    match operation.route.needs {
        Needs::Scope(scope) => described["x-scope"] = json!(scope.name()),
        Needs::Nothing | Needs::Session => described["security"] = json!([]),
    }
    if let Some(body) = operation.body {
        let content = json!({"application/json": {"schema": body()}});
        described["requestBody"] = json!({"required": true, "content": content});
    }
    described
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_operation_has_a_name_of_its_own_and_names_for_its_places() {
        let mut ids = BTreeSet::new();
        for operation in operations() {
            assert!(ids.insert(operation.id), "{} twice", operation.id);
            let path = path_of(operation);
            assert!(!path.contains("{}"), "{path}");
            assert!(path.starts_with("/api/v1/"), "{path}");
            let takes = matches!(operation.route.method, Method::Put | Method::Patch);
            assert!(
                !takes || operation.body.is_some(),
                "{} has no body",
                operation.id
            );
        }
        let described = document()["paths"].as_object().map_or(0, |paths| {
            let methods = paths.values().filter_map(Value::as_object);
            methods.map(Map::len).sum()
        });
        assert_eq!(described, ids.len(), "two operations share path and method");
    }
}
