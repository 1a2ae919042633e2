use super::*;

fn rule(failed: bool) -> Refusal {
    Refusal::Rule {
        name: "no deletes".into(),
        failed,
    }
}

/// One of each: public word, private word.
fn refusals() -> Vec<(Refusal, &'static str, &'static str)> {
    let scope = Refusal::InsufficientScope {
        scope: "jira".to_owned(),
    };
    let own = "api_token_scope";
    let user = "user_not_allowed";
    vec![
        (scope, "insufficient_scope", "insufficient_scope"),
        (Refusal::DeniedPath, "path_denied", "path_denied"),
        (Refusal::OtherApplication, own, "api_token_application"),
        (Refusal::OtherNetwork, own, "api_token_network"),
        (Refusal::OtherPath, own, "api_token_path"),
        (Refusal::ReadOnly, own, "api_token_read_only"),
        (
            Refusal::PathNotCanonical,
            "path_not_canonical",
            "path_not_canonical",
        ),
        (Refusal::User, user, "access_users"),
        (Refusal::Group, user, "access_groups"),
        (Refusal::GroupsUnknown, user, "access_groups_unknown"),
        (Refusal::ReadOnlyGroup, "read_only", "access_read_only"),
        (Refusal::Network, "network_not_allowed", "access_networks"),
        (Refusal::Method, "method_not_allowed", "access_methods"),
        (rule(false), "access_rule", "access_rule"),
        (rule(true), "access_rule", "access_rule_failed"),
    ]
}

#[test]
fn a_refusal_has_a_public_word_a_sentence_and_a_private_word() {
    for (refusal, code, reason) in refusals() {
        assert_eq!(refusal.code(), code, "{refusal}");
        assert_eq!(refusal.reason(), reason, "{refusal}");
        assert!(refusal.message().ends_with('.'), "{refusal}");
    }
}

#[test]
fn only_the_limits_of_an_api_token_count_as_its_misuse() {
    for (refusal, code, _) in refusals() {
        assert_eq!(refusal.is_of_api_token(), code == "api_token_scope");
    }
}

#[test]
fn only_an_operators_rule_has_a_name() {
    for (refusal, code, _) in refusals() {
        let name = (code == "access_rule").then_some("no deletes");
        assert_eq!(refusal.rule(), name, "{refusal}");
    }
    assert_eq!(
        rule(false).to_string(),
        "the rule \"no deletes\" refuses (access.rules)"
    );
    assert_eq!(
        rule(true).to_string(),
        "the rule \"no deletes\" cannot be evaluated, and refuses (access.rules)"
    );
}
