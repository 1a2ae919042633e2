//! What is peculiar to a file.

use std::{fs, io::Write, os::unix::fs::PermissionsExt, path::Path, process::Command};

use atlassian_authz::{
    api_token::{ApiToken, IssuedToken, Owner, Peppers},
    store::{CreateError, Family, FileError, OpenError, SchemaError, Store, StoreError},
};
use sqlx::{Connection, Executor, SqliteConnection};
use tempfile::TempDir;

use super::{
    database::{MANY, PATIENT, by, location, open, raw, runtime, token},
    heard::Following,
};
use crate::support::eventually;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn nobody_else_reads_or_writes_the_file() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("tokens.db");
    let place = location(&format!("sqlite://{}", path.display()));
    let opened = || runtime().block_on(async { Store::open(&place, PATIENT).await.map(|_| ()) });
    let beside = |end: &str| directory.path().join(format!("tokens.db{end}"));
    runtime().block_on(async {
        let store = Store::open(&place, PATIENT).await.unwrap();
        store
            .create(&token("alice"), MANY, by("alice"))
            .await
            .unwrap();
        for end in ["", "-wal", "-shm"] {
            assert_eq!(mode(&beside(end)), 0o600, "{end}");
        }
    });
    // Connections are closed by threads of their own: the last one takes the file away. To write over it before would
    // destroy what is in it.
    eventually("the end of the last connection", || {
        (!beside("-wal").exists()).then_some(())
    });
    fs::write(beside("-wal"), "").unwrap();
    for end in ["", "-wal"] {
        for wrong in [0o640, 0o620, 0o604, 0o602] {
            set_mode(&beside(end), wrong);
            let error = opened().unwrap_err();
            assert_eq!(error, OpenError::File(FileError::Open(beside(end))));
            assert!(error.to_string().contains("chmod 600 /"), "{error}");
        }
        set_mode(&beside(end), 0o600);
    }
    set_mode(directory.path(), 0o777);
    let replaceable = FileError::Directory(directory.path().to_owned());
    assert_eq!(opened(), Err(OpenError::File(replaceable)));
    set_mode(directory.path(), 0o1777);
    assert_eq!(opened(), Ok(()));
    // Only the superuser can give a file away.
    if std::os::unix::fs::chown(&path, Some(65534), None).is_ok() {
        assert_eq!(opened(), Err(OpenError::File(FileError::Foreign(path))));
    }
}

#[test]
fn what_another_version_or_program_made_is_not_touched() {
    let directory = TempDir::new().unwrap();
    let url = format!("sqlite://{}", directory.path().join("tokens.db").display());
    runtime().block_on(async {
        drop(open(&url).await);
        let newer = "INSERT INTO api_token_migration (version, description, success, checksum, execution_time) \
                     VALUES (999, 'later', TRUE, x'00', 0)";
        raw(&url, newer).await.unwrap();
        let opened = Store::open(&location(&url), PATIENT).await.map(|_| ());
        assert_eq!(opened, Err(OpenError::Store(SchemaError::Newer.into())));
    });
    let other = directory.path().join("other.db");
    fs::write(
        &other,
        "no database at all, but long enough for one".repeat(99),
    )
    .unwrap();
    set_mode(&other, 0o600);
    let opened = runtime().block_on(Store::open(
        &location(&format!("sqlite://{}", other.display())),
        PATIENT,
    ));
    assert!(matches!(
        opened.err(),
        Some(OpenError::Store(StoreError::Unreachable(_)))
    ));
}

#[test]
fn several_processes_may_begin_with_an_empty_file() {
    // Which of them meets which is up to chance: many files, for that every order comes up.
    for _ in 0..30 {
        let directory = TempDir::new().unwrap();
        let url = format!("sqlite://{}", directory.path().join("tokens.db").display());
        runtime().block_on(async {
            futures_util::future::join_all((0..6).map(|_| open(&url))).await;
        });
    }
}

