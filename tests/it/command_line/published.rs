//! What is published beside the program says what the program does: the schema, the pages, the
//! manifests, the wire contract.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use atlassian_authz::pb::FILE_DESCRIPTOR_SET;
use prost::Message;
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet, MethodDescriptorProto,
    field_descriptor_proto::Type,
};
use serde_json::Value;
use tempfile::TempDir;

use super::{NO, OK, directory_with, program, run, said};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_published_schema_is_the_one_that_the_program_prints() {
    let printed = run(root(), &["config", "schema"]);
    assert_eq!((printed.code, printed.err.as_str()), (OK, ""));
    let file = "schema/config.schema.json";
    if env::var("UPDATE").is_ok_and(|update| update == "1") {
        fs::write(root().join(file), &printed.out).expect("written");
    }
    assert!(
        read(file) == printed.out,
        "{file} is not what `config schema` prints: run `make docs`, or this test with UPDATE=1"
    );
}

#[test]
fn the_published_variables_of_rules_are_those_that_the_program_prints() {
    let printed = run(root(), &["config", "rule-variables"]);
    assert_eq!((printed.code, printed.err.as_str()), (OK, ""));
    let file = "schema/rule-variables.schema.json";
    if env::var("UPDATE").is_ok_and(|update| update == "1") {
        fs::write(root().join(file), &printed.out).expect("written");
    }
    assert!(
        read(file) == printed.out,
        "{file} is not what `config rule-variables` prints: run `make docs`, or this test with UPDATE=1"
    );
}

#[test]
fn the_published_openapi_document_is_the_one_that_the_program_prints() {
    let printed = run(root(), &["config", "openapi"]);
    assert_eq!((printed.code, printed.err.as_str()), (OK, ""));
    let file = "docs/openapi.json";
    if env::var("UPDATE").is_ok_and(|update| update == "1") {
        fs::write(root().join(file), &printed.out).expect("written");
    }
    assert!(
        read(file) == printed.out,
        "{file} is not what `config openapi` prints: run `make docs`, or this test with UPDATE=1"
    );
}

/// Its text is the doc comments, by way of the schema.
#[test]
fn the_page_about_the_configuration_is_what_the_schema_says() {
    let check = Command::new("python3")
        .arg(root().join("scripts/config_docs.py"))
        .arg("--check")
        .output();
    let check = check.expect("python3 is there");
    let said = String::from_utf8_lossy(&check.stderr);
    assert!(check.status.success(), "{said}");
    assert_eq!(said, "");
}

fn files(directory: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        let extension = path
            .extension()
            .and_then(|extension| extension.to_str())
            .unwrap_or_default();
        if path.is_dir() {
            files(&path, extensions, found);
        } else if extensions.contains(&extension) {
            found.push(path);
        }
    }
}

/// Every configuration that a reader could copy: whole files, and blocks in pages.
fn published_configurations() -> Vec<(String, String)> {
    let mut pages = vec![
        root().join("README.md"),
        root().join("SECURITY.md"),
        root().join("CONTRIBUTING.md"),
    ];
    files(&root().join("docs"), &["md"], &mut pages);
    let mut found = Vec::new();
    for page in pages {
        let text = fs::read_to_string(&page).expect("text");
        let blocks = text.split("\n```yaml\n").skip(1).enumerate();
        for (at, block) in blocks {
            let block = block.split("\n```").next().unwrap_or_default();
            found.push((
                format!("{}, block {}", page.display(), at + 1),
                format!("{block}\n"),
            ));
        }
    }
    let mut manifests = Vec::new();
    files(&root().join("deploy"), &["yaml", "yml"], &mut manifests);
    for manifest in manifests {
        found.push((
            manifest.display().to_string(),
            fs::read_to_string(&manifest).expect("text"),
        ));
    }
    found.retain(|(_, text)| text.lines().any(|line| line == "providers:"));
    found
}

