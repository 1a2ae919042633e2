//! Tokens that say in their first letters whose they are.

/// Known products' tokens. One of these is shown to a provider that has named the prefix and to no
/// other: a GitHub token that went astray must not end up at somebody's introspection endpoint.
const WELL_KNOWN: [&str; 24] = [
    // GitHub
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    // GitLab: personal, deploy, runner, job, feed, agent, OAuth application secret, ...
    "glpat-",
    "gldt-",
    "glrt-",
    "glcbt-",
    "glptt-",
    "glft-",
    "glagent-",
    "gloas-",
    "glsoat-",
    // Slack
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xoxe-",
    "xoxe.xoxp-",
    "xoxe.xoxb-",
    "xapp-",
    // Google
    "ya29.",
    // Atlassian Cloud
    "ATATT",
];

/// Whether a token says that it is a known product's.
pub fn is_well_known(token: &str) -> bool {
    WELL_KNOWN.iter().any(|prefix| token.starts_with(prefix))
}
