//! PATH as an address of a Git repository, on servers of our own that behave and misbehave, and `--rev`.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use k0smotron_fleet::load::git::{Access, Address, GitError, remote};
use rstest::rstest;

use crate::cli::{cluster, program, write};
use crate::support::certificates::{Authority, Pair};
use crate::support::git::{self, Behaviour, GitServer};
use crate::support::{Output, Program};

const FLEET: &str =
    "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: Fleet\nmetadata:\n  name: acme\nspec:\n  id: acme-7f3a\n";

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new("test-git"));

/// A server, the folder of its repository, and a program that trusts its authority.
struct Setting {
    folder: tempfile::TempDir,
    server: GitServer,
    program: Program,
}

impl Setting {
    fn repository(&self) -> std::path::PathBuf {
        self.folder.path().join("fleet.git")
    }

    async fn validate(&self, rest: &str) -> Output {
        self.program
            .run(&["validate", &format!("{}{rest}", self.server.url())])
            .await
    }
}

fn setting() -> Setting {
    setting_for(&["localhost"])
}

fn setting_for(hosts: &[&str]) -> Setting {
    let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
    setting_with(&AUTHORITY.issue("git", None, &hosts))
}

fn setting_with(pair: &Pair) -> Setting {
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().join("fleet.git");
    git::commit(
        &repository,
        &[
            ("fleets/a/fleet.yaml", FLEET),
            ("fleets/a/prod/one.yaml", &cluster("one")),
        ],
    )
    .unwrap();
    let server = GitServer::start(&repository, pair);
    let trusted = git::pem(folder.path(), "ca.pem", &AUTHORITY.certificate);
    let program = program().environment("SSL_CERT_FILE", trusted);
    Setting {
        folder,
        server,
        program,
    }
}

/// Asserts that nothing is answered but an error with these words.
fn assert_refused(output: &Output, words: &str) {
    let stderr = &output.stderr;
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{stderr}");
    assert!(stderr.contains(words), "{words}: {stderr}");
}

#[tokio::test]
async fn a_fleet_is_read_from_a_server_and_only_what_is_new_is_fetched_again() {
    let setting = setting();
    let output = setting.validate("//fleets/a").await.success();
    assert_eq!(output, "Valid: 1 cluster in fleet acme, no problems\n");
    let packs = |setting: &Setting| {
        let requests = setting.server.requests();
        requests
            .iter()
            .filter(|request| !request.target.contains("/info/refs"))
            .count()
    };
    assert_eq!(packs(&setting), 1);
    setting.validate("//fleets/a/prod?ref=main").await.success();
    assert_eq!(packs(&setting), 0, "the commit is in the cache");
    let files = [
        ("fleet.yaml", FLEET),
        ("b.yaml", &cluster("two")),
        ("c.yaml", &cluster("three")),
    ];
    let first = git2::Repository::open_bare(setting.repository())
        .unwrap()
        .head()
        .unwrap()
        .target()
        .unwrap();
    git::commit(&setting.repository(), &files).unwrap();
    let output = setting.validate("").await.success();
    assert_eq!(output, "Valid: 2 clusters in fleet acme, no problems\n");
    let before = setting
        .validate(&format!("//fleets/a?ref={first}"))
        .await
        .success();
    assert_eq!(before, "Valid: 1 cluster in fleet acme, no problems\n");
    let address = format!("{}//b.yaml", setting.server.url());
    let rendered = setting.program.run(&["render", &address]).await.success();
    assert!(
        rendered.contains("name: two") && !rendered.contains("name: three"),
        "{rendered}"
    );
    assert!(setting.program.folder().join(".cache/k0smotron-fleet").is_dir());
}

#[tokio::test]
async fn what_is_not_in_the_repository_is_said() {
    let setting = setting();
    for (rest, expected) in [
        ("//fleets/b", "has no file or directory `fleets/b`"),
        ("//fleets/a?ref=gone", "has no branch, tag or commit `gone`"),
        ("?depth=1", "behind `?` there can only be `ref=`"),
        ("//../x", "its path is not below the repository"),
    ] {
        assert_refused(&setting.validate(rest).await, expected);
    }
    let output = setting
        .program
        .run(&["validate", &setting.server.url(), "--rev", "HEAD"])
        .await;
    assert_refused(&output, "`?ref=REVISION`");
    let output = setting
        .program
        .run(&["validate", "git@localhost:acme/fleet.git"])
        .await;
    assert_refused(&output, "write `ssh://git@host/path`");
}