#[test]
fn every_published_configuration_is_valid_to_the_program_and_to_the_schema() {
    let schema: Value = serde_json::from_str(&read("schema/config.schema.json")).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let configurations = published_configurations();
    let names: Vec<_> = configurations
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    for place in [
        "README.md, block 1",
        "docs/PROVIDERS.md, block 3",
        "docs/CONFIGURATION.md, block 2",
        "deploy/kubernetes/config.yaml",
    ] {
        assert!(
            names.iter().any(|name| name.ends_with(place)),
            "{place} is not among {names:?}"
        );
    }
    for (name, text) in &configurations {
        let directory = directory_with(text);
        fs::write(directory.path().join("users.yaml"), "u1: alice\n").expect("written");
        let mut check = program();
        check
            .args(["config", "check", "config.yaml"])
            .current_dir(directory.path());
        for variable in text.split("env: ").skip(1) {
            check.env(variable.split(' ').next().expect("a name"), "a-secret");
        }
        let said = said(&check.output().expect("ended"));
        assert_eq!((said.code, said.err.as_str()), (OK, ""), "{name}");
        let value: Value = serde_saphyr::from_str(text).expect("YAML");
        let errors: Vec<_> = validator
            .iter_errors(&value)
            .map(|error| error.to_string())
            .collect();
        assert_eq!(errors, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn the_schema_and_the_program_refuse_the_same_files() {
    let schema: Value = serde_json::from_str(&read("schema/config.schema.json")).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for (what, change) in [
        ("unknown key", "audience: x"),
        ("wrong type", "clients: x"),
        ("null", "ca_file: ~"),
        ("unknown word", "jwt: { algorithms: [none] }"),
        ("unknown preset", "preset: { okta: {} }"),
        ("out of range", "jwt: {}\nlimits: { cache_entries: 0 }"),
    ] {
        let text = format!("applications: []\nproviders:\n  - name: sso\n    {change}\n");
        let value: Value = serde_saphyr::from_str(&text).expect("YAML");
        assert!(!validator.is_valid(&value), "{what}");
        let said = run(
            directory_with(&text).path(),
            &["config", "check", "config.yaml"],
        );
        assert_eq!(said.code, NO, "{what}");
    }
}

/// Runs the comparison with Envoy's published descriptors on a descriptor set.
fn compare(descriptors: &[u8]) -> Output {
    let python = root().join(".tools/venv/bin/python");
    assert!(
        root().join(".tools/venv/installed/protos").is_file(),
        "Envoy's published descriptors are not installed: run `scripts/setup.py protos`"
    );
    let directory = TempDir::new().expect("a directory");
    let file = directory.path().join("descriptors.bin");
    fs::write(&file, descriptors).expect("written");
    let script = root().join("tests/proto/check_contract.py");
    Command::new(python)
        .arg(script)
        .arg(&file)
        .output()
        .expect("started")
}

#[test]
fn the_wire_contract_is_envoys() {
    let output = compare(FILE_DESCRIPTOR_SET);
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}{err}");
    for compared in [
        "envoy.service.auth.v3.Authorization.Check",
        "envoy.service.auth.v3.CheckRequest",
        "envoy.service.auth.v3.CheckResponse",
        "envoy.service.auth.v3.OkHttpResponse",
        "envoy.service.auth.v3.DeniedHttpResponse",
        "envoy.service.auth.v3.AttributeContext.HttpRequest",
        "envoy.config.core.v3.HeaderValueOption",
        "google.rpc.Status",
    ] {
        assert!(
            out.lines()
                .any(|line| line.split(' ').next() == Some(compared)),
            "{compared}:\n{out}"
        );
    }
}

/// A message of the set, wherever it is.
fn message<'s>(
    set: &'s mut FileDescriptorSet,
    package: &str,
    name: &str,
) -> &'s mut DescriptorProto {
    let files = set.file.iter_mut().filter(|file| file.package() == package);
    let mut messages = files.flat_map(|file| &mut file.message_type);
    messages
        .find(|message| message.name() == name)
        .expect("the message")
}

fn field<'s>(set: &'s mut FileDescriptorSet, of: &str, name: &str) -> &'s mut FieldDescriptorProto {
    let fields = &mut message(set, "envoy.service.auth.v3", of).field;
    fields
        .iter_mut()
        .find(|field| field.name() == name)
        .expect("the field")
}

fn method(set: &mut FileDescriptorSet) -> &mut MethodDescriptorProto {
    let mut services = set.file.iter_mut().flat_map(|file| &mut file.service);
    &mut services.next().expect("the service").method[0]
}

#[test]
fn a_contract_that_differs_from_envoys_is_refused_with_the_name_of_what_differs() {
    type Change = fn(&mut FileDescriptorSet);
    let changes: [(&str, Change, &str); 8] = [
        (
            "number",
            |set| field(set, "OkHttpResponse", "headers").number = Some(99),
            "envoy.service.auth.v3.OkHttpResponse.headers",
        ),
        (
            "type",
            |set| field(set, "DeniedHttpResponse", "body").r#type = Some(Type::Bytes.into()),
            "envoy.service.auth.v3.DeniedHttpResponse.body",
        ),
        (
            "label",
            |set| field(set, "OkHttpResponse", "headers_to_remove").label = Some(1),
            "envoy.service.auth.v3.OkHttpResponse.headers_to_remove",
        ),
        (
            "name",
            |set| field(set, "CheckResponse", "status").name = Some("state".to_owned()),
            "envoy.service.auth.v3.CheckResponse.state",
        ),
        (
            "type name",
            |set| {
                field(set, "CheckResponse", "status").type_name =
                    Some(".google.rpc.State".to_owned());
            },
            "envoy.service.auth.v3.CheckResponse.status",
        ),
        (
            "oneof",
            |set| field(set, "CheckResponse", "ok_response").oneof_index = None,
            "envoy.service.auth.v3.CheckResponse.ok_response",
        ),
        (
            "message",
            |set| {
                message(set, "envoy.service.auth.v3", "CheckRequest").name =
                    Some("Request".to_owned());
            },
            "envoy.service.auth.v3.Request",
        ),
        (
            "method",
            |set| method(set).name = Some("Ask".to_owned()),
            "envoy.service.auth.v3.Authorization.Ask",
        ),
    ];
    for (what, change, named) in changes {
        let mut set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("descriptors");
        change(&mut set);
        let output = compare(&set.encode_to_vec());
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{what}: {err}");
        assert!(err.contains(named), "{what}: {err}");
    }
}
