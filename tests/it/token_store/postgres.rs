//! What is peculiar to a server: who may do what, and whom it is.

use std::{fs, sync::Arc};

use atlassian_authz::{
    api_token::Owner,
    store::{
        CreateError, Family, OpenError, Patience, SchemaError, Store, StoreError, StoreLocation,
        Usage,
    },
};
use tempfile::TempDir;
use url::Url;

use super::database::{
    MANY, NOW, PATIENT, by, digest, issue, location, migrate, new_database, open, raw, runtime,
    shared, token,
};
use crate::support::postgres::{Postgres, psql};

const ROLES: &str = include_str!("../../../migrations/postgres/roles.sql");

#[test]
fn a_database_without_tables_or_with_newer_ones_is_told_so() {
    let server = shared();
    let url = new_database(&server);
    runtime().block_on(async {
        let opened = || async { Store::open(&location(&url), PATIENT).await.map(|_| ()) };
        assert_eq!(
            opened().await,
            Err(OpenError::Store(SchemaError::Empty.into()))
        );
        assert!(SchemaError::Empty.to_string().contains("token migrate"));
        migrate(&url).await;
        migrate(&url).await;
        assert_eq!(opened().await, Ok(()));
        raw(&url, "UPDATE api_token_migration SET version = 999")
            .await
            .unwrap();
        assert_eq!(
            opened().await,
            Err(OpenError::Store(SchemaError::Newer.into()))
        );
        raw(&url, "UPDATE api_token_migration SET version = 0")
            .await
            .unwrap();
        assert!(opened().await.is_err());
    });
}

/// The database of somebody who has read `roles.sql`: as `authz_migrate`, `authz_issue` and `authz_check`.
fn with_roles(server: &Postgres) -> [String; 3] {
    let admin = new_database(server);
    let name = Url::parse(&admin).unwrap().path()[1..].to_owned();
    let roles = ["authz_migrate", "authz_issue", "authz_check"];
    let urls = roles.map(|role| server.url(role, "pw", &name));
    psql(&admin, ROLES).unwrap();
    for role in roles {
        psql(&admin, &format!("ALTER ROLE {role} PASSWORD 'pw'")).unwrap();
    }
    runtime().block_on(migrate(&urls[0]));
    psql(&admin, ROLES).unwrap();
    psql(&admin, ROLES).unwrap();
    urls
}

#[test]
fn the_service_cannot_make_widen_or_revive_a_token() {
    // Roles belong to the whole cluster.
    let server = Postgres::start();
    let [_, issue_url, check_url] = with_roles(&server);
    runtime().block_on(async {
        let issuer = open(&issue_url).await;
        let checker = open(&check_url).await;
        let (issued, old) = issue();
        let mut new = token("alice");
        (new.id, new.digest) = (issued.id, old.clone());
        issuer.create(&new, MANY, by("alice")).await.unwrap();
        // Everything that the service does.
        checker.find(new.id).await.unwrap().unwrap();
        let uses = ["192.0.2.1", "198.51.100.1"].map(|from| Usage {
            id: new.id,
            at: NOW,
            from: from.parse().ok(),
        });
        assert_eq!(checker.record_usage(&uses).await.unwrap().len(), 1);
        assert_eq!(
            checker
                .rehash(new.id, &old.pepper, &digest("q", &issued))
                .await,
            Ok(true)
        );
        checker
            .note(&checker.record_usage(&[]).await.unwrap())
            .await
            .unwrap();
        checker.changes_since(0).await.unwrap();
        checker.summary(NOW).await.unwrap();
        let following = super::heard::Following::start(&checker);
        issuer
            .revoke(new.id, Family::Spared, "lost", by("alice"))
            .await
            .unwrap();
        following.hears_of(new.id);
        // And nothing else.
        let permission = StoreError::Refused("the role lacks a permission (see roles.sql)");
        let created = checker.create(&token("eve"), MANY, by("eve")).await;
        assert_eq!(created, Err(CreateError::Store(permission)));
        let enabled = checker.enable_owner(&Owner::new("alice"), by("eve")).await;
        assert_eq!(enabled, Err(permission));
        for attempt in [
            "INSERT INTO api_token SELECT * FROM api_token",
            "INSERT INTO api_token_owner (owner) VALUES ('eve')",
            "UPDATE api_token SET owner = 'admin'",
            "UPDATE api_token SET scope = '{}'",
            "UPDATE api_token SET expires_at = 9999999999",
            "UPDATE api_token SET revoked_at = NULL, revoked_by = NULL, revoke_reason = NULL",
            "UPDATE api_token SET revision = 0",
            "UPDATE api_token_revision SET revision = 0",
            "UPDATE api_token_network SET network = ''",
            "DELETE FROM api_token",
            "DELETE FROM api_token_event",
            "UPDATE api_token_event SET actor = 'eve'",
            "TRUNCATE api_token_event",
            "CREATE TABLE api_token_other (id TEXT)",
            "DROP TABLE api_token",
        ] {
            let denied = raw(&check_url, attempt).await.unwrap_err();
            assert!(
                denied.contains("permission denied") || denied.contains("must be owner"),
                "{attempt}: {denied}"
            );
        }
        for attempt in [
            "DELETE FROM api_token_event",
            "UPDATE api_token_event SET actor = 'eve'",
            "DROP TABLE api_token",
            "ALTER TABLE api_token_event DISABLE TRIGGER ALL",
        ] {
            let denied = raw(&issue_url, attempt).await.unwrap_err();
            assert!(
                denied.contains("permission denied") || denied.contains("must be owner"),
                "{attempt}: {denied}"
            );
        }
    });
}