#[test]
fn a_replaced_file_is_noticed() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("tokens.db");
    let url = format!("sqlite://{}", path.display());
    runtime().block_on(async {
        let store = open(&url).await;
        let id = token("alice");
        store.create(&id, MANY, by("alice")).await.unwrap();
        let following = Following::start(&store);
        let backup = directory.path().join("backup.db");
        raw(&url, &format!("VACUUM INTO '{}'", backup.display()))
            .await
            .unwrap();
        set_mode(&backup, 0o600);
        for end in ["-wal", "-shm"] {
            fs::remove_file(directory.path().join(format!("tokens.db{end}"))).unwrap();
        }
        fs::rename(&backup, &path).unwrap();
        eventually("everything is forgotten", || {
            (following.forgotten() > 1).then_some(())
        });
        store
            .revoke(id.id, Family::Spared, "lost", by("alice"))
            .await
            .unwrap();
        following.hears_of(id.id);
    });
}

/// A small disk, for who may mount one. Unmounted with the value.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let directory = TempDir::new().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=512k,mode=700", "tmpfs"])
            .arg(directory.path())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then_some(Self(directory))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.0.path())
            .status();
    }
}

#[test]
fn a_full_disk_is_told_and_harms_nothing() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("not tried: only the superuser can mount a small disk");
        return;
    };
    let url = format!("sqlite://{}", disk.0.path().join("tokens.db").display());
    runtime().block_on(async {
        let store = open(&url).await;
        let first = token("alice");
        store.create(&first, MANY, by("alice")).await.unwrap();
        let ballast = disk.0.path().join("ballast");
        let mut file = fs::File::create(&ballast).unwrap();
        while file.write_all(&[0; 1024]).is_ok() {}
        let mut created = 1;
        let refused = loop {
            match store.create(&token("bob"), MANY, by("bob")).await {
                Ok(_) => created += 1,
                Err(error) => break error,
            }
        };
        let full = StoreError::Refused("its disk is full");
        assert_eq!(refused, CreateError::Store(full));
        // Reading goes on, and so does everything once there is room.
        assert!(store.find(first.id).await.unwrap().is_some());
        fs::remove_file(&ballast).unwrap();
        drop(file);
        store.create(&token("bob"), MANY, by("bob")).await.unwrap();
        assert_eq!(
            raw(&url, "PRAGMA integrity_check").await.as_deref(),
            Ok("ok")
        );
        assert_eq!(store.changes_since(0).await.unwrap().revision, created + 1);
    });
}

/// Whoever gets a copy of the file has no token.
#[test]
fn the_file_holds_no_token() {
    let directory = TempDir::new().unwrap();
    let url = format!("sqlite://{}", directory.path().join("tokens.db").display());
    let issued = IssuedToken::generate(&mut rand::rng());
    runtime().block_on(async {
        let store = open(&url).await;
        let peppers = Peppers::new(&"p".repeat(32).into()).unwrap();
        let mut new = token("alice");
        new.id = issued.id;
        new.digest = peppers.digest(ApiToken::parse(issued.expose()).ok().unwrap());
        store.create(&new, MANY, by("alice")).await.unwrap();
        store
            .disable_owner(&Owner::new("alice"), "left", by("hr"))
            .await
            .unwrap();
        let secret = &issued.expose()[17..60];
        for entry in fs::read_dir(directory.path()).unwrap() {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(secret) && !text.contains("axt_"));
            assert!(!text.contains(&"p".repeat(32)));
        }
    });
}

/// Somebody else's write lock is a matter of time, not a refusal.
#[test]
fn a_locked_file_is_a_matter_of_time() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("tokens.db");
    runtime().block_on(async {
        let store = open(&format!("sqlite://{}", path.display())).await;
        let id = token("alice");
        store.create(&id, MANY, by("alice")).await.unwrap();
        let mut other = SqliteConnection::connect(&format!("sqlite://{}", path.display()))
            .await
            .unwrap();
        other.execute("BEGIN IMMEDIATE").await.unwrap();
        let locked = store
            .revoke(id.id, Family::Spared, "lost", by("alice"))
            .await;
        assert_eq!(locked, Err(StoreError::Timeout));
        // Reading goes on.
        assert!(store.find(id.id).await.unwrap().is_some());
        other.execute("COMMIT").await.unwrap();
        store
            .revoke(id.id, Family::Spared, "lost", by("alice"))
            .await
            .unwrap();
    });
}
