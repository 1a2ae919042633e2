//! Guesses, and what is to be found by whoever can read everything but the token itself.

use std::fs;

use super::{
    Desk,
    fixture::{checked, lookups},
};
use crate::support::{eventually, service::Check};

#[test]
fn a_wrong_secret_with_a_right_id_is_refused_before_and_after_the_right_one() {
    let desk = Desk::sqlite();
    let mut service = desk.service();
    let made = desk.make(&[]);
    for _ in 0..2 {
        let wrong = service.check_token(&made.with_wrong_secret());
        assert_eq!(
            (wrong.status, wrong.reason()),
            (401, "api_token_wrong_secret")
        );
        assert_eq!(service.check_token(&made.token).user(), Some("alice"));
    }
    // The id was looked up once, for all of them.
    assert_eq!(lookups(&service), 1);
}

#[test]
fn a_guess_costs_the_store_nothing_or_one_question_in_five_seconds() {
    let desk = Desk::sqlite();
    let mut service = desk.service();
    let made = desk.make(&[]);
    // A checksum that is wrong, another length, another alphabet, another prefix: nobody is asked.
    for at in 4..66 {
        let mut wrong = made.token.clone().into_bytes();
        wrong[at] = if wrong[at] == b'0' { b'1' } else { b'0' };
        let outcome = service.check_token(std::str::from_utf8(&wrong).expect("ASCII"));
        assert_eq!(
            (outcome.status, outcome.reason()),
            (401, "api_token_malformed"),
            "{at}"
        );
    }
    let reserved = made.token.replacen("axt_", "axs_", 1);
    for text in [
        "axt_",
        "axt_x",
        "AXT_x",
        "axt_.a.b",
        reserved.as_str(),
        &made.token[..65],
        &format!("{}0", made.token),
    ] {
        assert_eq!(
            service.check_token(text).reason(),
            "api_token_malformed",
            "{text}"
        );
    }
    assert_eq!(lookups(&service), 0);
    // Right checksum, unknown id: one question, however often it is tried.
    let guess = checked(&format!("axt_abcdefghijkl_{}", "x".repeat(43)));
    for _ in 0..200 {
        assert_eq!(service.check_token(&guess).reason(), "api_token_unknown");
    }
    let questions = lookups(&service);
    assert!((1..=2).contains(&questions), "{questions}");
    assert_eq!(
        desk.idp()
            .received()
            .iter()
            .filter(|request| !request.path_alone().contains("well-known")
                && !request.path_alone().contains("jwks"))
            .count(),
        0,
        "no provider has seen any of it"
    );
}

#[test]
fn nothing_that_can_be_read_holds_a_usable_token() {
    let desk = Desk::sqlite();
    let mut service = desk.service();
    let made = desk.make(&["--scope", "write"]);
    let wrong = made.with_wrong_secret();
    for token in [&made.token, &wrong] {
        service.check_token(token);
        service.check(Check::get(&format!("/x?access_token={token}")).build());
        service.check(
            Check::get("/x")
                .header("authorization", format!("Digest {token}"))
                .build(),
        );
    }
    eventually("the last use", || {
        desk.token(&["show", &made.id])["last_used_at"]
            .is_string()
            .then_some(())
    });
    desk.token(&["rotate", &made.id]);
    let pages = ["/metrics", "/statusz"].map(|path| service.admin_page(path).1);
    let mut readable: Vec<(String, Vec<u8>)> = pages
        .map(|page| ("a page".to_owned(), page.into_bytes()))
        .into();
    readable.push(("the log".to_owned(), service.log().into_bytes()));
    for entry in fs::read_dir(desk.directory()).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.to_string_lossy().contains("tokens.db") {
            readable.push((path.display().to_string(), fs::read(&path).expect("bytes")));
        }
    }
    assert!(readable.len() >= 4, "pages, log, database");
    for token in [&made.token, &wrong] {
        let secret = &token.as_bytes()[17..60];
        for (what, bytes) in &readable {
            let holds = |window: &[u8]| window == &secret[..20] || window == &secret[20..40];
            assert!(
                !bytes.windows(20).any(holds),
                "{what} holds a part of a secret"
            );
        }
    }
}
