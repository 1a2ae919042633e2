//! How the cost of a check grows with what is configured, stored and sent.

use std::{ops::Range, sync::Arc};

use super::{
    calls::{Call, Recipe},
    comparison::{Title, Turn},
    config::Config,
    kinds::cached,
    lab::Lab,
    load::Load,
    mint::{CACHED, Held, Mint, Signature},
    own_tokens::Stock,
    sample::{Asked, Candidate},
    server::Server,
};

const CHECK: Recipe = Recipe::CHECK;
const FEW: Load = Load::closed(4, 4);
const CALLS: usize = 60_000;
const PROVIDERS: [usize; 2] = [1, 100];
const APPLICATIONS: [usize; 3] = [1, 10, 1_000];
const RULES: [usize; 3] = [0, 10, 100];
const STORED: [usize; 3] = [1_000, 100_000, 1_000_000];
const REMEMBERED: [usize; 2] = [10, 100_000];
const TOKEN_BYTES: [usize; 3] = [512, 2_048, 8_192];
const HEADERS: [usize; 2] = [10, 60];

/// All of it.
pub fn measure(lab: &mut Lab) {
    providers(lab);
    let configured = |lab: &Lab, size| Config {
        applications: size,
        ..lab.config()
    };
    configurations(lab, "applications", &APPLICATIONS, configured);
    let configured = |lab: &Lab, size| Config {
        rules: size,
        ..lab.config()
    };
    configurations(lab, "access rules", &RULES, configured);
    stored(lab);
    remembered(lab);
    sent(lab, "bytes of the token", &TOKEN_BYTES, |lab, bytes| {
        let mint = Mint {
            bytes: Some(bytes),
            ..Mint::of(&lab.issuer, Signature::EdDsa)
        };
        CHECK.with(&mint.tokens(0..CACHED))
    });
    sent(lab, "headers of the request", &HEADERS, |lab, headers| {
        let recipe = Recipe {
            headers: Some(headers),
            ..CHECK
        };
        recipe.with(&Mint::of(&lab.issuer, Signature::Rs256).tokens(0..CACHED))
    });
}

fn title(growing: &'static str) -> Title {
    Title {
        growing: Some(growing),
        ..Title::new("growth", growing, FEW)
    }
}

/// One service for each size.
fn sized<'a>(services: &'a [Server], sizes: &[usize]) -> Vec<Candidate<'a>> {
    let sized = services.iter().zip(sizes);
    sized
        .map(|(service, size)| Candidate::service(service).sized(*size))
        .collect()
}

/// The same calls to services that are configured differently.
fn configurations(
    lab: &mut Lab,
    growing: &'static str,
    sizes: &[usize],
    config: impl Fn(&Lab, usize) -> Config,
) {
    let title = title(growing);
    if !lab.wants(&title.text()) {
        return;
    }
    let services: Vec<_> = sizes
        .iter()
        .map(|size| lab.serve(&config(lab, *size)))
        .collect();
    let asked = Asked::again(&cached(lab), lab.calls(CALLS));
    lab.compare(title, &sized(&services, sizes), |_| {
        Turn::same_for_all(asked.clone())
    });
}

/// Tokens of all of them, remembered and seen first.
fn providers(lab: &mut Lab) {
    let remembered = title("providers");
    let first = Title {
        growing: Some("providers, ES256 seen first"),
        ..Title::new("growth", "providers, ES256 seen first", FEW)
    };
    if !lab.wants_any(&[&remembered, &first]) {
        return;
    }
    let issuers = PROVIDERS.map(|size| lab.issuers(size));
    let services = [&issuers[0], &issuers[1]].map(|issuers| lab.serve(&Config::of(issuers)));
    let calls = |signature, numbers: Range<usize>| {
        let issuers = [&issuers[0], &issuers[1]];
        issuers.map(|issuers| CHECK.with(&Mint::of(issuers, signature).tokens(numbers.clone())))
    };
    let candidates = sized(&services, &PROVIDERS);
    let count = lab.calls(CALLS);
    let known = calls(Signature::Rs256, 0..PROVIDERS[1]);
    let asked = known.each_ref().map(|calls| Asked::again(calls, count));
    lab.compare(remembered, &candidates, |_| Turn {
        asked: asked.to_vec(),
        bare: None,
    });
    let count = lab.calls(CALLS / 10);
    lab.compare(first, &candidates, |lab| {
        let fresh = calls(Signature::Es256, lab.fresh(count));
        let asked = known.iter().zip(fresh).map(|(warm, calls)| Asked {
            warm: Arc::clone(warm),
            calls,
            count,
            looked_up: Some((0, count as u64)),
        });
        Turn {
            asked: asked.collect(),
            bare: None,
        }
    });
}

/// API tokens in the store; a few of them are used.
fn stored(lab: &mut Lab) {
    let title = title("API tokens in the store");
    if !lab.wants(&title.text()) {
        return;
    }
    let sizes = STORED.map(|size| (size / lab.effort.divisor).max(CACHED));
    let stocks = sizes.map(|size| Stock::fill(lab.config(), size));
    let services = stocks.each_ref().map(|stock| lab.serve(&stock.config));
    let count = lab.calls(CALLS);
    let asked = stocks
        .each_ref()
        .map(|stock| Asked::again(&CHECK.with(&stock.held), count));
    lab.compare(title, &sized(&services, &STORED), |_| Turn {
        asked: asked.to_vec(),
        bare: None,
    });
    for (size, stock) in STORED.iter().zip(&stocks) {
        let took = stock.lookup_us;
        println!("  a question to a store of {size:>9} tokens: {took:.0} us");
    }
}

/// Tokens that are remembered, and all in use.
fn remembered(lab: &mut Lab) {
    let title = title("cached tokens");
    if !lab.wants(&title.text()) {
        return;
    }
    let sizes = REMEMBERED.map(|size| (size / lab.effort.divisor).max(REMEMBERED[0]));
    let config = Config {
        remembered: Some(REMEMBERED[1] * 2),
        ..lab.config()
    };
    let services = sizes.map(|_| lab.serve(&config));
    let tokens: Vec<Held> = Mint::of(&lab.issuer, Signature::EdDsa).tokens(0..sizes[1]);
    let count = lab.calls(CALLS).max(sizes[1]);
    let asked = sizes.map(|size| Asked {
        // Once is enough: what is remembered of the turn before is still there.
        looked_up: Some((count as u64, 0)),
        ..Asked::again(&CHECK.with(&tokens[..size]), count)
    });
    lab.compare(title, &sized(&services, &REMEMBERED), |_| Turn {
        asked: asked.to_vec(),
        bare: None,
    });
}

/// Calls that grow, beside the floor, which has to read them, too.
fn sent(
    lab: &mut Lab,
    growing: &'static str,
    sizes: &[usize],
    calls: impl Fn(&Lab, usize) -> Arc<[Call]>,
) {
    let title = title(growing);
    if !lab.wants(&title.text()) {
        return;
    }
    let (floor, service) = (Server::floor(), lab.serve(&lab.config()));
    let count = lab.calls(CALLS / 2);
    let mut candidates = Vec::new();
    let mut asked = Vec::new();
    for size in sizes {
        let base = candidates.len();
        candidates.push(Candidate::floor(&floor).sized(*size).beside(base));
        candidates.push(Candidate::service(&service).sized(*size).beside(base));
        let again = Asked::again(&calls(lab, *size), count);
        asked.extend([again.clone(), again]);
    }
    lab.compare(title, &candidates, |_| Turn {
        asked: asked.clone(),
        bare: None,
    });
}
