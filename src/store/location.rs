//! Where the store is, as an operator writes it.

use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
};

use url::Url;

/// A database that may be connected to. Prints neither its address nor its password.
#[derive(Clone)]
pub struct StoreLocation(pub(super) Place);

#[derive(Clone)]
pub(super) enum Place {
    Sqlite(PathBuf),
    Postgres(Url),
}

/// Why a text is not such a place. Repeats nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// Neither of the two.
    #[error("it must begin with sqlite:// (a file) or postgres:// (a server)")]
    Scheme,
    /// A file that SQLite would read otherwise than it is written.
    #[error("the path of an SQLite file must be there, without '?', '#' and '%'")]
    Path,
    /// Not a URL.
    #[error(
        "it is not a URL: characters of a password such as '@', '/' or '#' are written as %40, %2F, %23"
    )]
    Malformed,
    /// Otherwise the environment would decide which database it is.
    #[error(
        "it must name a user, a host (for a socket: localhost, and ?host=/its/directory) and a database"
    )]
    Incomplete,
    /// Misspelt, it would silently do nothing.
    #[error(
        "it has a parameter that is unknown or there twice; known are host, sslmode, sslrootcert, sslcert, sslkey, application_name"
    )]
    Parameter,
    /// What travels to another machine would be readable, or could be answered by anybody.
    #[error(
        "a server on another machine needs sslmode=verify-full (and sslrootcert=, if its CA is not a public one)"
    )]
    Insecure,
}

/// What may follow the `?`.
const PARAMETERS: [&str; 6] = [
    "host",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "application_name",
];

impl StoreLocation {
    /// Reads a URL; relative paths in it are relative to `base`. Only with `accept_insecure` may a server on
    /// another machine be spoken to without TLS that proves who it is.
    pub fn parse(url: &str, base: &Path, accept_insecure: bool) -> Result<Self, LocationError> {
        if let Some(path) = url.strip_prefix("sqlite://") {
            if path.is_empty() || path.contains(['?', '#', '%', '\0']) || path == ":memory:" {
                return Err(LocationError::Path);
            }
            return Ok(Self(Place::Sqlite(base.join(path))));
        }
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(LocationError::Scheme);
        }
        let url = Url::parse(url).map_err(|_says_too_much| LocationError::Malformed)?;
        server(url, base, accept_insecure).map(|url| Self(Place::Postgres(url)))
    }

    /// Whether the text holds a password, which a configuration file must not.
    pub fn has_password(&self) -> bool {
        match &self.0 {
            Place::Sqlite(_) => false,
            Place::Postgres(url) => url.password().is_some(),
        }
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match &self.0 {
            Place::Sqlite(path) => Some(path),
            Place::Postgres(_) => None,
        }
    }
}

fn server(mut url: Url, base: &Path, accept_insecure: bool) -> Result<Url, LocationError> {
    let mut parameters: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let mut names: Vec<&str> = parameters.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let twice = names.windows(2).any(|pair| pair.first() == pair.last());
    if twice || !names.iter().all(|name| PARAMETERS.contains(name)) {
        return Err(LocationError::Parameter);
    }
    let value_of = |wanted: &str| {
        let found = parameters.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_str())
    };
    let host = value_of("host")
        .or_else(|| url.host_str())
        .unwrap_or_default();
    let database = url.path().trim_start_matches('/');
    if host.is_empty() || url.username().is_empty() || database.is_empty() || database.contains('/')
    {
        return Err(LocationError::Incomplete);
    }
    let here = is_here(host);
    match value_of("sslmode") {
        Some("verify-full") => {}
        Some(_) if !here && !accept_insecure => return Err(LocationError::Insecure),
        Some(_) => {}
        // Said here, for otherwise the environment would say it.
        None => parameters.push((
            "sslmode".to_owned(),
            if here { "prefer" } else { "verify-full" }.to_owned(),
        )),
    }
    for (name, value) in &mut parameters {
        if matches!(name.as_str(), "sslrootcert" | "sslcert" | "sslkey") {
            *value = base.join(&*value).display().to_string();
        }
    }
    url.query_pairs_mut().clear().extend_pairs(parameters);
    url.set_fragment(None);
    Ok(url)
}