#[test]
fn a_server_elsewhere_proves_who_it_is() {
    let directory = TempDir::new().unwrap();
    let (right, wrong) = (Authority::new(), Authority::new());
    let (certificate, key) = right.certificate("localhost");
    let server = Postgres::with_tls(&certificate, &key);
    let ca = |name: &str, authority: &Authority| {
        let path = directory.path().join(name);
        fs::write(&path, &authority.pem).unwrap();
        path.display().to_string()
    };
    let (right, wrong) = (ca("right.pem", &right), ca("wrong.pem", &wrong));
    let url = |host: &str, ca: &str| {
        let mut url = Url::parse(&server.url("postgres", server.password(), "postgres")).unwrap();
        url.set_host(Some(host)).unwrap();
        url.set_query(Some(&format!("sslmode=verify-full&sslrootcert={ca}")));
        url.to_string()
    };
    runtime().block_on(async {
        migrate(&url("localhost", &right)).await;
        open(&url("localhost", &right)).await;
        for refused in [url("127.0.0.1", &right), url("localhost", &wrong)] {
            let error = Store::open(&location(&refused), PATIENT)
                .await
                .err()
                .expect("not trusted");
            assert!(
                matches!(error, OpenError::Store(StoreError::Unreachable(_))),
                "{error}"
            );
            assert!(!error.to_string().contains(server.password()), "{error}");
        }
    });
}

struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = parameters.self_signed(&key).unwrap().pem();
        Self {
            issuer: rcgen::Issuer::new(parameters, key),
            pem,
        }
    }

    fn certificate(&self, name: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

#[test]
fn a_server_that_is_down_is_asked_when_it_is_needed() {
    let mut server = Postgres::start();
    let url = server.url("postgres", server.password(), "postgres");
    runtime().block_on(async {
        migrate(&url).await;
        server.stop();
        let store = Store::open_lazily(&location(&url), PATIENT).unwrap();
        let store = Arc::new(store);
        assert!(matches!(
            store.check().await,
            Err(StoreError::Unreachable(_))
        ));
        server.restart();
        store.check().await.unwrap();
        let id = token("alice");
        store.create(&id, MANY, by("alice")).await.unwrap();
        // Nobody has to begin again when the server does: what is broken is replaced before it is used.
        server.restart();
        assert!(store.find(id.id).await.unwrap().is_some());
        let wrong = StoreLocation::parse(
            &server.url("postgres", "swordfish", "postgres"),
            std::path::Path::new("/"),
            false,
        )
        .unwrap();
        let error = Store::open(&wrong, Patience::default())
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("credentials") && !error.contains("swordfish"),
            "{error}"
        );
    });
}
