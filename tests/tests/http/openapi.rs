//! The methods as an OpenAPI document: whole, as OpenAPI has it, and for those alone who may know.

use std::collections::BTreeSet;

use belay_tests::http::HttpCaller;
use belay_tests::instance::Service;
use belay_tests::server::anywhere;
use belay_tests::{TestServer, descriptors, run_over_http};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::languages::tool;

/// Holds a document to the schema of OpenAPI 3.1, each schema in it to JSON Schema, and each
/// reference to what is there; a schema is tried on a message, so that it is known to refuse.
const CHECK: &str = "
import importlib.resources, json, sys
from jsonschema import Draft202012Validator, validators
from referencing import Registry, Resource
document = json.load(sys.stdin)
package = importlib.resources.files('openapi_spec_validator')
schema = json.loads((package / 'resources/schemas/v3.1/schema.json').read_text())
for error in validators.validator_for(schema)(schema).iter_errors(document):
    sys.exit(f'{error.json_path}: {error.message}')
root = Resource.from_contents({**document, '$schema': 'https://json-schema.org/draft/2020-12/schema', '$id': 'urn:belay'})
registry = root @ Registry()
for name, schema in document['components']['schemas'].items():
    Draft202012Validator.check_schema(schema)
    of = Draft202012Validator({'$ref': f'urn:belay#/components/schemas/{name}'}, registry=registry)
    list(of.iter_errors({}))
def references(value):
    if isinstance(value, dict):
        yield from ([value['$ref']] if '$ref' in value else [])
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from references(one)
for reference in set(references(document)):
    registry.resolver('urn:belay').lookup(reference)
order = Draft202012Validator({'$ref': 'urn:belay#/components/schemas/belay.v1.CreateOrderRequest'}, registry=registry)
assert order.is_valid({'lines': [{'sku': 'MUG', 'goods': {'minorUnits': '1000'}}]})
assert not order.is_valid({'lines': [{'sku': 7}]})
print('valid')
";

async fn check(document: &[u8]) -> String {
    let mut python = Command::new(tool("PYTHON_DEPLOY", "python-deploy"))
        .args(["-c", CHECK])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it can be run");
    let mut stdin = python.stdin.take().expect("a pipe");
    // It may have ended.
    let _ = stdin.write_all(document).await;
    drop(stdin);
    let output = python.wait_with_output().await.expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).trim().to_owned()
}

async fn document(t: &TestServer) -> Vec<u8> {
    let nobody = HttpCaller::to(t.http_address());
    let told = nobody.send("GET", "/openapi.json", &[], b"").await;
    assert_eq!(
        (told.status(), told.header("content-type")),
        (200, "application/json")
    );
    told.body
}

#[test]
fn the_document_is_one_of_openapi_and_has_every_method() {
    run_over_http(async |t| {
        let bytes = document(t).await;
        assert_eq!(check(&bytes).await, "valid");
        let mut document: Value = serde_json::from_slice(&bytes).unwrap();
        let paths = document["paths"].as_object().expect("paths");
        let told: BTreeSet<&str> = paths.keys().map(String::as_str).collect();
        for rpc in descriptors::rpcs() {
            let path = format!("/belay.v1.{}", rpc.path());
            assert!(told.contains(path.as_str()), "{path}");
            let description = paths[&path]["post"]["description"]
                .as_str()
                .unwrap_or_default();
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(words(description), words(&rpc.comment), "{path}");
        }
        let reply = HttpCaller::to(t.http_address());
        let posted = reply.send("POST", "/openapi.json", &[], b"").await;
        assert_eq!((posted.status(), posted.header("allow")), (405, "GET"));
        // What is wrong is found.
        document["paths"]["/x"] = serde_json::json!({"post": {"responses": 7}});
        assert_ne!(check(document.to_string().as_bytes()).await, "valid");
    });
}

#[test]
fn who_may_not_ask_by_reflection_is_not_told_over_http_either() {
    run_over_http(async |t| {
        let service = Service::start(t.database.serve_url().await, |settings| {
            (settings.reflection, settings.http) = (false, Some(anywhere()));
        })
        .await;
        let nobody = HttpCaller::to(service.http_address().unwrap());
        assert_eq!(
            nobody.send("GET", "/openapi.json", &[], b"").await.status(),
            404
        );
        service.stop().await;
    });
}
