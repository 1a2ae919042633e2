//! What all parts of the measurement share.

use std::path::{Path, PathBuf};

use super::{
    comparison::{Comparison, Title, Turn},
    config::Config,
    idp::{Answer, DISCOVERY, Idp, JWKS, jwks},
    mint::{CACHED, Signature},
    report::Report,
    sample::Candidate,
    server::Server,
};

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Turns of each comparison.
    pub turns: usize,
    /// Divides the number of calls, and large sizes.
    pub divisor: usize,
    /// Distinct tokens for the memory figure.
    pub tokens: usize,
    /// Starts.
    pub starts: usize,
}

/// The place, and the book of results.
pub struct Lab {
    pub service: PathBuf,
    pub idp: Idp,
    /// Its own, which most tokens are of.
    pub issuer: [String; 1],
    pub effort: Effort,
    only: String,
    made: usize,
    pub report: Report,
}

impl Lab {
    pub fn new(service: &Path, only: &str, effort: Effort, report: Report) -> Self {
        let idp = Idp::start();
        let keys = Signature::ALL.map(|signature| (signature.key_id(), signature.key()));
        idp.publish(&keys);
        Self {
            service: service.to_owned(),
            issuer: [idp.issuer.clone()],
            idp,
            effort,
            only: only.to_owned(),
            made: CACHED,
            report,
        }
    }

    /// Whether the reader has asked for it.
    pub fn wants(&self, text: &str) -> bool {
        text.contains(&self.only)
    }

    /// Whether any of them is wanted: what they share need not be built otherwise.
    pub fn wants_any(&self, titles: &[&Title]) -> bool {
        titles.iter().any(|title| self.wants(&title.text()))
    }

    /// Numbers of tokens that nobody has seen.
    pub fn fresh(&mut self, count: usize) -> std::ops::Range<usize> {
        let begin = self.made;
        self.made += count;
        begin..self.made
    }

    /// So many calls, or fewer.
    pub fn calls(&self, count: usize) -> usize {
        (count / self.effort.divisor).max(100)
    }

    /// A service, ready.
    pub fn serve(&self, config: &Config) -> Server {
        Server::service(&self.service, &config.yaml())
    }

    /// The smallest useful configuration.
    pub fn config(&self) -> Config {
        Config::of(&self.issuer)
    }

    /// So many issuers, all served by the one provider, the keys alike.
    pub fn issuers(&self, count: usize) -> Vec<String> {
        let keys = Signature::ALL.map(|signature| signature.key().jwk(signature.key_id()));
        let issuer = |number| {
            let path = format!("/realm-{number}");
            let issuer = format!("{}{path}", self.idp.issuer);
            let discovery = serde_json::json!({
                "issuer": issuer, "jwks_uri": format!("{issuer}{JWKS}"),
            });
            let answers = [(DISCOVERY, discovery.to_string()), (JWKS, jwks(&keys))];
            for (at, body) in answers {
                self.idp.answer(&format!("{path}{at}"), Answer::Json(body));
            }
            issuer
        };
        (0..count).map(issuer).collect()
    }

    /// Measures, prints and keeps a comparison.
    pub fn compare(
        &mut self,
        title: Title,
        candidates: &[Candidate<'_>],
        turn: impl FnMut(&mut Self) -> Turn,
    ) {
        self.compare_casts(title, &[candidates], turn);
    }

    /// The same, with several processes of each candidate, and as many turns for each of them.
    pub fn compare_casts<'c, C: AsRef<[Candidate<'c>]>>(
        &mut self,
        title: Title,
        casts: &[C],
        mut turn: impl FnMut(&mut Self) -> Turn,
    ) {
        if !self.wants(&title.text()) {
            return;
        }
        let turns = self.effort.turns * casts.len();
        let comparison = Comparison::measure(title, turns, casts, || turn(self));
        comparison.print();
        self.report.comparisons.push(comparison);
    }
}
