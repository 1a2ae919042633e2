use tokio::time::Instant;

use super::*;

const TIMEOUT: Duration = Duration::from_secs(1);

#[expect(
    clippy::disallowed_methods,
    reason = "the monotonic part of now does not matter here"
)]
fn now() -> Now {
    Now {
        unix_seconds: 1000,
        instant: Instant::now(),
    }
}

fn call(token: TokenPlace) -> TokenCall {
    TokenCall {
        post: false,
        url: "https://idp.example/check".parse().expect("a URL"),
        token,
        headers: HeaderMap::new(),
        client: None,
        success: expect(200, &[]),
        invalid: vec![expect(400, &[]), expect(200, &[("/ok", false)])],
    }
}

fn expect(status: u16, conditions: &[(&str, bool)]) -> Expect {
    let conditions = conditions.iter();
    Expect {
        status,
        conditions: conditions
            .map(|(pointer, wanted)| Condition::Is((*pointer).to_owned(), *wanted))
            .collect(),
    }
}

fn basic() -> Client {
    Client::Basic {
        id: "us".to_owned(),
        secret: "secret".into(),
    }
}

/// What would be sent, in one line.
fn sent(call: &TokenCall) -> String {
    let request = call.request("tok", TIMEOUT);
    assert_eq!(request.timeout, TIMEOUT);
    let body = match request.body {
        Body::None => "GET".to_owned(),
        Body::Empty => "POST".to_owned(),
        Body::Form(form) => format!("form {form:?}"),
        Body::Json(json) => format!("json {json}"),
    };
    let authorization = match request.authorization {
        Authorization::None => "nobody".to_owned(),
        Authorization::Bearer(token) => format!("bearer {token}"),
        Authorization::Basic(id, secret) => format!("basic {id} {secret}"),
    };
    let query = request.url.query().unwrap_or("");
    format!("{body}, {authorization}, ?{query}")
}

#[test]
fn a_token_is_put_where_its_provider_wants_it_and_nowhere_else() {
    let name = || "t".to_owned();
    for (place, post, line) in [
        (TokenPlace::Bearer, false, "GET, bearer tok, ?"),
        (TokenPlace::Bearer, true, "POST, bearer tok, ?"),
        (TokenPlace::Query(name()), false, "GET, nobody, ?t=tok"),
        (
            TokenPlace::Form(name()),
            true,
            "form [(\"t\", \"tok\")], nobody, ?",
        ),
        (
            TokenPlace::Json(name()),
            true,
            "json {\"t\":\"tok\"}, nobody, ?",
        ),
    ] {
        let call = TokenCall {
            post,
            ..call(place)
        };
        assert_eq!(sent(&call), line);
    }
}

#[test]
fn we_say_who_we_are_where_we_must() {
    let with = |client| TokenCall {
        client: Some(client),
        ..call(TokenPlace::Query("t".to_owned()))
    };
    assert_eq!(sent(&with(basic())), "GET, basic us secret, ?t=tok");
    let app = Client::AppAccessToken {
        id: "us".to_owned(),
        secret: "secret".into(),
    };
    let line = "GET, nobody, ?t=tok&access_token=us%7Csecret";
    assert_eq!(sent(&with(app)), line);
}

fn outcome(call: &TokenCall, answered: &Answered) -> Result<usize, CheckError> {
    call.read(answered).map(|document| document.len())
}

#[test]
fn an_answer_that_fits_both_is_that_to_a_bad_token() {
    let call = call(TokenPlace::Bearer);
    let bad = Err(Rejection::Inactive.into());
    assert_eq!(
        outcome(&call, &Answered::json(200, None, "{\"a\":1}")),
        Ok(1)
    );
    assert_eq!(
        outcome(&call, &Answered::json(200, None, "{\"ok\":true}")),
        Ok(1)
    );
    assert_eq!(
        outcome(&call, &Answered::json(200, None, "{\"ok\":false}")),
        bad
    );
    assert_eq!(outcome(&call, &Answered::json(400, None, "no")), bad);
    let nonsense = outcome(&call, &Answered::json(200, None, "no"));
    assert!(
        matches!(nonsense, Err(CheckError::Answer(_))),
        "{nonsense:?}"
    );
}

