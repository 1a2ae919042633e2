//! Every secret that was sent, and the search for it in whatever was written.

use std::sync::Mutex;

/// In every opaque token and in a claim of every JWT.
pub const MARK: &str = "cnry";
/// `{"` in base64url: so begin the header and the payload of every JWT, and nothing that may be written.
const JSON: &str = "eyJ";

/// The secrets of a test. Those that no mark is in are kept one by one.
#[derive(Default)]
pub struct Canaries(Mutex<Vec<(String, String)>>);

impl Canaries {
    pub fn keep(&self, what: &str, secret: &str) {
        assert!(secret.len() > 12, "{what} would be found by chance");
        let kept = (what.to_owned(), secret.to_owned());
        self.0.lock().unwrap().push(kept);
    }

    /// A JWT: its beginnings are known, its signature is not.
    pub fn keep_jwt(&self, what: &str, token: &str) {
        let (_, signature) = token.rsplit_once('.').expect("a JWT");
        self.keep(what, signature);
    }

    /// One of our own: its id may be told, its secret may not.
    pub fn keep_own(&self, what: &str, token: &str) {
        let (_, secret) = token.rsplit_once('_').expect("a token of ours");
        self.keep(what, secret);
    }

    #[track_caller]
    pub fn assert_none_in(&self, place: &str, text: &str) {
        for mark in [MARK, JSON] {
            let line = text.lines().find(|line| line.contains(mark));
            assert_eq!(line, None, "{place}: a token");
        }
        let kept = self.0.lock().unwrap();
        for (what, secret) in kept.iter() {
            assert!(!text.contains(secret), "{place}: {what}");
        }
    }
}
