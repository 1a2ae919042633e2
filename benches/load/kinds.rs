//! Kinds of calls and numbers of callers: the service beside the floor.

use std::sync::Arc;

use tempfile::TempDir;

use super::{
    bare,
    calls::{Call, Recipe},
    comparison::{Title, Turn},
    config::Config,
    lab::Lab,
    load::Load,
    mint::{CACHED, Mint, Signature},
    own_tokens::Stock,
    sample::{Asked, Candidate},
    server::Server,
};

const CHECK: Recipe = Recipe::CHECK;
const FEW: Load = Load::closed(4, 4);
/// Connections, streams on each, calls.
const SHAPES: [(usize, usize, usize); 4] = [
    (1, 1, 10_000),
    (4, 4, 60_000),
    (4, 32, 80_000),
    (32, 1, 60_000),
];
/// Processes of each candidate.
const CASTS: usize = 3;
const SEEN_FIRST: [(Signature, usize); 3] = [
    (Signature::Rs256, 8_000),
    (Signature::Es256, 6_000),
    (Signature::EdDsa, 6_000),
];

/// The shapes of load, over TCP and over a Unix socket.
pub fn shapes(lab: &mut Lab) {
    let titles = SHAPES.map(|(connections, streams, calls)| {
        let load = Load::closed(connections, streams);
        (Title::new("shapes", "cached JWT", load), calls)
    });
    if !lab.wants_any(&titles.each_ref().map(|(title, _)| title)) {
        return;
    }
    let directory = TempDir::new().expect("a directory");
    let at = |name: &str, cast| {
        format!(
            "unix:{}",
            directory.path().join(format!("{name}{cast}")).display()
        )
    };
    let tcp = pairs(lab, &lab.config());
    let unix: Vec<_> = (0..CASTS)
        .map(|cast| {
            let mut config = lab.config();
            config.listen = at("service", cast);
            (Server::floor_at(&at("floor", cast)), lab.serve(&config))
        })
        .collect();
    let casts: Vec<_> = tcp
        .iter()
        .zip(&unix)
        .map(|(tcp, unix)| {
            [
                Candidate::floor(&tcp.0),
                Candidate::service(&tcp.1),
                Candidate::floor(&unix.0)
                    .named("floor, Unix socket")
                    .beside(2),
                Candidate::service(&unix.1)
                    .named("atlassian-authz, Unix socket")
                    .beside(2),
            ]
        })
        .collect();
    let calls = cached(lab);
    for (title, count) in titles {
        let count = lab.calls(count);
        lab.compare_casts(title, &casts, |_| {
            Turn::same_for_all(Asked::again(&calls, count))
        });
    }
}

/// Floors, and services with this configuration.
fn pairs(lab: &Lab, config: &Config) -> Vec<(Server, Server)> {
    let pair = |_| (Server::floor(), lab.serve(config));
    (0..CASTS).map(pair).collect()
}

/// The floor and the service of each pair.
fn casts(pairs: &[(Server, Server)]) -> Vec<[Candidate<'_>; 2]> {
    pairs
        .iter()
        .map(|(floor, service)| [Candidate::floor(floor), Candidate::service(service)])
        .collect()
}

/// Kinds of calls, all in the same shape.
pub fn kinds(lab: &mut Lab) {
    let title = |name: &str| Title::new("kinds", name, FEW);
    let titles = [
        "cached JWT",
        "no credential",
        "no credential, native",
        "bad signature",
    ]
    .map(title);
    let first = SEEN_FIRST.map(|(signature, _)| seen_first_title(signature));
    let both: Vec<_> = titles.iter().chain(&first).collect();
    if lab.wants_any(&both) {
        let pairs = pairs(lab, &lab.config());
        let candidates = casts(&pairs);
        let [known, nothing, native, spoilt] = titles;
        let calls = cached(lab);
        simple(lab, known, &candidates, (&calls, 60_000));
        for (signature, count) in SEEN_FIRST {
            seen_first(lab, &candidates, (signature, count), false);
        }
        simple(
            lab,
            nothing,
            &candidates,
            (&CHECK.without_credential(), 40_000),
        );
        simple(lab, native, &candidates, (&CHECK.native(), 40_000));
        if lab.wants(&spoilt.text()) {
            seen_first(lab, &candidates, (Signature::Rs256, 6_000), true);
        }
    }
    let own = title("API token");
    if lab.wants(&own.text()) {
        let stock = Stock::fill(lab.config(), 1_000);
        let pairs = pairs(lab, &stock.config);
        let candidates = casts(&pairs);
        simple(lab, own, &candidates, (&CHECK.with(&stock.held), 60_000));
    }
}

/// Calls with tokens that are used again and again.
pub fn cached(lab: &Lab) -> Arc<[Call]> {
    CHECK.with(&Mint::of(&lab.issuer, Signature::Rs256).tokens(0..CACHED))
}

fn simple(
    lab: &mut Lab,
    title: Title,
    casts: &[[Candidate<'_>; 2]],
    (calls, count): (&Arc<[Call]>, usize),
) {
    let count = lab.calls(count);
    lab.compare_casts(title, casts, |_| {
        Turn::same_for_all(Asked::again(calls, count))
    });
}

fn seen_first_title(signature: Signature) -> Title {
    let name = format!("{} seen first", signature.name());
    Title {
        signature: Some(signature.name()),
        ..Title::new("kinds", &name, FEW)
    }
}

/// Tokens that nobody has seen, or that are no good; and beside each turn the price of the mathematics alone.
fn seen_first(
    lab: &mut Lab,
    casts: &[[Candidate<'_>; 2]],
    (signature, count): (Signature, usize),
    spoilt: bool,
) {
    let title = if spoilt {
        Title {
            signature: Some(signature.name()),
            ..Title::new("kinds", "bad signature", FEW)
        }
    } else {
        seen_first_title(signature)
    };
    let count = lab.calls(count);
    let warm = cached(lab);
    lab.compare_casts(title, casts, |lab| {
        let tokens = Mint::of(&lab.issuer.clone(), signature).tokens(lab.fresh(count));
        let calls = if spoilt {
            CHECK.with_spoilt(&tokens)
        } else {
            CHECK.with(&tokens)
        };
        let asked = Asked {
            warm: Arc::clone(&warm),
            calls,
            count,
            looked_up: Some((0, count as u64)),
        };
        Turn {
            asked: vec![asked],
            bare: Some(bare::verify_us(signature, &tokens)),
        }
    });
}