#[tokio::test]
async fn a_token_is_shown_only_to_who_asks_and_never_printed() {
    let setting = setting();
    setting.server.behave(Behaviour::Ask("git:hunter2".to_owned()));
    let output = setting.validate("").await;
    assert_refused(&output, "no token was given");
    assert_refused(&output, "hint: set K0SMOTRON_FLEET_GIT_TOKEN");
    assert!(
        setting
            .server
            .requests()
            .iter()
            .all(|request| request.authorization.is_none())
    );

    let address = format!("{}//fleets/a", setting.server.url());
    let wrong = setting
        .program
        .clone()
        .environment("K0SMOTRON_FLEET_GIT_TOKEN", "hunter1");
    let output = wrong.run(&["validate", &address]).await;
    assert_refused(&output, "the server refuses the token");
    assert!(!output.stderr.contains("hunter1"), "{}", output.stderr);
    assert!(
        setting.server.requests().len() < 5,
        "a wrong token is not tried for ever"
    );

    let file = git::pem(setting.folder.path(), "token", "hunter2\n");
    let right = setting
        .program
        .clone()
        .environment("K0SMOTRON_FLEET_GIT_TOKEN_FILE", file);
    right.run(&["validate", &address]).await.success();
    let requests = setting.server.requests();
    assert_eq!(requests[0].authorization, None, "nobody had asked yet");
    let cache = setting.program.folder().join(".cache/k0smotron-fleet");
    for entry in walk(&cache) {
        let bytes = std::fs::read(&entry).unwrap();
        assert!(
            !String::from_utf8_lossy(&bytes).contains("hunter2"),
            "{}",
            entry.display()
        );
    }
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let paths = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] })
        .collect()
}

#[tokio::test]
async fn a_redirect_to_another_host_is_not_followed_and_sees_no_token() {
    let (setting, other) = (setting(), setting_for(&["127.0.0.1"]));
    setting.server.behave(Behaviour::Redirect(format!(
        "https://127.0.0.1:{}",
        other.server.port
    )));
    let program = setting
        .program
        .clone()
        .environment("K0SMOTRON_FLEET_GIT_TOKEN", "hunter2");
    let output = program.run(&["validate", &setting.server.url()]).await;
    assert_refused(&output, "hint: redirects to another host are not followed");
    assert_eq!(other.server.requests(), []);
}

#[tokio::test]
async fn an_address_that_the_configuration_of_git_rewrites_is_refused_and_nobody_sees_the_token() {
    let (setting, other) = (setting(), setting());
    let rule = format!(
        "[url \"{}\"]\n    insteadOf = {}\n",
        other.server.url(),
        setting.server.url()
    );
    write(&setting.program, &[(".gitconfig", &rule)]);
    other.server.behave(Behaviour::Ask("git:hunter2".to_owned()));
    let program = setting
        .program
        .clone()
        .environment("K0SMOTRON_FLEET_GIT_TOKEN", "hunter2");
    let output = program.run(&["validate", &setting.server.url()]).await;
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    assert!(
        output
            .stderr
            .contains("error: the configuration of Git on this machine rewrites the address"),
        "{}",
        output.stderr
    );
    assert_eq!(other.server.requests(), []);
}

#[tokio::test]
async fn a_server_that_does_not_prove_who_it_is_is_not_asked() {
    let (good, wrong_name) = (setting(), setting_for(&["elsewhere.example.org"]));
    let untrusting = program().environment("K0SMOTRON_FLEET_GIT_TOKEN", "hunter2");
    let trusting = wrong_name
        .program
        .clone()
        .environment("K0SMOTRON_FLEET_GIT_TOKEN", "hunter2");
    let expired = setting_with(&AUTHORITY.issue_expired("git", &["localhost".to_owned()]));
    for (program, server) in [
        (untrusting, &good.server),
        (trusting, &wrong_name.server),
        (expired.program.clone(), &expired.server),
    ] {
        let output = program.run(&["validate", &server.url()]).await;
        assert_refused(&output, "error: cannot reach `https://localhost:");
        assert_refused(&output, "SSL_CERT_FILE");
        assert_eq!(server.requests(), [], "no byte of a request was sent");
    }
}

/// Each is an error with nothing on stdout: a source that cannot be read is never an empty fleet.
#[rstest]
#[case::unauthorized(Behaviour::Status("403 Forbidden", "no"), "http status code: 403")]
#[case::gone(Behaviour::Status("404 Not Found", "no"), "http status code: 404")]
#[case::broken(Behaviour::Status("500 Internal Server Error", "no"), "http status code: 500")]
#[case::unavailable(Behaviour::Status("503 Service Unavailable", "no"), "http status code: 503")]
#[case::a_page(Behaviour::Page, "cannot reach")]
#[case::an_empty_answer(Behaviour::Status("200 OK", ""), "cannot reach")]
#[case::half_a_list(Behaviour::HalfAList, "cannot reach")]
#[case::no_references(Behaviour::Empty, "has no commit")]
#[case::a_pack_that_ends_early(Behaviour::TruncatedPack, "cannot fetch")]
#[case::a_pack_of_a_billion_objects(Behaviour::PackOfManyObjects, "objects were announced")]
#[case::a_pack_of_other_bytes(Behaviour::SpoiledPack, "cannot fetch")]
#[case::a_pack_without_a_file(Behaviour::PackWithoutAFile, "cannot read `fleet.yaml`")]
#[case::a_pack_of_a_large_object(Behaviour::PackOfALargeObject, "cannot fetch")]
#[case::no_right_to_fetch(Behaviour::AskLater, "hint: the credentials do not give access")]
#[case::a_commit_that_is_not_there(Behaviour::MissingObject, "target OID for the reference doesn't exist")]
#[tokio::test]
async fn a_server_that_misbehaves_is_an_error(#[case] behaviour: Behaviour, #[case] expected: &str) {
    let setting = setting();
    setting.server.behave(behaviour);
    let output = setting.validate("//fleets/a?ref=main").await;
    assert_refused(&output, expected);
    assert!(output.stderr.starts_with("error: "), "{}", output.stderr);
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
    // And the cache holds nothing that stands in the way of the next time.
    setting.server.behave(Behaviour::Serve);
    setting.validate("//fleets/a").await.success();
}

