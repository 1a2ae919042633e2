#!/usr/bin/env python3
"""Writes docs/CONFIGURATION.md from schema/config.schema.json and from the introduction below.

    scripts/config_docs.py            writes the page
    scripts/config_docs.py --check    says whether the page is what would be written; exit code 0 or 1

The text of the tables is the doc comments of src/config/schema.rs and src/provider/preset/*.rs, by way of the schema.
"""

import argparse
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = ROOT / "schema/config.schema.json"
PAGE = ROOT / "docs/CONFIGURATION.md"

INTRODUCTION = """\
<!-- Written by scripts/config_docs.py; do not edit. Text: src/config/schema.rs. Anew: make docs -->
# Configuration

One YAML file, given to `serve --config FILE`. With a problem in it nothing starts, and every problem is printed with line and
column: first what has the wrong form, then, once the form is right, what has the wrong meaning. A change of the file, or of one
that it names (secrets, certificates, user maps), is taken up within two seconds, whole or not at all; `/statusz` tells why not.
`listen` (its certificates apart), `log` and `shutdown.max_connection_age` hold only after a restart.

```text
config.yaml:2:5: corp: audiences is missing: a token for any application would be accepted
config.yaml:9:17: jira: there is no provider 'sso', only 'corp'
2 problems
```

```sh
atlassian-authz config check config.yaml    # every problem; exit code 0: valid, 1: not valid
atlassian-authz config show config.yaml     # what the file means: presets expanded, defaults filled in
atlassian-authz config schema               # JSON Schema, also in schema/config.schema.json, for your editor
atlassian-authz config openapi              # the admin API, also in docs/openapi.json
```

The smallest useful file:

```yaml
providers:
  - name: sso
    preset: { keycloak: { url: https://sso.example.com, realm: acme } }
    audiences: [jira-api]
applications:
  - name: jira
    product: jira
    hosts: [jira-api.example.com]
```

A fuller one:

```yaml
listen: { grpc: 0.0.0.0:9001, admin: 127.0.0.1:9002 }
log: { level: info, format: json }
identity_header: x-remote-user
providers:
  - name: corp-entra
    preset: { entra: { tenant_id: 8eaef023-2b34-4da1-9baa-8bc8c9d6a490 } }
    audiences: ["api://jira-gateway"]
    required_scopes: [access_as_user]
    clients: ["11112222-bbbb-3333-cccc-4444dddd5555"]        # who may have obtained the token
    username: { claim: preferred_username, strip_domain: corp.example.com }
    machine_clients: { "99990000-aaaa-1111-bbbb-2222cccc3333": svc-ci }
  - name: partner
    jwt: { issuer: https://idp.partner.example, algorithms: [ES256], max_lifetime: 1h }
    audiences: [jira-api]
    username: { claim: sub, prefix: partner- }               # two providers never name the same user
applications:
  - name: jira
    product: jira
    hosts: [jira-api.example.com]
    public_paths: [/status]
  - name: confluence
    product: confluence
    hosts: [wiki-api.example.com]
    providers: [corp-entra]                                  # absent: all
limits: { check_timeout: 500ms, cache_ttl: 1m }
```

* **Durations** are text with a unit: `250ms`, `30s`, `5m`, `24h`, `1h 30m`.
* **An optional key is left out, never empty**: `audiences:` with nothing after it is an error, and so is a key that does not exist.
* `yes`, `no`, `on`, `off` are text; write `true` or `false`.
* **Paths of files** are relative to the configuration file.
* JSON is YAML, so a JSON file works too.
"""

DURATION = re.compile(r"\d+(ms|s|m|h)")


