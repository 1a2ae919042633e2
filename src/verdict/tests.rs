use super::*;

/// Before a token is judged: status, public word, private word.
fn of_requests() -> Vec<(Denial, u16, &'static str, &'static str)> {
    let malformed = "malformed_request";
    vec![
        (MalformedRequest::NoHttp.into(), 400, malformed, malformed),
        (
            NoRoute::UnknownApplication.into(),
            403,
            "unknown_application",
            "unknown_application",
        ),
        (
            NoRoute::Tunnel.into(),
            403,
            "upgrade_not_allowed",
            "upgrade_not_allowed",
        ),
        (Denial::NoCredential, 401, "no_credential", "no_credential"),
        (
            MalformedCredential::UnsupportedScheme.into(),
            401,
            "unsupported_scheme",
            "unsupported_scheme",
        ),
        (
            MalformedCredential::Several.into(),
            400,
            "malformed_credential",
            "malformed_credential",
        ),
        (
            Denial::ForeignCredential(Foreign::Password),
            401,
            "password_not_accepted",
            "password_not_accepted",
        ),
        (
            Denial::ForeignCredential(Foreign::ProductToken),
            401,
            "product_token_not_accepted",
            "product_token_not_accepted",
        ),
    ]
}

/// One of each kind.
fn denials() -> Vec<(Denial, u16, &'static str, &'static str)> {
    let bad_token = "token_expired_or_invalid";
    let mut all = of_requests();
    all.extend([
        (
            ApiTokenRejection::Revoked.into(),
            401,
            bad_token,
            "api_token_revoked",
        ),
        (
            NoProvider::UnknownIssuer.into(),
            401,
            bad_token,
            "unknown_issuer",
        ),
        (Rejection::Expired.into(), 401, bad_token, "expired"),
        (
            MappingError::NotInMap.into(),
            403,
            "user_not_mapped",
            "username_not_mapped",
        ),
        (
            Refusal::User.into(),
            403,
            "user_not_allowed",
            "access_users",
        ),
        (
            Refusal::PathNotCanonical.into(),
            400,
            "path_not_canonical",
            "path_not_canonical",
        ),
        (
            Unavailable::NoKeys.into(),
            503,
            "temporarily_unavailable",
            "provider_keys_not_loaded",
        ),
    ]);
    all
}

#[test]
fn a_denial_has_a_status_a_public_word_and_a_private_one() {
    for (denial, status, code, reason) in denials() {
        assert_eq!(denial.status().code(), status, "{denial}");
        assert_eq!(denial.code(), code, "{denial}");
        assert_eq!(denial.reason(), reason, "{denial}");
    }
}

#[test]
fn all_bad_tokens_look_alike_to_their_sender() {
    let bad: Vec<Denial> = vec![
        Rejection::Expired.into(),
        Rejection::BadSignature.into(),
        NoProvider::UnknownIssuer.into(),
        ApiTokenRejection::WrongSecret.into(),
    ];
    for denial in bad {
        assert_eq!(denial.code(), "token_expired_or_invalid");
        let message = denial.message();
        assert_eq!(message, "The access token is expired or invalid.");
    }
}

#[test]
fn a_message_is_a_sentence_of_its_own() {
    let mut sentences = std::collections::BTreeMap::new();
    for (denial, _, code, _) in denials() {
        let message = denial.message();
        assert!(message.ends_with('.'), "{message}");
        let known = sentences.insert(message, code).unwrap_or(code);
        assert_eq!(known, code, "{message}");
    }
}

#[test]
fn what_can_be_said_to_a_known_application_is_listed() {
    for (denial, _, code, _) in denials() {
        let is_before = matches!(
            denial,
            Denial::MalformedRequest(_) | Denial::NoRoute(NoRoute::UnknownApplication)
        );
        assert_eq!(CODES.contains(&code), !is_before, "{code}");
    }
}

#[test]
fn the_log_says_which_credential_of_the_product_was_sent() {
    for (foreign, words) in [
        (Foreign::Password, "passwords of the product are not taken"),
        (Foreign::ProductToken, "tokens of the product are not taken"),
    ] {
        let said = Denial::ForeignCredential(foreign).to_string();
        assert_eq!(said, format!("{words} (foreign_credentials)"));
    }
}

/// One word for the outcome.
fn outcome(verdict: &Verdict) -> &'static str {
    match verdict {
        Ok(grant) => grant.reason(),
        Err(denial) => denial.code(),
    }
}

#[test]
fn enforcement_never_makes_an_identity() {
    let denied = || Err(Denial::from(Rejection::Expired));
    for (enforcement, verdict, said) in [
        (Enforcement::Enforce, denied(), "token_expired_or_invalid"),
        (Enforcement::Enforce, Ok(Grant::Anonymous), "public_path"),
        // The request passes, and the log says what it would have been denied for.
        (Enforcement::ReportOnly, denied(), "expired"),
        (Enforcement::ReportOnly, Ok(Grant::Anonymous), "public_path"),
        (Enforcement::Off, denied(), "not_enforced"),
        (Enforcement::Off, Ok(Grant::Anonymous), "not_enforced"),
    ] {
        let verdict = enforced(verdict, enforcement);
        assert_eq!(outcome(&verdict), said, "{enforcement:?}");
        assert_eq!(verdict.is_err(), said == "token_expired_or_invalid");
        if let Ok(grant) = &verdict {
            assert!(grant.identity().is_none(), "{enforcement:?}");
        }
    }
}

#[test]
fn a_denial_that_is_only_reported_is_still_known() {
    let reason = |verdict: &Verdict| denial(verdict).map(Denial::reason);
    let denied = || Err(Denial::from(Rejection::Expired));
    assert_eq!(reason(&denied()), Some("expired"));
    let reported = enforced(denied(), Enforcement::ReportOnly);
    assert_eq!(reason(&reported), Some("expired"));
    assert_eq!(reason(&Ok(Grant::Anonymous)), None);
    assert_eq!(reason(&Ok(Grant::Native(Native::Unchecked))), None);
}

#[test]
fn what_is_left_to_the_product_says_why() {
    for (native, word) in [
        (Native::Credential, "native"),
        (Native::Preflight, "preflight"),
        (Native::Unchecked, "not_enforced"),
    ] {
        assert_eq!(Grant::Native(native).reason(), word);
    }
}
