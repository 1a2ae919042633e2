//! The OpenAPI document and what is served are the same.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Api, ask, fixture::bearer, json_of, problem};

/// Every documented operation: method, path with parameters filled in, whether it has a body, whether it is open.
fn operations(document: &Value) -> Vec<(String, String, bool, bool)> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("an object") {
            let path = path
                .replace("{id}", "abcdefghijkl")
                .replace("{user}", "bob")
                .replace("{name}", "idp");
            let has_body = operation.get("requestBody").is_some();
            let is_open = operation["security"] == json!([{}]);
            operations.push((method.to_uppercase(), path, has_body, is_open));
        }
    }
    operations
}

#[test]
fn every_documented_operation_is_served_to_callers_only() {
    let api = Api::start();
    let document = json_of(&api.send("GET", "/openapi.json", &[], ""));
    assert_eq!(document["servers"][0]["url"], "/api/v1");
    let operations = operations(&document);
    assert!(operations.len() >= 13, "{operations:?}");
    let good = bearer(&api.admin());
    let json = "content-type: application/json";
    for (method, path, has_body, is_open) in &operations {
        if *is_open {
            assert_eq!(path, "/openapi.json");
            continue;
        }
        let answer = api.send(method, path, &[json], "{}");
        problem(&answer, 401, "no_credential");
        if *has_body {
            let answer = api.send(method, path, &[&good], "{}");
            problem(&answer, 415, "unsupported_media_type");
        }
        let answer = api.send(
            method,
            path,
            &[&good, json],
            if *has_body { "{}" } else { "" },
        );
        let code = answer.body.contains("\"not_found\"") || answer.status == 405;
        assert!(
            !code && answer.status < 500,
            "{method} {path}: {}",
            answer.body
        );
    }
}

#[test]
fn the_served_document_is_the_published_one() {
    let api = Api::start();
    let served = api.send("GET", "/openapi.json", &[], "");
    assert_eq!(served.header("content-type"), Some("application/json"));
    let published = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    let published = std::fs::read_to_string(published).expect("there");
    assert!(served.body == published, "run `make docs`");
}

#[test]
fn nothing_else_is_served() {
    let api = Api::start();
    let document = json_of(&api.send("GET", "/openapi.json", &[], ""));
    let documented: BTreeSet<_> = operations(&document)
        .into_iter()
        .map(|(method, path, ..)| (method, path))
        .collect();
    let good = bearer(&api.admin());
    let paths: BTreeSet<_> = documented.iter().map(|(_, path)| path.clone()).collect();
    for path in &paths {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
            if !documented.contains(&(method.to_owned(), path.clone())) {
                let answer = api.send(method, path, &[&good], "");
                problem(&answer, 405, "method_not_allowed");
            }
        }
    }
}

#[test]
fn without_the_section_there_is_no_api() {
    let idp = crate::support::idp::Idp::start();
    let service = crate::support::service::Service::start(&idp);
    for path in ["/api/v1/tokens", "/api/v1/openapi.json", "/api"] {
        let answer = ask(&service, "GET", path, &[], "");
        assert_eq!((answer.status, &*answer.body), (404, ""));
    }
}

/// What OpenAPI 3.1 asks of a document, as far as it concerns ours; a validator holds it against the whole of it.
#[test]
fn the_document_is_whole() {
    let api = Api::start();
    let document = json_of(&api.send("GET", "/openapi.json", &[], ""));
    assert_eq!(document["openapi"], "3.1.0");
    let schemas = document["components"]["schemas"]
        .as_object()
        .expect("schemas");
    let text = document.to_string();
    for part in text.split("\"$ref\":\"").skip(1) {
        let reference = part.split('"').next().expect("a reference");
        assert!(
            document
                .pointer(reference.trim_start_matches('#'))
                .is_some(),
            "{reference}"
        );
    }
    for name in schemas.keys() {
        assert!(
            text.contains(&format!("#/components/schemas/{name}\"")),
            "nobody uses {name}"
        );
    }
    let mut ids = BTreeSet::new();
    for item in document["paths"].as_object().expect("paths").values() {
        for operation in item.as_object().expect("an object").values() {
            let id = operation["operationId"].as_str().expect("an id");
            assert!(ids.insert(id.to_owned()), "{id} is there twice");
            assert!(operation["summary"].is_string(), "{id}");
            let responses = operation["responses"].as_object().expect("responses");
            for (status, response) in responses {
                assert!(response["description"].is_string(), "{id} {status}");
                let problem = &response["content"]["application/problem+json"];
                assert_eq!(
                    problem.is_object(),
                    status.starts_with(['4', '5']),
                    "{id} {status}"
                );
            }
        }
    }
}
