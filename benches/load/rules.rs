//! Access rules: what a check of a remembered token costs with none of them, with ten, and with a hundred.

use std::{fmt::Write, path::Path};

use super::{
    Effort,
    calls::{self, Answerer, Signature},
    client::Shape,
    report::{Measured, Pair, Report, Sample},
    server::{self, Server},
};

const NUMBERS: [usize; 3] = [0, 10, 100];
const TOKENS: usize = 64;
const CALLS: usize = 60_000;
const SHAPE: Shape = Shape {
    connections: 4,
    streams: 4,
};

/// Floor, service without rules, floor, service with ten, floor, …
pub fn measure(binary: &Path, issuer: &str, effort: Effort, report: &mut Report) {
    let calls = calls::with_tokens(&calls::tokens(issuer, Signature::Rs256, 0..TOKENS));
    let count = CALLS / effort.divisor;
    let floor = Server::floor();
    let services = NUMBERS.map(|number| Server::service(binary, &config(issuer, number)));
    let mut measured =
        NUMBERS.map(|number| Measured::new(format!("access rules, {number}, 4 x 4"), SHAPE, None));
    for _ in 0..effort.pairs {
        for (service, measured) in services.iter().zip(&mut measured) {
            measured.pairs.push(Pair {
                floor: Sample::take(&floor, Answerer::Floor, SHAPE, &calls, count),
                service: Sample::take(service, Answerer::Service, SHAPE, &calls, count),
                bare: None,
            });
        }
    }
    for measured in measured {
        report.add(measured);
    }
}

/// Rules as operators write them: about users, clients, paths, groups that nobody is in.
fn config(issuer: &str, rules: usize) -> String {
    let mut config = server::config(issuer);
    if rules > 0 {
        config.push_str("    access:\n      rules:\n");
    }
    for number in 0..rules {
        let expression = match number % 4 {
            0 => format!("identity.username == 'svc-{number}' && request.operation == 'write'"),
            1 => format!("request.resource.startsWith('/rest/admin-{number}')"),
            2 => format!(
                "identity.client == 'client-{number}' || 'scope-{number}' in identity.scopes"
            ),
            _ => format!("request.method == 'DELETE' && request.path.endsWith('/{number}')"),
        };
        writeln!(
            config,
            "        - {{ name: r{number}, deny: \"{expression}\" }}"
        )
        .expect("text");
    }
    config
}
