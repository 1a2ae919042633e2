use serde_json::{Value, json};

use super::*;

fn introspection(issuers: &[&str]) -> Introspection {
    Introspection {
        endpoint: "https://idp.example/introspect".parse().expect("a URL"),
        client: ClientAuthentication::SecretPost {
            id: "us".to_owned(),
            secret: "secret".into(),
        },
        timeout: Duration::from_secs(1),
        issuers: issuers.iter().map(|issuer| (*issuer).to_owned()).collect(),
    }
}

fn read(answered: &Answered) -> Result<usize, CheckError> {
    let claims = introspection(&[]).read(answered)?;
    Ok(claims.members().len())
}

/// The outcome of an answer with `active: true` and more.
fn active(issuers: &[&str], more: Value) -> Result<(), CheckError> {
    let mut answer = json!({"active": true});
    let Value::Object(more) = more else {
        panic!("an object")
    };
    answer.as_object_mut().expect("an object").extend(more);
    let answered = Answered::json(200, None, &answer.to_string());
    introspection(issuers).read(&answered).map(drop)
}

#[test]
fn only_the_boolean_true_is_active() {
    assert_eq!(
        read(&Answered::json(200, None, r#"{"active":true,"sub":"a"}"#)),
        Ok(2)
    );
    let inactive = Err(Rejection::Inactive.into());
    assert_eq!(
        read(&Answered::json(200, None, r#"{"active":false}"#)),
        inactive
    );
    for other in ["\"true\"", "1", "null", "[true]"] {
        let said = read(&Answered::json(
            200,
            None,
            &format!("{{\"active\":{other}}}"),
        ));
        assert!(
            matches!(said, Err(CheckError::Answer(_))),
            "{other} {said:?}"
        );
    }
    for body in ["", "{}", "[]", r#"{"active":true,"active":true}"#] {
        let said = read(&Answered::json(200, None, body));
        assert!(matches!(said, Err(CheckError::Answer(_))), "{said:?}");
    }
    let jwt = Answered {
        media_type: "application/token-introspection+jwt".to_owned(),
        ..Answered::json(200, None, r#"{"active":true}"#)
    };
    assert!(matches!(read(&jwt), Err(CheckError::Answer(_))));
}

#[test]
fn another_status_is_never_an_answer_about_the_token() {
    let later = Some(Duration::from_secs(7));
    for (status, retry_after, error) in [
        (401, None, CheckError::CredentialsRefused(401)),
        (403, None, CheckError::CredentialsRefused(403)),
        (401, Some(7), CheckError::Throttled(later)),
        (429, None, CheckError::Throttled(None)),
        (429, Some(7), CheckError::Throttled(later)),
        (503, Some(7), CheckError::Throttled(later)),
        (503, None, CheckError::Status(503)),
        (204, None, CheckError::Status(204)),
        (400, None, CheckError::Status(400)),
    ] {
        let answered = Answered::json(status, retry_after, r#"{"active":true}"#);
        assert_eq!(read(&answered), Err(error), "{status} {retry_after:?}");
    }
}

#[test]
fn another_kind_of_token_is_no_bearer_token() {
    for kind in ["Bearer", "bearer", "access_token"] {
        assert_eq!(active(&[], json!({ "token_type": kind })), Ok(()));
    }
    let bound = Err(Rejection::SenderConstrained.into());
    assert_eq!(active(&[], json!({"token_type": "DPoP"})), bound);
    let other = Err(Rejection::NotAnAccessToken("token_type").into());
    for kind in ["refresh_token", "mac", ""] {
        assert_eq!(active(&[], json!({ "token_type": kind })), other);
    }
    let wrong = Err(Rejection::ClaimType("token_type").into());
    assert_eq!(active(&[], json!({"token_type": 1})), wrong);
}

#[test]
fn the_issuer_of_an_answer_is_one_of_those_that_are_known() {
    let ours = &["https://idp.example", "https://other.example"];
    assert_eq!(
        active(ours, json!({"iss": "https://other.example"})),
        Ok(())
    );
    assert_eq!(active(ours, json!({})), Ok(()), "RFC 7662 asks for none");
    assert_eq!(active(&[], json!({"iss": "https://any.example"})), Ok(()));
    let foreign = Err(Rejection::Issuer.into());
    for issuer in ["https://idp.example/", "https://evil.example", ""] {
        assert_eq!(active(ours, json!({ "iss": issuer })), foreign, "{issuer}");
    }
    let wrong = Err(Rejection::ClaimType("iss").into());
    assert_eq!(active(ours, json!({"iss": ["https://idp.example"]})), wrong);
}