#[test]
fn what_is_no_answer_about_the_token_is_a_failure_of_the_provider() {
    let anonymous = call(TokenPlace::Bearer);
    let known = TokenCall {
        client: Some(basic()),
        ..call(TokenPlace::Bearer)
    };
    let later = Some(Duration::from_secs(7));
    let bad = CheckError::Rejected(Rejection::Inactive);
    for (status, retry_after, without_client, with_client) in [
        (
            429,
            None,
            CheckError::Throttled(None),
            CheckError::Throttled(None),
        ),
        (
            400,
            Some(7),
            CheckError::Throttled(later),
            CheckError::Throttled(later),
        ),
        (
            401,
            Some(7),
            CheckError::Throttled(later),
            CheckError::Throttled(later),
        ),
        (401, None, bad, CheckError::CredentialsRefused(401)),
        (
            403,
            None,
            CheckError::Status(403),
            CheckError::CredentialsRefused(403),
        ),
        (500, None, CheckError::Status(500), CheckError::Status(500)),
    ] {
        let answered = Answered::json(status, retry_after, "{}");
        assert_eq!(outcome(&anonymous, &answered), Err(without_client));
        assert_eq!(outcome(&known, &answered), Err(with_client));
    }
    // The status of a good token, and yet it does not say what such an answer must.
    let strict = TokenCall {
        success: expect(200, &[("/ok", true)]),
        ..call(TokenPlace::Bearer)
    };
    let vague = outcome(&strict, &Answered::json(200, None, "{}"));
    assert!(matches!(vague, Err(CheckError::Answer(_))), "{vague:?}");
}

fn source(document: Document, pointer: &str) -> ClaimSource {
    ClaimSource {
        document,
        pointer: pointer.to_owned(),
        reading: Reading::Value,
    }
}

fn read(check: &HttpCheck, answers: &[Value], token: &str) -> Result<String, CheckError> {
    let answers = answers.iter();
    let answers: Vec<_> = answers
        .map(|answer| answer.as_object().expect("an object").clone())
        .collect();
    let claims = check.read(&answers, token, now())?;
    Ok(Value::Object(claims.members()).to_string())
}

fn jwt(payload: &str) -> String {
    format!("h.{}.s", URL_SAFE_NO_PAD.encode(payload))
}

#[test]
fn claims_come_from_the_answers_and_from_the_token_that_they_confirm() {
    let check = HttpCheck {
        calls: Vec::new(),
        claims: vec![
            ("sub".to_owned(), source(Document::Answer(0), "/id")),
            ("name".to_owned(), source(Document::Answer(1), "/login")),
            ("aud".to_owned(), source(Document::Token, "/aud")),
            ("absent".to_owned(), source(Document::Answer(0), "/no")),
        ],
        equal: Vec::new(),
        timeout: TIMEOUT,
    };
    let answers = [json!({"id": "u1"}), json!({"login": "alice"})];
    let claims = read(&check, &answers, &jwt("{\"aud\":\"us\"}"));
    assert_eq!(
        claims.as_deref(),
        Ok(r#"{"aud":"us","name":"alice","sub":"u1"}"#)
    );
    let one = read(&check, &answers[..1], &jwt("{}"));
    assert!(matches!(one, Err(CheckError::Answer(_))), "{one:?}");
    let malformed = Err(Rejection::MalformedJws.into());
    for token in ["opaque", "a.b", "a.b.c.d", "a.=.c"] {
        assert_eq!(read(&check, &answers, token), malformed, "{token}");
    }
    let twice = read(&check, &answers, &jwt("{\"aud\":1,\"aud\":2}"));
    assert!(
        matches!(twice, Err(CheckError::Rejected(Rejection::Json { .. }))),
        "{twice:?}"
    );
}

#[test]
fn a_token_that_nothing_is_read_from_may_be_opaque() {
    let check = HttpCheck {
        calls: Vec::new(),
        claims: vec![("sub".to_owned(), source(Document::Answer(0), "/id"))],
        equal: Vec::new(),
        timeout: TIMEOUT,
    };
    let claims = read(&check, &[json!({"id": "u1"})], "opaque");
    assert_eq!(claims.as_deref(), Ok(r#"{"sub":"u1"}"#));
}

#[test]
fn answers_about_two_users_are_no_answer() {
    let check = HttpCheck {
        calls: Vec::new(),
        claims: vec![
            ("one".to_owned(), source(Document::Answer(0), "/one")),
            ("two".to_owned(), source(Document::Answer(0), "/two")),
        ],
        equal: vec![("one".to_owned(), "two".to_owned())],
        timeout: TIMEOUT,
    };
    assert!(read(&check, &[json!({"one": "a", "two": "a"})], "t").is_ok());
    for answer in [
        json!({"one": "a", "two": "b"}),
        json!({"one": "a"}),
        json!({"two": "a"}),
        // Neither says anything: that is no agreement.
        json!({}),
    ] {
        let differ = Err(Rejection::ClaimsDiffer.into());
        assert_eq!(read(&check, std::slice::from_ref(&answer), "t"), differ);
    }
}
