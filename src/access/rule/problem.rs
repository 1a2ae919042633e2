//! What can be wrong with an expression.

use std::fmt;

/// Longest expression, in bytes.
pub(super) const MAX_BYTES: usize = 512;
/// Expressions in one another. The parser stops there too: it recurses.
pub(super) const MAX_DEPTH: u16 = 32;
/// Entries of one list or map that is written out.
pub(super) const MAX_ENTRIES: usize = 64;
/// Macros that walk over something.
pub(super) const MAX_LOOPS: usize = 4;
/// Each `+` copies what is before it.
pub(super) const MAX_ADDITIONS: usize = 16;

/// Why a text is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rule {rule:?}, {position}: {problem}")]
pub struct RuleError {
    /// The name of the rule.
    pub rule: Box<str>,
    /// Where in its expression.
    pub position: Position,
    /// What is wrong, and what helps.
    pub problem: Problem,
}

/// A place in an expression. Both count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

impl Position {
    /// Where every expression begins.
    pub(super) const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// What is wrong with an expression, and what helps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Nothing is written.
    #[error("it is empty; write an expression or remove the rule")]
    Empty,
    /// More than 512 bytes.
    #[error("it is longer than {MAX_BYTES} bytes; write several rules")]
    TooLong,
    /// Not the Common Expression Language.
    #[error("it cannot be read: {0}")]
    Syntax(String),
    /// Nothing has this name.
    #[error("there is no {0}; a rule reads identity, request, source and application")]
    UnknownName(String),
    /// A namespace has no such member.
    #[error("there is no {0}; {1}")]
    UnknownMember(String, String),
    /// A namespace is no value.
    #[error("{0} is no value; {1}")]
    Namespace(String, String),
    /// The name of a header or claim that only a request would tell.
    #[error(
        "the name of a header or claim must be written out, as in request.headers[\"x-team\"] or \"x-team\" in request.headers"
    )]
    ComputedName,
    /// Headers are matched in any case, and named in one.
    #[error("the name of a header is written in lower case: {0:?}")]
    HeaderCase(String),
    /// The header carries a credential.
    #[error(
        "the header {0:?} may carry a credential, which no rule may read; remove it from the rule"
    )]
    SecretHeader(String),
    /// Not one of ours.
    #[error(
        "there is no {0} with {1} argument(s); there are size, contains, startsWith, endsWith, lowerAscii, string, has, all, exists, exists_one, filter and map"
    )]
    UnknownFunction(String, usize),
    /// A regular expression.
    #[error("there are no regular expressions; use startsWith, endsWith, contains or ==")]
    NoRegex,
    /// Bytes, or a message.
    #[error("there are no {0}; use text, numbers, lists and maps")]
    Unsupported(&'static str),
    /// A macro in a macro.
    #[error(
        "a macro (all, exists, exists_one, filter, map) stands in another one; write several rules"
    )]
    NestedLoop,
    /// More than 4 macros.
    #[error(
        "it has more than {MAX_LOOPS} macros (all, exists, exists_one, filter, map); write several rules"
    )]
    TooManyLoops,
    /// A macro over something computed.
    #[error(
        "a macro goes over identity.groups, identity.scopes, a claim, or a list of texts and numbers that is written out"
    )]
    LoopRange,
    /// The variable of a macro has a name that means something else.
    #[error("the variable of a macro may not be called {0}; choose another name")]
    VariableName(String),
    /// More than 32 expressions in one another.
    #[error("it is nested more than {MAX_DEPTH} deep; write several rules, or shorter sums")]
    TooDeep,
    /// More than 64 entries.
    #[error("a list or map has more than {MAX_ENTRIES} entries; write several rules")]
    TooManyEntries,
    /// More than 16 times `+`.
    #[error("it has more than {MAX_ADDITIONS} times '+'; write several rules")]
    TooManyAdditions,
    /// Values of two types, which are different whatever they are.
    #[error(
        "it compares {0} with {1}, which are never equal; compare two of one type, or use in or has()"
    )]
    NeverEqual(&'static str, &'static str),
    /// It would always fail.
    #[error("its result is not true or false; compare it with something")]
    NotBool,
}
