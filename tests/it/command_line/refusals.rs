//! `check` where there is neither a yes nor a no.

use insta::assert_snapshot;

use super::{
    ERROR,
    check::{Bench, line},
    run,
};
use crate::support::idp::{Answer, JWKS};

#[test]
fn what_cannot_be_decided_is_neither_yes_nor_no() {
    let bench = Bench::new();
    let token = bench.token();
    bench
        .idp
        .answer(JWKS, Answer::status("500 Internal Server Error", &[], ""));
    let said = bench.with_token(&token);
    assert_eq!(said.code, ERROR, "{}", said.out);
    assert!(
        line(&said, "verdict")[0].starts_with("DENY 503 "),
        "{}",
        said.out
    );

    let no_file = bench.myself(&["--bearer-file", "missing"]);
    assert_eq!((no_file.code, no_file.out.as_str()), (ERROR, ""));
    assert_snapshot!(no_file.err, @"atlassian-authz: cannot read what --bearer-file names: No such file or directory (os error 2)");
    bench.write("config.yaml", "providers: []\napplications: []\n");
    let no_config = bench.myself(&["--bearer-file", "token"]);
    assert_eq!((no_config.code, no_config.out.as_str()), (ERROR, ""));
    assert_snapshot!(no_config.err, @"
    config.yaml:1:1: 'providers' is empty: no token could be verified
    config.yaml:2:1: 'applications' is empty: every request would be denied
    2 problems
    ");
}

#[test]
fn a_token_on_the_command_line_is_refused_and_never_repeated() {
    let bench = Bench::new();
    let token = bench.token();
    let named = |text: &str| text.replace("TOKEN", &token);
    for arguments in [
        vec!["TOKEN"],
        vec!["--bearer", "TOKEN"],
        vec!["--bearer=TOKEN"],
        vec!["--token", "TOKEN"],
        vec!["--bearer-file", "TOKEN"],
        vec!["--bearer-file=TOKEN"],
        vec!["--json=TOKEN"],
        vec!["--header", "Authorization: Bearer TOKEN"],
        vec!["--header", "authorization:Bearer TOKEN"],
        vec!["--header", " Authorization : Bearer TOKEN"],
        vec!["--header", "Proxy-Authorization: Bearer TOKEN"],
        vec!["--header", "Bearer TOKEN"],
        vec!["-H", "Authorization: Bearer TOKEN"],
    ] {
        let arguments: Vec<String> = arguments.into_iter().map(named).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let said = bench.myself(&arguments);
        assert_eq!((said.code, said.out.as_str()), (ERROR, ""), "{arguments:?}");
        let signature = token.rsplit('.').next().expect("three parts");
        assert!(!said.err.contains(signature), "{arguments:?}: {}", said.err);
    }
    let said = run(bench.directory.path(), &[&token]);
    assert_eq!(said.code, ERROR);
    assert!(!said.err.contains(&token), "{}", said.err);
    assert!(said.err.contains("--bearer-file"), "{}", said.err);
    assert!(
        bench.idp.received().is_empty(),
        "refused before any network"
    );
}
