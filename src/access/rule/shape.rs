//! What kind of value an expression has, as far as it is written in it. After the walk: facts are places.

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};

use super::facts::{Fact, Reading};

/// The operators with a result that is never a truth value.
pub(super) const ARITHMETIC: [&str; 6] = [
    operators::ADD,
    operators::SUBSTRACT,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::NEGATE,
];
/// A type of values, as far as one is known before a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Truth,
    Number,
    Text,
    Null,
    List,
    Map,
}

impl Kind {
    /// For people.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Truth => "true or false",
            Self::Number => "a number",
            Self::Text => "text",
            Self::Null => "null",
            Self::List => "a list",
            Self::Map => "a map",
        }
    }
}

/// What is read at the place.
fn reading<'r>(node: &IdedExpr, readings: &'r [Reading]) -> Option<&'r Reading> {
    let Expr::Ident(place) = &node.expr else {
        return None;
    };
    readings.get(place.parse::<usize>().ok()?)
}

/// Whether the length of it is bounded, whoever has written the values in it.
pub(super) fn is_range(node: &IdedExpr, readings: &[Reading]) -> bool {
    match &node.expr {
        Expr::List(list) => {
            let mut elements = list.elements.iter();
            elements.all(|element| is_scalar(element, readings))
        }
        Expr::Select(_) | Expr::Call(_) => is_of_claim(node, readings),
        Expr::Ident(_) => reading(node, readings).is_some_and(may_be_long),
        Expr::Unspecified
        | Expr::Comprehension(_)
        | Expr::Literal(_)
        | Expr::Map(_)
        | Expr::Struct(_) => false,
    }
}

fn is_names(reading: &Reading) -> bool {
    matches!(reading, Reading::Value(Fact::Groups | Fact::Scopes))
}

fn may_be_long(reading: &Reading) -> bool {
    is_names(reading) || matches!(reading, Reading::Value(Fact::Claim(_)))
}

/// A literal, or a fact that is text.
fn is_scalar(node: &IdedExpr, readings: &[Reading]) -> bool {
    matches!(node.expr, Expr::Literal(_))
        || reading(node, readings).is_some_and(|reading| !may_be_long(reading))
}

/// A claim, or a part of one.
fn is_of_claim(node: &IdedExpr, readings: &[Reading]) -> bool {
    match &node.expr {
        Expr::Ident(_) => matches!(
            reading(node, readings),
            Some(Reading::Value(Fact::Claim(_)))
        ),
        Expr::Select(select) => !select.test && is_of_claim(&select.operand, readings),
        Expr::Call(call) => {
            let holder = call.args.first();
            call.func_name == operators::INDEX
                && holder.is_some_and(|holder| is_of_claim(holder, readings))
        }
        Expr::Unspecified
        | Expr::Comprehension(_)
        | Expr::List(_)
        | Expr::Literal(_)
        | Expr::Map(_)
        | Expr::Struct(_) => false,
    }
}

/// `None`: only a request tells.
fn kind(node: &IdedExpr, readings: &[Reading]) -> Option<Kind> {
    match &node.expr {
        Expr::Literal(literal) => match literal {
            LiteralValue::Boolean(_) => Some(Kind::Truth),
            LiteralValue::Double(_) | LiteralValue::Int(_) | LiteralValue::UInt(_) => {
                Some(Kind::Number)
            }
            LiteralValue::String(_) => Some(Kind::Text),
            LiteralValue::Null => Some(Kind::Null),
            LiteralValue::Bytes(_) => None,
        },
        Expr::List(_) => Some(Kind::List),
        Expr::Map(_) => Some(Kind::Map),
        Expr::Ident(_) => match reading(node, readings)? {
            Reading::Presence(_) => Some(Kind::Truth),
            Reading::Value(Fact::Groups | Fact::Scopes) => Some(Kind::List),
            Reading::Value(Fact::Claim(_)) => None,
            Reading::Value(_) => Some(Kind::Text),
        },
        Expr::Call(call) => match call.func_name.as_str() {
            "size" => Some(Kind::Number),
            "lowerAscii" | "string" => Some(Kind::Text),
            _ => None,
        },
        // `filter` and `map` make lists.
        Expr::Comprehension(walk) => {
            matches!(walk.accu_init.expr, Expr::List(_)).then_some(Kind::List)
        }
        Expr::Select(_) | Expr::Struct(_) | Expr::Unspecified => None,
    }
}

/// Two kinds that are compared in vain. The language says that values of different types are not equal: a rule that
/// denies `identity.groups == "contractors"` would deny nobody.
pub(super) fn never_equal(call: &CallExpr, readings: &[Reading]) -> Option<(Kind, Kind)> {
    let [left, right] = call.args.as_slice() else {
        return None;
    };
    let kinds = match call.func_name.as_str() {
        operators::EQUALS | operators::NOT_EQUALS => {
            (kind(left, readings)?, kind(right, readings)?)
        }
        // Groups and scopes are texts.
        operators::IN if reading(right, readings).is_some_and(is_names) => {
            (kind(left, readings)?, Kind::Text)
        }
        _ => return None,
    };
    (kinds.0 != kinds.1).then_some(kinds)
}

/// Whether a rule with this result would always fail.
pub(super) fn is_never_bool(node: &IdedExpr, readings: &[Reading]) -> bool {
    let is_arithmetic =
        matches!(&node.expr, Expr::Call(call) if ARITHMETIC.contains(&call.func_name.as_str()));
    is_arithmetic || kind(node, readings).is_some_and(|kind| kind != Kind::Truth)
}
