//! From what is written to what it means, collecting every problem on the way.

mod application;
mod provider;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::SignedDuration;

use super::{
    Config, GrpcAddress, Limits, Listen, Shutdown,
    document::Document,
    problem::{Problem, Problems},
    schema,
};
use crate::{
    outbound::UrlPolicy,
    response::{HeaderNameError, IdentityHeader},
};

/// Longest allowed `limits.cache_ttl`: a withdrawn user is out after this time at the latest.
const LONGEST_CACHE_TTL: Duration = Duration::from_mins(5);

/// Works the file out.
pub(super) fn resolve(
    file: schema::File,
    document: &Document,
    base: &Path,
) -> Result<Config, Problems> {
    let mut resolver = Resolver { document, base, problems: Vec::new() };
    let urls = UrlPolicy { allow_loopback_http: file.outbound.allow_loopback_http };
    let listen = resolver.listen(&file.listen);
    let identity_header = resolver.identity_header(&file);
    let limits = resolver.limits(&file.limits);
    let shutdown = resolver.shutdown(&file.shutdown);
    let (providers, written) = resolver.providers(&file.providers, urls);
    let applications = resolver.applications(&file.applications, &file.providers, &providers);

    match (listen, identity_header, providers.into_iter().collect::<Option<Vec<_>>>()) {
        (Some(listen), Some(identity_header), Some(providers)) if resolver.problems.is_empty() => {
            let effective = schema::File { providers: written, ..file };
            let log = effective.log;
            Ok(Config {
                listen,
                log,
                identity_header,
                urls,
                providers,
                applications,
                limits,
                shutdown,
                effective,
            })
        }
        _ => Err(Problems::sorted(resolver.problems)),
    }
}

/// What all sections share: the place of every problem.
struct Resolver<'d> {
    document: &'d Document,
    base: &'d Path,
    problems: Vec<Problem>,
}

impl Resolver<'_> {
    fn problem(&mut self, pointer: &str, message: impl Into<String>) {
        self.problems.push(self.document.problem(pointer, message.into()));
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
            self.problem(pointer, "'name' must be 1 to 63 letters, digits, '-' or '_'");
        }
    }

    fn duration(&mut self, pointer: &str, text: &str, longest: Duration) -> Duration {
        let parsed: Option<Duration> =
            text.parse::<SignedDuration>().ok().and_then(|duration| duration.try_into().ok());
        match parsed {
            Some(duration) if duration <= longest => duration,
            Some(_) => {
                self.problem(pointer, format!("must be at most {}s", longest.as_secs()));
                Duration::ZERO
            }
            None => {
                self.problem(pointer, format!("'{text}' is not a duration such as 30s, 5m or 24h"));
                Duration::ZERO
            }
        }
    }

    fn listen(&mut self, listen: &schema::Listen) -> Option<Listen> {
        let grpc = match listen.grpc.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Some(GrpcAddress::Unix(PathBuf::from(path))),
            Some(_) => None,
            None => listen.grpc.parse().ok().map(GrpcAddress::Tcp),
        };
        if grpc.is_none() {
            self.problem("/listen/grpc", "must be ADDRESS:PORT, as 0.0.0.0:9001, or unix:/path");
        }
        let admin = listen.admin.parse().ok();
        if admin.is_none() {
            self.problem("/listen/admin", "must be ADDRESS:PORT, as 127.0.0.1:9002");
        }
        Some(Listen { grpc: grpc?, admin: admin? })
    }

    fn identity_header(&mut self, file: &schema::File) -> Option<IdentityHeader> {
        match IdentityHeader::new(&file.identity_header, &file.identity_header_aliases) {
            Ok(header) => Some(header),
            Err(HeaderNameError::Identity(why)) => {
                self.problem("/identity_header", why);
                None
            }
            Err(HeaderNameError::Alias(index, why)) => {
                self.problem(&format!("/identity_header_aliases/{index}"), why);
                None
            }
        }
    }

    fn limits(&mut self, limits: &schema::Limits) -> Limits {
        let check_timeout =
            self.duration("/limits/check_timeout", &limits.check_timeout, Duration::from_mins(1));
        if check_timeout < Duration::from_millis(20) {
            self.problem("/limits/check_timeout", "must be at least 20ms");
        }
        if limits.cache_bytes < 64 * 1024 {
            self.problem("/limits/cache_bytes", "must be at least 65536");
        }
        if limits.cache_entries == 0 {
            self.problem("/limits/cache_entries", "must be at least 1");
        }
        Limits {
            check_timeout,
            cache_ttl: self.duration("/limits/cache_ttl", &limits.cache_ttl, LONGEST_CACHE_TTL),
            cache_entries: limits.cache_entries,
            cache_bytes: limits.cache_bytes,
        }
    }

    fn shutdown(&mut self, shutdown: &schema::Shutdown) -> Shutdown {
        let hour = Duration::from_hours(1);
        let age = "/shutdown/max_connection_age";
        let max_connection_age =
            self.duration(age, &shutdown.max_connection_age, Duration::from_hours(24));
        if max_connection_age < Duration::from_secs(1) {
            self.problem(age, "must be at least 1s");
        }
        Shutdown {
            drain_delay: self.duration("/shutdown/drain_delay", &shutdown.drain_delay, hour),
            drain_timeout: self.duration("/shutdown/drain_timeout", &shutdown.drain_timeout, hour),
            max_connection_age,
        }
    }
}
