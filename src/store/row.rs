//! From the columns of a row to the types of the domain. What does not parse is an error, never a default.

use sqlx::{Any, Decode, Row, Type, any::AnyRow};

use super::StoreError;
use crate::api_token::{ApiTokenId, Digest, Owner, PepperId, Revocation, TokenRecord};

/// The columns of a token, for `concat!`.
macro_rules! columns {
    () => {
        "id, owner, name, pepper, digest, scope, created_at, created_by, expires_at, revoked_at, revoked_by, \
         revoke_reason, replaces, replaced_by, last_used_at, last_used_from, revision"
    };
}
pub(super) use columns;

/// One column, under its name.
pub(super) fn column<'r, T>(row: &'r AnyRow, name: &'static str) -> Result<T, StoreError>
where
    T: Decode<'r, Any> + Type<Any>,
{
    // `T::decode` of an absent value is an error unless T is an Option.
    row.try_get(name)
        .map_err(|_holds_the_value| StoreError::Corrupt(name))
}

/// A column that holds an id.
pub(super) fn id(row: &AnyRow, name: &'static str) -> Result<ApiTokenId, StoreError> {
    ApiTokenId::parse(column::<&str>(row, name)?).map_err(|_no_detail| StoreError::Corrupt(name))
}

/// A column that may hold one.
pub(super) fn optional_id(
    row: &AnyRow,
    name: &'static str,
) -> Result<Option<ApiTokenId>, StoreError> {
    let text: Option<String> = column(row, name)?;
    text.map(|text| ApiTokenId::parse(&text))
        .transpose()
        .map_err(|_no_detail| StoreError::Corrupt(name))
}

/// A column that holds an owner, as this program writes them.
pub(super) fn owner(row: &AnyRow) -> Result<Owner, StoreError> {
    let text: &str = column(row, "owner")?;
    let owner = Owner::new(text);
    // Two texts for one user would be two limits, and one of them survives a revocation of all.
    if owner.as_str() == text {
        Ok(owner)
    } else {
        Err(StoreError::Corrupt("owner"))
    }
}

/// A whole token.
pub(super) fn record(row: &AnyRow) -> Result<TokenRecord, StoreError> {
    let mac: Vec<u8> = column(row, "digest")?;
    let scope = serde_json::from_str(column(row, "scope")?);
    Ok(TokenRecord {
        id: id(row, "id")?,
        owner: owner(row)?,
        name: column(row, "name")?,
        digest: Digest {
            pepper: PepperId::from_store(column(row, "pepper")?),
            mac: mac
                .try_into()
                .map_err(|_no_detail| StoreError::Corrupt("digest"))?,
        },
        scope: scope.map_err(|_no_detail| StoreError::Corrupt("scope"))?,
        created_at: column(row, "created_at")?,
        created_by: column(row, "created_by")?,
        expires_at: column(row, "expires_at")?,
        revocation: revocation(row)?,
        replaces: optional_id(row, "replaces")?,
        replaced_by: optional_id(row, "replaced_by")?,
        last_used_at: column(row, "last_used_at")?,
        last_used_from: column(row, "last_used_from")?,
        revision: column(row, "revision")?,
    })
}

fn revocation(row: &AnyRow) -> Result<Option<Revocation>, StoreError> {
    let Some(at) = column(row, "revoked_at")? else {
        return Ok(None);
    };
    Ok(Some(Revocation {
        at,
        by: column(row, "revoked_by")?,
        reason: column(row, "revoke_reason")?,
    }))
}