#[tokio::test]
async fn many_references_cost_a_list_and_nothing_else() {
    let setting = setting();
    setting.server.behave(Behaviour::ManyReferences(20_000));
    setting.validate("//fleets/a?ref=main").await.success();
}

#[tokio::test]
async fn nobody_at_the_other_end_is_an_error() {
    let port = crate::support::ports::free();
    for address in [
        format!("https://localhost:{port}/x.git"),
        format!("ssh://git@localhost:{port}/x.git"),
    ] {
        let output = program().run(&["validate", &address]).await;
        assert_refused(&output, "error: cannot reach");
    }
    // A name that no server will ever know (RFC 6761).
    let output = program().run(&["validate", "https://git.invalid/x.git"]).await;
    assert_refused(&output, "error: cannot reach `https://git.invalid/x.git`");
}

#[tokio::test]
async fn a_server_that_says_one_byte_and_no_more_is_given_up() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let streams: Vec<_> = listener.incoming().flatten().take(1).collect();
        for mut stream in &streams {
            // The first byte of an answer in TLS.
            let _ = stream.write_all(&[0x16]);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    let address = Address::parse(&format!("https://localhost:{port}/x.git"))
        .unwrap()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let read = tokio::task::spawn_blocking(move || {
        remote(
            &address,
            Access::default(),
            None,
            folder.path(),
            Duration::from_secs(1),
        )
    });
    let error = read.await.unwrap().unwrap_err();
    assert!(matches!(error, GitError::TooMuch { .. }), "{error:?}");
}

#[tokio::test]
async fn a_head_that_is_called_otherwise_is_followed() {
    let setting = setting();
    let repository = git2::Repository::open_bare(setting.repository()).unwrap();
    let main = repository.find_reference("refs/heads/main").unwrap();
    repository
        .reference("refs/heads/trunk", main.target().unwrap(), false, "x")
        .unwrap();
    repository.set_head("refs/heads/trunk").unwrap();
    repository
        .find_reference("refs/heads/main")
        .unwrap()
        .delete()
        .unwrap();
    let output = setting.validate("//fleets/a").await.success();
    assert_eq!(output, "Valid: 1 cluster in fleet acme, no problems\n");
    assert_refused(
        &setting.validate("//fleets/a?ref=main").await,
        "has no branch, tag or commit `main`",
    );
}

#[tokio::test]
async fn a_repository_on_the_disk_is_read_by_address_and_by_revision_without_a_checkout() {
    let program = program();
    let folder = program.folder().join("work");
    git::commit(
        &folder.join(".git"),
        &[("fleet.yaml", FLEET), ("old/a.yaml", &cluster("one"))],
    )
    .unwrap();
    git::commit(
        &folder.join(".git"),
        &[("fleet.yaml", FLEET), ("b.yaml", &cluster("two"))],
    )
    .unwrap();
    let config = git2::Repository::open(folder.join(".git")).unwrap();
    config.config().unwrap().set_bool("core.bare", false).unwrap();
    write(
        &program,
        &[("work/fleet.yaml", FLEET), ("work/draft.yaml", "kind: [")],
    );
    let address = format!("file://{}", folder.display());
    let output = program.run(&["render", &address]).await.success();
    assert!(
        output.contains("name: two") && output.contains("# b.yaml"),
        "{output}"
    );
    let output = program
        .run(&["render", "work", "--rev", "HEAD~1"])
        .await
        .success();
    assert!(
        output.contains("name: one") && !output.contains("name: two"),
        "{output}"
    );
    // The folder is not on the disk any more, and was there then.
    let output = program
        .run(&["render", "work/old", "--rev", "HEAD~1"])
        .await
        .success();
    assert!(output.contains("name: one"), "{output}");
    let output = program.run(&["render", "work/old", "--rev", "HEAD"]).await;
    assert_refused(&output, "has no file or directory `old`");
    let output = program.run(&["render", "work", "--rev", "nonsense"]).await;
    assert_refused(&output, "revspec 'nonsense' not found");
    assert_eq!(
        program.run(&["validate", "work"]).await.code,
        6,
        "the disk has a broken draft"
    );
    assert!(!folder.join("b.yaml").exists(), "nothing was checked out");
    let output = program.run(&["validate", ".", "--rev", "HEAD"]).await;
    assert_refused(&output, "does not belong to a Git repository");
}
