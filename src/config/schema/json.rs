//! The JSON schema, from the types.

use serde_json::Value;

use super::File;
use crate::access::rule::variables::Variables;

/// The JSON schema of [`File`].
pub fn json_schema() -> Value {
    let mut schema = schemars::schema_for!(File).to_value();
    strip_null(&mut schema);
    schema
}

/// The JSON schema of what a rule can read.
pub fn rule_variables() -> Value {
    let mut schema = schemars::schema_for!(Variables).to_value();
    strip_null(&mut schema);
    schema
}

/// An optional member is absent, never null; the messages are plainer without the alternative.
fn strip_null(schema: &mut Value) {
    match schema {
        Value::Array(list) => list.iter_mut().for_each(strip_null),
        Value::Object(members) => {
            members.values_mut().for_each(strip_null);
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    members.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(options)) = members.get("anyOf")
                && let [Value::Object(one), Value::Object(null)] = options.as_slice()
                && null.get("type").is_some_and(|kind| kind == "null")
            {
                let one = one.clone();
                members.remove("anyOf");
                members.extend(one);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
