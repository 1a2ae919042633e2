//! How the store fails, in words that hold nothing of a row, a URL or a password.

use std::io;

use super::SchemaError;

/// Why the store could not do what it was asked. Only the first three pass by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It cannot be connected to, or the connection broke.
    #[error("the token database cannot be reached: {0}")]
    Unreachable(&'static str),
    /// It did not answer in time, or something else holds what is needed. A change may or may not have happened.
    #[error("the token database did not answer in time")]
    Timeout,
    /// Its tables are not those of this version.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// It answered, and said no.
    #[error("the token database refuses: {0}")]
    Refused(&'static str),
    /// A row that this version does not understand, or that somebody has tampered with.
    #[error("the token database holds a row whose {0} cannot be read")]
    Corrupt(&'static str),
}

impl StoreError {
    /// The connection itself is of no use any more, and with it probably every other one.
    pub(super) fn breaks_connections(self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Timeout)
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::Database(error) = &error {
            return of_code(error.code().as_deref().unwrap_or_default());
        }
        if let sqlx::Error::Io(error) = &error {
            return Self::Unreachable(of_io(error.kind()));
        }
        if matches!(error, sqlx::Error::Tls(_)) {
            return Self::Unreachable(
                "TLS cannot be agreed on (does sslrootcert hold the CA, and the certificate the name of the host?)",
            );
        }
        if matches!(error, sqlx::Error::Configuration(_)) {
            return Self::Unreachable("a setting of its URL is not understood");
        }
        Self::Unreachable("the connection broke")
    }
}

fn of_io(kind: io::ErrorKind) -> &'static str {
    if kind == io::ErrorKind::ConnectionRefused {
        "nothing listens there"
    } else if kind == io::ErrorKind::NotFound {
        "its socket, or a file that its URL names, does not exist"
    } else if kind == io::ErrorKind::PermissionDenied {
        "its socket, or a file that its URL names, may not be opened"
    } else {
        "the connection broke"
    }
}

/// PostgreSQL has five characters (SQLSTATE), SQLite a number.
fn of_code(code: &str) -> StoreError {
    if let Ok(number) = code.parse::<u32>()
        && code.len() < 5
    {
        return of_sqlite(number);
    }
    let class = code.get(..2).unwrap_or_default();
    match (class, code) {
        (_, "42P01" | "42703" | "3F000") => SchemaError::Empty.into(),
        (_, "57014" | "55P03" | "40001" | "40P01" | "25P03") => StoreError::Timeout,
        (_, "53100") => StoreError::Refused("its disk is full"),
        (_, "25006") => StoreError::Refused("it is read-only (a standby?)"),
        (_, "42501") => StoreError::Refused("the role lacks a permission (see roles.sql)"),
        ("28", _) => StoreError::Unreachable("it does not accept the role's credentials"),
        ("3D", _) => StoreError::Unreachable("it has no database of this name"),
        ("53", _) => StoreError::Unreachable("it has no connection left"),
        ("08" | "57", _) => StoreError::Unreachable("it is starting or stopping"),
        ("23", _) => StoreError::Refused("a constraint is violated"),
        ("22", _) => StoreError::Refused("a value cannot be stored"),
        _ => StoreError::Refused("the statement failed there; its log tells why"),
    }
}

fn of_sqlite(code: u32) -> StoreError {
    match code & 0xff {
        5 | 6 => StoreError::Timeout,
        3 | 8 | 23 => StoreError::Refused("its file is read-only"),
        10 => StoreError::Unreachable("its file cannot be read or written"),
        11 | 26 => StoreError::Unreachable("its file is no sound SQLite database"),
        13 => StoreError::Refused("its disk is full"),
        14 => StoreError::Unreachable("its file cannot be opened"),
        18 => StoreError::Refused("a value is too large"),
        19 => StoreError::Refused("a constraint is violated"),
        _ => StoreError::Refused("the statement failed"),
    }
}
