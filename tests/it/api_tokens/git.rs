//! The real git, the real Envoy, git's real HTTP backend.

use std::{fs, path::Path};

use tempfile::TempDir;

use super::{Desk, fixture::Made};
use crate::support::{
    client,
    envoy::{Envoy, Options},
    eventually,
    git::{GitClient, GitServer},
    service::Service,
};

const HOST: &str = "bitbucket-api.example.com";

struct Scene {
    desk: Desk,
    service: Service,
    server: GitServer,
    envoy: Envoy,
    directory: TempDir,
}

impl Scene {
    fn start() -> Self {
        let desk = Desk::sqlite();
        let service = desk.service();
        let server = GitServer::start();
        let envoy = Options::new(&service.grpc, server.port).start();
        Self {
            desk,
            service,
            server,
            envoy,
            directory: TempDir::new().expect("a directory"),
        }
    }

    fn port(&self) -> u16 {
        let (_, port) = self.envoy.address.rsplit_once(':').expect("host:port");
        port.parse().expect("a port")
    }

    fn token(&self, further: &[&str]) -> Made {
        self.desk
            .make_for("alice", &["--application", "bitbucket"], further)
    }

    /// A client that reaches the gateway by the name of its product.
    fn client(&self) -> GitClient {
        GitClient::new().resolve(HOST, self.port())
    }

    /// `http://user:password@host:port/scm/p/r.git`
    fn url(&self, user: &str, password: &str) -> String {
        GitServer::url(&format!("{user}:{password}@{HOST}"), self.port())
    }

    fn commit(client: &GitClient, clone: &Path, name: &str) {
        fs::write(clone.join(name), name).expect("written");
        let clone = clone.to_str().expect("text");
        client.run(&["-C", clone, "add", "."]).succeeded();
        client
            .run(&["-C", clone, "commit", "--quiet", "-m", name])
            .succeeded();
    }
}

#[test]
fn git_clones_and_pushes_as_the_owner_of_the_token() {
    let scene = Scene::start();
    let token = scene.token(&["--scope", "write"]);
    let (client, clone) = (scene.client(), scene.directory.path().join("clone"));
    client
        .clone(&scene.url("alice", &token.token), &clone)
        .succeeded();
    Scene::commit(&client, &clone, "change");
    client.push(&clone).succeeded();
    assert_eq!(scene.server.pushed_by(), ["alice"]);
    assert_eq!(scene.server.commits(), ["change", "The first commit"]);
    for request in scene.server.seen() {
        assert_eq!(
            request.values("x-remote-user"),
            ["alice"],
            "{}",
            request.line
        );
        assert!(
            request.values("authorization").is_empty(),
            "{}",
            request.line
        );
    }
    // Git asks first without a password, and gets a challenge that it understands.
    let first = client::request(
        &scene.envoy.address,
        "GET",
        "/scm/p/r.git/info/refs?service=git-upload-pack",
        HOST,
        &[],
    );
    assert_eq!(first.status, 401);
    let challenges = first
        .headers
        .iter()
        .filter(|(name, _)| name == "www-authenticate")
        .count();
    assert_eq!(challenges, 2, "{first:?}");
    drop(scene.service);
}

#[test]
fn a_reading_token_fetches_and_cannot_push() {
    let scene = Scene::start();
    let token = scene.token(&[]);
    let (client, clone) = (scene.client(), scene.directory.path().join("clone"));
    client
        .clone(&scene.url("alice", &token.token), &clone)
        .succeeded();
    Scene::commit(&client, &clone, "change");
    let push = client.push(&clone);
    assert!(push.status != 0 && push.output.contains("403"), "{push:?}");
    assert_eq!(scene.server.commits(), ["The first commit"]);
    // Both steps of a push, one by one.
    let bearer = format!("Authorization: Bearer {}", token.token);
    let ask = |method: &str, path: &str| {
        client::request(&scene.envoy.address, method, path, HOST, &[&bearer])
    };
    let before = scene.server.seen().len();
    for (method, path) in [
        ("GET", "/scm/p/r.git/info/refs?service=git-receive-pack"),
        ("GET", "/scm/p/r.git/info/refs?service=git%2dreceive-pack"),
        ("GET", "/scm/p/r.git/info/refs?a=b&service=git-receive-pack"),
        ("POST", "/scm/p/r.git/git-receive-pack"),
    ] {
        let answer = ask(method, path);
        assert!(
            answer.status == 403 && answer.body.contains("api_token_scope"),
            "{method} {path}: {answer:?}"
        );
    }
    for path in [
        "/scm/p/r.git/x/..;/git-receive-pack",
        "/scm/p/r.git//git-receive-pack",
        "/scm/p/r.git/info/refs;x?service=git-upload-pack",
    ] {
        let answer = ask("GET", path);
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
    }
    assert_eq!(
        scene.server.seen().len(),
        before,
        "nothing of it has reached the product"
    );
}

#[test]
fn git_is_refused_with_another_user_a_wrong_token_and_after_the_revocation() {
    let scene = Scene::start();
    let token = scene.token(&[]);
    let (client, clone) = (scene.client(), scene.directory.path().join("clone"));
    for (user, password) in [
        ("bob", token.token.as_str()),
        ("Alice", &token.token),
        ("alice", "her-password"),
        ("alice", &token.with_wrong_secret()),
    ] {
        let refused = client.clone(&scene.url(user, password), &clone);
        assert!(
            refused.status != 0 && refused.output.contains("Authentication failed"),
            "{user}: {refused:?}"
        );
    }
    client
        .clone(&scene.url("alice", &token.token), &clone)
        .succeeded();
    scene.desk.revoke(&token.id);
    let fetch = ["-C", clone.to_str().expect("text"), "fetch"];
    let refused = eventually("the revocation", || {
        let fetch = client.run(&fetch);
        (fetch.status != 0).then_some(fetch)
    });
    // Before the first request of the fetch, or between two of them.
    let told = ["Authentication failed", "401"];
    assert!(
        told.iter().any(|words| refused.output.contains(words)),
        "{refused:?}"
    );
}