/// Whether nobody but this machine sees what is sent there.
fn is_here(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.starts_with('/')
        || host
            .get(..3)
            .is_some_and(|start| start.eq_ignore_ascii_case("%2f"))
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

impl fmt::Debug for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Place::Sqlite(_) => "sqlite",
            Place::Postgres(_) => "postgres",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<StoreLocation, LocationError> {
        StoreLocation::parse(url, Path::new("/base"), false)
    }

    fn server_url(url: &str) -> String {
        match parse(url).expect("a place").0 {
            Place::Postgres(url) => url.to_string(),
            Place::Sqlite(_) => panic!("not a file"),
        }
    }

    #[test]
    fn a_file_is_relative_to_the_base() {
        let file = |url: &str| {
            parse(url)
                .expect("a file")
                .file()
                .expect("a file")
                .to_owned()
        };
        assert_eq!(file("sqlite:///var/lib/a.db"), Path::new("/var/lib/a.db"));
        assert_eq!(file("sqlite://a.db"), Path::new("/base/a.db"));
        for wrong in [
            "sqlite://",
            "sqlite://a?mode=ro",
            "sqlite://a#b",
            "sqlite://%41",
            "sqlite://:memory:",
        ] {
            assert_eq!(parse(wrong).err(), Some(LocationError::Path), "{wrong}");
        }
    }

    #[test]
    fn a_server_elsewhere_must_prove_who_it_is() {
        assert!(server_url("postgres://u@db.example/d").ends_with("?sslmode=verify-full"));
        for mode in ["disable", "allow", "prefer", "require", "verify-ca", ""] {
            let url = format!("postgresql://u@db.example/d?sslmode={mode}");
            assert_eq!(parse(&url).err(), Some(LocationError::Insecure), "{mode}");
            assert!(StoreLocation::parse(&url, Path::new("/"), true).is_ok());
        }
        // The parameter decides, not what is written where the host is expected.
        let hidden = "postgres://u@localhost/d?host=db.example&sslmode=disable";
        assert_eq!(parse(hidden).err(), Some(LocationError::Insecure));
    }

    #[test]
    fn a_server_here_may_do_without() {
        for host in [
            "localhost",
            "127.0.0.1",
            "127.8.0.1",
            "[::1]",
            "%2Fvar%2Frun",
        ] {
            let url = server_url(&format!("postgres://u@{host}/d"));
            assert!(url.ends_with("?sslmode=prefer"), "{url}");
        }
        assert!(server_url("postgres://u@localhost/d?host=/run").contains("sslmode=prefer"));
    }

    #[test]
    fn nothing_is_left_to_the_environment_or_to_a_typing_error() {
        for (wrong, why) in [
            ("postgres:///d", LocationError::Incomplete),
            ("postgres://localhost/d", LocationError::Incomplete),
            ("postgres://u@localhost", LocationError::Incomplete),
            (
                "postgres://u@localhost/d?ssl-mode=disable",
                LocationError::Parameter,
            ),
            (
                "postgres://u@localhost/d?password=x",
                LocationError::Parameter,
            ),
            (
                "postgres://u@h/d?sslmode=verify-full&sslmode=disable",
                LocationError::Parameter,
            ),
            ("mysql://u@localhost/d", LocationError::Scheme),
            ("postgres://u:p/w@localhost/d", LocationError::Malformed),
        ] {
            assert_eq!(parse(wrong).err(), Some(why), "{wrong}");
        }
    }

    #[test]
    fn certificates_are_relative_to_the_base_too() {
        let url = server_url("postgres://u@db.example/d?sslrootcert=ca.pem");
        assert!(url.contains("sslrootcert=%2Fbase%2Fca.pem"), "{url}");
    }

    #[test]
    fn a_password_is_noticed_and_never_printed() {
        let place = parse("postgres://u:swordfish@localhost/d").expect("a place");
        assert!(place.has_password() && !format!("{place:?}").contains("sword"));
        assert!(
            !parse("postgres://u@localhost/d")
                .expect("a place")
                .has_password()
        );
        let error = parse("postgres://u:swordfish@db.example/d?sslmode=disable").err();
        assert!(!error.expect("insecure").to_string().contains("swordfish"));
    }
}
