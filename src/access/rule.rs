//! Rules of the operator: one expression in the Common Expression Language (<https://cel.dev>) about one request of
//! one identity.
//!
//! A rule only takes away. What cannot be evaluated refuses, whatever the rule's effect is.
//!
//! An expression is compiled once, and its cost is bounded before it meets a request: [`grammar`] lets only a small
//! part of the language through, and [`facts`] counts what is read.

mod facts;
mod grammar;
mod problem;
mod schema;
mod shape;
pub mod variables;

use std::sync::{Arc, LazyLock};

use cel::{Context, Env, Value, common::ast::IdedExpr, extensions};

pub use facts::Facts;
use facts::{Fact, Reader, Reading};
pub use problem::{Position, Problem, RuleError};

/// The functions. The grammar lets few of them through.
static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut environment = Env::stdlib();
    // For `lowerAscii`. Were it not there, then a rule that calls it would fail, and so refuse.
    let added = environment.add_extension(extensions::strings);
    debug_assert_eq!(added, Ok(()));
    Arc::new(environment)
});

/// What a rule does when its expression is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Refuses when the expression is true.
    Deny,
    /// Refuses unless the expression is true.
    Require,
}

/// A rule, ready to judge.
#[derive(Clone, Debug)]
pub struct Rule {
    name: Box<str>,
    effect: Effect,
    /// What it reads is replaced by places in `readings`.
    expression: IdedExpr,
    readings: Box<[Reading]>,
}

/// Why a rule stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleRefusal {
    /// The rule says no.
    #[error("the rule refuses")]
    Refused,
    /// It cannot be evaluated: something that it reads is absent or unknown, a division by zero, a wrong type, too
    /// much to read.
    #[error("the rule cannot be evaluated")]
    Failed,
}

impl Rule {
    /// Reads an expression, and refuses what could not be decided, or not at a bounded cost.
    pub fn compile(name: &str, effect: Effect, expression: &str) -> Result<Self, RuleError> {
        // Not during the first request.
        LazyLock::force(&ENVIRONMENT);
        let compiled = grammar::compile(expression).map_err(|fault| RuleError {
            rule: name.into(),
            position: fault.position,
            problem: fault.problem,
        })?;
        Ok(Self {
            name: name.into(),
            effect,
            expression: compiled.expression,
            readings: compiled.readings.into(),
        })
    }

    /// As the operator calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it reads `request.path`, `request.resource` or `request.operation`. Then only a canonical path may come before it.
    pub fn reads_path(&self) -> bool {
        let mut facts = self.readings.iter().map(Reading::fact);
        facts.any(|fact| matches!(fact, Fact::Path | Fact::Resource | Fact::Operation))
    }

    /// Ok: it does not stand in the way.
    pub fn judge(&self, facts: &Facts<'_>) -> Result<(), RuleRefusal> {
        let reader = Reader::new(facts, &self.readings);
        let holds = self.holds(&reader).ok_or(RuleRefusal::Failed)?;
        let refuses = match self.effect {
            Effect::Deny => holds,
            Effect::Require => !holds,
        };
        if refuses {
            Err(RuleRefusal::Refused)
        } else {
            Ok(())
        }
    }

    /// `None`: nobody can tell.
    ///
    /// `&&` and `||` are those of the specification: an operand that fails does not matter when the other one
    /// decides alone (`false && x`, `x && false`, `true || x`, `x || true`). That is sound: whatever the value
    /// of the failed operand were, the answer would be the same. Too much reading is not forgiven that way.
    fn holds(&self, reader: &Reader<'_>) -> Option<bool> {
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        context.set_variable_resolver(reader);
        let value = Value::resolve(&self.expression, &context);
        match value {
            Ok(Value::Bool(holds)) if !reader.is_exhausted() => Some(holds),
            Ok(_) | Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
