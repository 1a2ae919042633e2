//! A statement: a text that never changes, and values that are never part of it.

use sqlx::{Any, any::AnyArguments, query::Query};

/// One statement with its values. Can be sent again, unlike the library's own type.
pub(super) struct Statement {
    text: &'static str,
    values: Vec<Value>,
}

enum Value {
    Integer(Option<i64>),
    Text(Option<String>),
    Bytes(Vec<u8>),
}

impl Statement {
    pub(super) fn new(text: &'static str) -> Self {
        Self {
            text,
            values: Vec::new(),
        }
    }

    pub(super) fn integer(mut self, value: impl Into<Option<i64>>) -> Self {
        self.values.push(Value::Integer(value.into()));
        self
    }

    pub(super) fn text(self, value: &str) -> Self {
        self.text_or_nothing(Some(value))
    }

    pub(super) fn text_or_nothing(mut self, value: Option<&str>) -> Self {
        self.values.push(Value::Text(value.map(str::to_owned)));
        self
    }

    pub(super) fn bytes(mut self, value: &[u8]) -> Self {
        self.values.push(Value::Bytes(value.to_owned()));
        self
    }

    pub(super) fn query(&self) -> Query<'_, Any, AnyArguments> {
        self.values
            .iter()
            .fold(sqlx::query(self.text), |query, value| match value {
                Value::Integer(value) => query.bind(*value),
                Value::Text(value) => query.bind(value.clone()),
                Value::Bytes(value) => query.bind(value.clone()),
            })
    }
}
