//! Why the desk refuses.

use super::Invalid;
use crate::{
    api_token::NotAnApiToken,
    store::{CreateError, RotateError, StoreError},
};

/// Why the desk refuses.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// What was asked for breaks a rule.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The asker may not.
    #[error("{0}")]
    Forbidden(&'static str),
    /// There is no such token, or none that the asker may know of.
    #[error("there is no such API token")]
    Unknown,
    /// Limits of the user, or the token has been replaced or is over.
    #[error(transparent)]
    Conflict(RotateError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<NotAnApiToken> for DeskError {
    fn from(error: NotAnApiToken) -> Self {
        let why = error.to_string();
        Invalid {
            member: "token",
            why,
        }
        .into()
    }
}

impl From<CreateError> for DeskError {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Store(error) => Self::Store(error),
            other @ (CreateError::TooManyActive { .. }
            | CreateError::TooManyCreated { .. }
            | CreateError::OwnerDisabled) => Self::Conflict(other.into()),
        }
    }
}

impl From<RotateError> for DeskError {
    fn from(error: RotateError) -> Self {
        match error {
            RotateError::Unknown => Self::Unknown,
            RotateError::Create(error) => error.into(),
            other @ (RotateError::AlreadyReplaced { .. } | RotateError::NotActive { .. }) => {
                Self::Conflict(other)
            }
        }
    }
}
