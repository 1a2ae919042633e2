//! The names that rules can read: a closed set, but for claims and headers.

use cel::common::ast::{Expr, IdedExpr, LiteralValue, SelectExpr, operators};

use super::{
    facts::{Fact, Reading},
    problem::Problem,
};

/// What there is to read. `claims` and `headers` have members of any name.
const NAMESPACES: [(&str, &[&str]); 4] = [
    (
        "identity",
        &[
            "username",
            "provider",
            "groups",
            "scopes",
            "client",
            "credential",
            "claims",
        ],
    ),
    (
        "request",
        &[
            "method",
            "path",
            "resource",
            "host",
            "query",
            "headers",
            "operation",
        ],
    ),
    ("source", &["address"]),
    ("application", &["name", "product"]),
];
/// Headers that carry credentials. A rule that could compare one would be a place to keep it.
const SECRET_HEADERS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "dpop"];

/// Members of any name.
#[derive(Clone, Copy)]
enum Collection {
    Claims,
    Headers,
}

impl Collection {
    /// `identity.claims` or `request.headers`.
    fn of(node: &IdedExpr) -> Option<Self> {
        let Expr::Select(select) = &node.expr else {
            return None;
        };
        let Expr::Ident(namespace) = &select.operand.expr else {
            return None;
        };
        match (namespace.as_str(), select.field.as_str()) {
            ("identity", "claims") => Some(Self::Claims),
            ("request", "headers") => Some(Self::Headers),
            _ => None,
        }
    }

    fn bare(self) -> Problem {
        let (name, remedy) = match self {
            Self::Claims => ("identity.claims", "read one, as in identity.claims.team"),
            Self::Headers => (
                "request.headers",
                "read one, as in request.headers[\"x-team\"]",
            ),
        };
        Problem::Namespace(name.to_owned(), remedy.to_owned())
    }

    fn fact(self, name: &str) -> Result<Fact, Problem> {
        match self {
            Self::Claims => Ok(Fact::Claim(name.into())),
            Self::Headers if name.starts_with(':') => Err(Problem::SecretHeader(name.to_owned())),
            Self::Headers => {
                let lower = name.to_ascii_lowercase();
                if SECRET_HEADERS.contains(&lower.as_str()) {
                    return Err(Problem::SecretHeader(lower));
                }
                if lower != name {
                    return Err(Problem::HeaderCase(lower));
                }
                Ok(Fact::Header(name.into()))
            }
        }
    }
}

/// The members of a namespace; `None`: it is none.
pub(super) fn members(namespace: &str) -> Option<&'static [&'static str]> {
    let found = NAMESPACES.iter().find(|(name, _)| *name == namespace)?;
    Some(found.1)
}

fn scalar(namespace: &str, member: &str) -> Option<Fact> {
    Some(match (namespace, member) {
        ("identity", "username") => Fact::Username,
        ("identity", "provider") => Fact::Provider,
        ("identity", "groups") => Fact::Groups,
        ("identity", "scopes") => Fact::Scopes,
        ("identity", "client") => Fact::Client,
        ("identity", "credential") => Fact::Credential,
        ("request", "method") => Fact::Method,
        ("request", "path") => Fact::Path,
        ("request", "resource") => Fact::Resource,
        ("request", "host") => Fact::Host,
        ("request", "query") => Fact::Query,
        ("request", "operation") => Fact::Operation,
        ("source", "address") => Fact::Address,
        ("application", "name") => Fact::Application,
        ("application", "product") => Fact::Product,
        _ => return None,
    })
}

/// `Some` when the expression reads a fact.
pub(super) fn reading_of(node: &IdedExpr) -> Result<Option<Reading>, Problem> {
    match &node.expr {
        Expr::Select(select) => match Collection::of(node) {
            Some(collection) => Err(collection.bare()),
            None => selected(select),
        },
        Expr::Call(call) => match call.args.as_slice() {
            [holder, name] if call.func_name == operators::INDEX => {
                Ok(element(holder, name)?.map(Reading::Value))
            }
            [name, holder] if call.func_name == operators::IN => {
                Ok(element(holder, name)?.map(Reading::Presence))
            }
            _ => Ok(None),
        },
        Expr::Unspecified
        | Expr::Comprehension(_)
        | Expr::Ident(_)
        | Expr::List(_)
        | Expr::Literal(_)
        | Expr::Map(_)
        | Expr::Struct(_) => Ok(None),
    }
}

/// `NAMESPACE.NAME` or `COLLECTION.NAME`, and the same in `has()`.
fn selected(select: &SelectExpr) -> Result<Option<Reading>, Problem> {
    let fact = if let Some(collection) = Collection::of(&select.operand) {
        collection.fact(&select.field)?
    } else {
        let Expr::Ident(namespace) = &select.operand.expr else {
            return Ok(None);
        };
        let Some(members) = members(namespace) else {
            return Ok(None);
        };
        let unknown = || {
            let name = format!("{namespace}.{}", select.field);
            Problem::UnknownMember(name, format!("{namespace} has {}", members.join(", ")))
        };
        scalar(namespace, &select.field).ok_or_else(unknown)?
    };
    let reading = if select.test {
        Reading::Presence
    } else {
        Reading::Value
    };
    Ok(Some(reading(fact)))
}

/// The member of a collection. Its name is written out: so what a rule reads is known before it is used.
fn element(holder: &IdedExpr, name: &IdedExpr) -> Result<Option<Fact>, Problem> {
    let Some(collection) = Collection::of(holder) else {
        return Ok(None);
    };
    let Expr::Literal(LiteralValue::String(name)) = &name.expr else {
        return Err(Problem::ComputedName);
    };
    collection.fact(name.inner()).map(Some)
}
