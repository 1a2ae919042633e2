//! From what is written to what it means, collecting every problem on the way.

mod access;
mod admin;
mod api_tokens;
mod application;
mod listen;
mod marks;
mod provider;
mod secret;
mod tracing;

use std::{
    collections::BTreeSet,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::SignedDuration;

use super::{
    Config, Limits, Shutdown,
    document::{Document, words},
    inputs::Inputs,
    problem::{Problem, Problems},
    schema,
};
use crate::{
    outbound::UrlPolicy,
    response::{HeaderNameError, IdentityHeader},
};

/// Longest allowed `limits.cache_ttl`.
const LONGEST_CACHE_TTL: Duration = Duration::from_mins(5);

/// Works the file out.
pub(super) fn resolve(
    file: schema::File,
    document: &Document,
    base: &Path,
    inputs: &mut Inputs,
) -> Result<Config, Problems> {
    let mut resolver = Resolver {
        document,
        base,
        inputs,
        problems: Vec::new(),
    };
    let urls = UrlPolicy {
        allow_loopback_http: file.outbound.allow_loopback_http,
    };
    let listen = resolver.listen(&file.listen);
    let tracing = file.tracing.as_ref();
    let tracing = tracing.and_then(|written| resolver.tracing(written));
    let identity_header = resolver.identity_header(&file);
    let limits = resolver.limits(&file.limits);
    let shutdown = resolver.shutdown(&file.shutdown);
    let (providers, written) = resolver.providers(&file.providers, urls);
    let api_tokens = file.api_tokens.as_ref();
    let api_tokens = api_tokens.and_then(|written| resolver.api_tokens(written));
    let applications = resolver.applications(&file, &providers);
    let admin = resolver.admin(&file, &providers);

    match (
        listen,
        identity_header,
        providers.into_iter().collect::<Option<Vec<_>>>(),
    ) {
        (Some(listen), Some(identity_header), Some(providers)) if resolver.problems.is_empty() => {
            let effective = schema::File {
                providers: written,
                ..file
            };
            let log = effective.log;
            Ok(Config {
                listen,
                log,
                tracing,
                identity_header,
                urls,
                enforcement: effective.enforcement,
                trusted_hops: effective.client_address.trusted_hops,
                providers,
                api_tokens,
                admin,
                applications,
                limits,
                shutdown,
                effective,
                edition: resolver.inputs.whole(),
            })
        }
        _ => Err(Problems::sorted(resolver.problems)),
    }
}

/// `5m`, as an operator would write it.
fn in_words(duration: Duration) -> String {
    const A_DAY: u64 = 24 * 60 * 60;
    match duration.as_secs() {
        seconds if seconds >= 2 * A_DAY && seconds.is_multiple_of(A_DAY) => {
            format!("{}d", seconds / A_DAY)
        }
        _ => SignedDuration::try_from(duration).map_or_else(
            |_too_long| format!("{duration:?}"),
            |duration| format!("{duration:#}"),
        ),
    }
}

/// What all sections share: the place of every problem.
struct Resolver<'d> {
    document: &'d Document,
    base: &'d Path,
    inputs: &'d mut Inputs,
    problems: Vec<Problem>,
}

impl Resolver<'_> {
    fn problem(&mut self, pointer: &str, message: impl Into<String>) {
        self.problems
            .push(self.document.problem(pointer, message.into()));
    }

    /// A path in the file is relative to the file.
    fn path(&self, written: &str) -> PathBuf {
        self.base.join(written)
    }

    /// Two equal names would make one of them unreachable.
    fn unique(&mut self, what: &str, names: &[(String, &str)]) {
        let mut seen = BTreeSet::new();
        for (pointer, name) in names {
            if !seen.insert(name) {
                self.problem(pointer, format!("{what} '{name}' is there twice"));
            }
        }
    }

    fn name(&mut self, pointer: &str, name: &str) {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if name.is_empty() || name.len() > 63 || !name.bytes().all(plain) {
            self.problem(
                pointer,
                format!("'name' must be 1 to 63 letters, digits, '-' or '_', not '{name}'"),
            );
        }
    }

    fn duration(&mut self, pointer: &str, text: &str, range: RangeInclusive<Duration>) -> Duration {
        let why = match super::duration(text) {
            Some(duration) if range.contains(&duration) => return duration,
            Some(duration) if duration > *range.end() => {
                format!("must be at most {}, not {text}", in_words(*range.end()))
            }
            Some(_) => format!("must be at least {}, not {text}", in_words(*range.start())),
            None => format!("must be a duration such as 30s, 5m or 24h, not '{text}'"),
        };
        self.problem(pointer, format!("{} {why}", words::quoted(pointer)));
        Duration::ZERO
    }

    fn identity_header(&mut self, file: &schema::File) -> Option<IdentityHeader> {
        match IdentityHeader::new(&file.identity_header, &file.identity_header_aliases) {
            Ok(header) => Some(header),
            Err(HeaderNameError::Identity(why)) => {
                let name = &file.identity_header;
                self.problem(
                    "/identity_header",
                    format!("'identity_header' '{name}' {why}"),
                );
                None
            }
            Err(HeaderNameError::Alias(index, why)) => {
                let name = file
                    .identity_header_aliases
                    .get(index)
                    .map_or("", String::as_str);
                self.problem(
                    &format!("/identity_header_aliases/{index}"),
                    format!("'{name}' in 'identity_header_aliases' {why}"),
                );
                None
            }
        }
    }

    fn limits(&mut self, limits: &schema::Limits) -> Limits {
        Limits {
            check_timeout: self.duration(
                "/limits/check_timeout",
                &limits.check_timeout,
                Duration::from_millis(20)..=Duration::from_mins(1),
            ),
            cache_ttl: self.duration(
                "/limits/cache_ttl",
                &limits.cache_ttl,
                Duration::ZERO..=LONGEST_CACHE_TTL,
            ),
            cache_entries: limits.cache_entries,
            cache_bytes: limits.cache_bytes,
        }
    }

    fn shutdown(&mut self, shutdown: &schema::Shutdown) -> Shutdown {
        let an_hour = Duration::ZERO..=Duration::from_hours(1);
        Shutdown {
            drain_delay: self.duration(
                "/shutdown/drain_delay",
                &shutdown.drain_delay,
                an_hour.clone(),
            ),
            drain_timeout: self.duration(
                "/shutdown/drain_timeout",
                &shutdown.drain_timeout,
                an_hour,
            ),
            max_connection_age: self.duration(
                "/shutdown/max_connection_age",
                &shutdown.max_connection_age,
                Duration::from_secs(1)..=Duration::from_hours(24),
            ),
        }
    }
}