class Schema:
    def __init__(self, root):
        self.root = root
        self.sections = []

    def resolve(self, node):
        """The node with what its $ref says; the node's own words win."""
        reference = node.get("$ref")
        if reference is None:
            return node
        return {**self.root["$defs"][reference.removeprefix("#/$defs/")], **node}

    def collect(self, path, node):
        """A section for every map with known keys, each followed by the sections inside of it."""
        # In a heading of its own the type's description says more than the member's.
        node = self.resolve({key: value for key, value in node.items() if key != "description" or "$ref" not in node})
        if node.get("type") == "array":
            self.collect(path, node["items"])
        elif "properties" in node:
            self.sections.append((path, node))
            for key, member in self.ordered(node):
                self.collect(f"{path}.{key}" if path else key, member)
        elif node.get("additionalProperties"):
            self.collect(path, node["additionalProperties"])

    @staticmethod
    def ordered(node):
        """What is required comes first, in its own order."""
        required = node.get("required", [])
        members = node["properties"]
        return [(key, members[key]) for key in required] + [(k, m) for k, m in members.items() if k not in required]

    def kind(self, path, node):
        node = self.resolve(node)
        if "oneOf" in node:
            return "word"
        if "anyOf" in node:  # there is one such choice: an address, or the secret that holds it
            return "text, or `{ file: FILE }`, or `{ env: NAME }`"
        if node["type"] == "array":
            return f"list of {self.kind(path, node['items'])}".replace("of word", "of words")
        if node["type"] == "object":
            if "properties" in node:
                return f"[{path}](#{anchor(path)})"
            return f"map of {self.kind(path, node['additionalProperties'])}"
        if node["type"] == "string" and any(isinstance(e, str) and DURATION.fullmatch(e) for e in node.get("examples", [])):
            return "duration"
        return {"string": "text", "boolean": "`true` or `false`", "integer": "whole number", "number": "number"}[node["type"]]

    def meaning(self, node):
        node = self.resolve(node)
        sentences = [node.get("description", "").replace("\n", " ")]
        words = self.resolve(node.get("items", {})) if node.get("type") == "array" else node
        # A line end would end the row of the table.
        sentences += [f"<br>`{word['const']}`: {word['description']}".replace("\n", " ") for word in words.get("oneOf", [])]
        low, high = node.get("minimum"), node.get("maximum")
        if low is not None and high is not None:
            sentences.append(f"From {low} to {high}.")
        # A default says more than an example.
        if not shown_default(node):
            examples = [f"`{flow(example)}`" for example in node.get("examples", [])]
            sentences += [f"Example: {' or '.join(examples)}."] if examples else []
        return cell(" ".join(sentences))


def shown_default(node):
    default = node.get("default")
    return f"`{flow(default)}`" if default not in (None, [], {}) and not isinstance(default, dict) else ""


def flow(value):
    """A value as one would write it on one line."""
    if isinstance(value, dict):
        members = ", ".join(f"{key}: {flow(member)}" for key, member in value.items() if key != "lower_case")
        return f"{{ {members} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(flow, value))}]"
    return value if isinstance(value, str) else json.dumps(value)


def cell(text):
    return text.replace("|", "\\|").strip()


def anchor(heading):
    """As GitHub makes it."""
    return re.sub(r"[^a-z0-9_ -]", "", heading.lower()).replace(" ", "-")


def page(root):
    schema = Schema(root)
    schema.collect("", root)
    lines = [INTRODUCTION]
    for path, node in schema.sections:
        level = "###" if "." in path else "##"
        lines.append(f"{level} {path}" if path else "## All sections")
        if path:
            lines.append("\n" + node["description"].replace("\n", " "))
        lines += ["", "| key | type | default | meaning |", "| --- | --- | --- | --- |"]
        for key, member in schema.ordered(node):
            member_path = f"{path}.{key}" if path else key
            default = "**required**" if key in node.get("required", []) else shown_default(schema.resolve(member))
            kind = cell(schema.kind(member_path, member))
            lines.append(f"| `{key}` | {kind} | {cell(default)} | {schema.meaning(member)} |")
        lines.append("")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the page is not up to date")
    arguments = parser.parse_args()
    text = page(json.loads(SCHEMA.read_text(encoding="utf-8")))
    if not arguments.check:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        sys.exit(f"{PAGE.relative_to(ROOT)} is not what {SCHEMA.relative_to(ROOT)} says: run `make docs`")


if __name__ == "__main__":
    main()
