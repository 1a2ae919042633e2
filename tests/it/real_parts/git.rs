//! Git: a clone and a push, as whoever the gateway says, and what the server remembers of them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::support::{
    client, eventually,
    git::{GitClient, GitServer},
};

const HOST: &str = "bitbucket-api.example.com";

/// A client that says it is alice, as the gateway does for her.
fn alice(server: &GitServer) -> GitClient {
    GitClient::new()
        .resolve(HOST, server.port)
        .header("X-Remote-User: alice")
}

/// Clones the repository to a place below `directory`.
fn clone(client: &GitClient, server: &GitServer, directory: &Path) -> PathBuf {
    let into = directory.join("clone");
    let url = GitServer::url(HOST, server.port);
    client.clone(&url, &into).succeeded();
    into
}

/// Commits a file of this size that cannot be compressed.
fn commit(client: &GitClient, clone: &Path, size: usize) {
    let noise: Vec<u8> = std::iter::repeat_with(rand::random).take(size).collect();
    fs::write(clone.join("noise"), noise).unwrap();
    let clone = clone.to_str().unwrap();
    client.run(&["-C", clone, "add", "."]).succeeded();
    let commit = ["-C", clone, "commit", "--quiet", "-m", "Noise"];
    client.run(&commit).succeeded();
}

#[test]
fn git_clones_and_pushes_through_the_http_backend_as_the_remote_user() {
    let server = GitServer::start();
    assert_eq!(server.commits(), ["The first commit"]);
    let directory = TempDir::new().unwrap();
    let client = alice(&server);
    let clone = clone(&client, &server, directory.path());
    commit(&client, &clone, 100);
    client.push(&clone).succeeded();
    assert_eq!(server.commits(), ["Noise", "The first commit"]);
    assert_eq!(server.pushed_by(), ["alice"]);

    let seen = server.seen();
    let has = |line: &str| seen.iter().any(|request| request.line == line);
    assert!(has(
        "GET /scm/p/r.git/info/refs?service=git-upload-pack HTTP/1.1"
    ));
    assert!(has("POST /scm/p/r.git/git-upload-pack HTTP/1.1"));
    assert!(has("POST /scm/p/r.git/git-receive-pack HTTP/1.1"));
    let host = format!("{HOST}:{}", server.port);
    assert!(
        seen.iter()
            .all(|request| request.values("host") == [&*host])
    );
}

#[test]
fn a_push_that_is_larger_than_the_buffer_of_git_arrives_in_chunks() {
    let server = GitServer::start();
    let directory = TempDir::new().unwrap();
    let client = alice(&server);
    let clone = clone(&client, &server, directory.path());
    commit(&client, &clone, 3 << 20);
    client.push(&clone).succeeded();
    assert_eq!(server.commits(), ["Noise", "The first commit"]);
    let seen = server.seen();
    let chunked = seen
        .iter()
        .find(|request| request.values("transfer-encoding") == ["chunked"]);
    assert!(chunked.is_some_and(|request| request.line.contains("git-receive-pack")));
}

/// Git packs a long request: here, one for many branches.
#[test]
fn a_packed_request_is_understood() {
    let server = GitServer::start();
    let directory = TempDir::new().unwrap();
    let client = alice(&server);
    let clone = clone(&client, &server, directory.path());
    let path = clone.to_str().unwrap();
    for number in 0..40 {
        commit(&client, &clone, 10);
        let branch = ["-C", path, "branch", &format!("branch-{number}")];
        client.run(&branch).succeeded();
    }
    client.run(&["-C", path, "push", "--all"]).succeeded();
    let other = directory.path().join("other");
    let url = GitServer::url(HOST, server.port);
    client.clone(&url, &other).succeeded();
    let packed = server
        .seen()
        .into_iter()
        .find(|request| request.values("content-encoding") == ["gzip"]);
    let packed = packed.expect("a packed request");
    assert!(packed.line.contains("git-upload-pack"), "{packed:?}");
}

#[test]
fn git_without_exactly_one_remote_user_is_asked_for_credentials() {
    let server = GitServer::start();
    let address = format!("127.0.0.1:{}", server.port);
    let path = "/scm/p/r.git/info/refs?service=git-upload-pack";
    for users in [
        &[][..],
        &["X-Remote-User:"],
        &["X-Remote-User: alice", "X-Remote-User: bob"],
        &["Remote-User: alice", "Remote_User: alice"],
        &["Authorization: Basic YWxpY2U6YWxpY2U="],
    ] {
        let answer = client::get(&address, path, users);
        assert_eq!(answer.status, 401, "{users:?}");
        let challenge = answer.header("www-authenticate");
        assert_eq!(challenge, Some("Basic realm=\"bitbucket\""));
    }
    let directory = TempDir::new().unwrap();
    let nobody = GitClient::new().clone(
        &GitServer::url("127.0.0.1", server.port),
        &directory.path().join("clone"),
    );
    assert_ne!(nobody.status, 0);
    assert!(
        nobody.output.contains("terminal prompts disabled"),
        "{}",
        nobody.output
    );
}

#[test]
fn a_dropped_git_server_closes_its_port() {
    let server = GitServer::start();
    let client = alice(&server);
    let url = GitServer::url(HOST, server.port);
    client.run(&["ls-remote", &url]).succeeded();
    drop(server);
    eventually("the end of the port", || {
        let outcome = client.run(&["ls-remote", &url]);
        outcome.output.contains("Failed to connect").then_some(())
    });
}
