//! PATH as an address over ssh: who the host is, and who is there.

use rcgen::KeyPair;

use crate::cli::{cluster, program};
use crate::support::ssh::SshServer;
use crate::support::{Output, Program, git};

struct Setting {
    server: SshServer,
    key: KeyPair,
    program: Program,
    _repository: tempfile::TempDir,
}

fn setting() -> Setting {
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().join("fleet.git");
    git::commit(&repository, &[("a.yaml", &cluster("one"))]).unwrap();
    let key = KeyPair::generate().unwrap();
    Setting {
        server: SshServer::start(&repository, &key),
        key,
        program: program(),
        _repository: folder,
    }
}

impl Setting {
    /// Reads with this key, and these known hosts.
    async fn validate(&self, key: Option<&KeyPair>, known_hosts: &str) -> Output {
        let folder = self.program.folder();
        let hosts = git::pem(folder, "known_hosts", known_hosts);
        let mut program = self
            .program
            .clone()
            .environment("K0SMOTRON_FLEET_GIT_KNOWN_HOSTS", hosts);
        if let Some(key) = key {
            let file = git::pem(folder, "key.pem", &key.serialize_pem());
            program = program.environment("K0SMOTRON_FLEET_GIT_SSH_KEY", file);
        }
        program.run(&["validate", &self.server.url()]).await
    }

    fn commands(&self) -> Vec<String> {
        let requests = self.server.requests().into_iter();
        requests.filter(|request| request.starts_with("git-")).collect()
    }
}

fn assert_refused(output: &Output, words: &str) {
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (1, ""),
        "{}",
        output.stderr
    );
    assert!(output.stderr.contains(words), "{words}: {}", output.stderr);
}

#[tokio::test]
async fn a_fleet_is_read_over_ssh_with_a_key_from_a_known_host() {
    let setting = setting();
    let known = setting.server.known_host();
    let output = setting.validate(Some(&setting.key), &known).await.success();
    assert_eq!(output, "Valid: 1 cluster, no problems\n");
    let expected = "git-upload-pack '/acme/fleet.git'";
    assert!(setting.commands().iter().all(|command| command == expected));
    // What is in the cache is not fetched again, and the host is asked all the same.
    setting.validate(Some(&setting.key), &known).await.success();
    assert_eq!(setting.commands(), [expected]);
}

#[tokio::test]
async fn a_host_that_is_not_known_or_shows_another_key_is_told_nothing() {
    let setting = setting();
    let known = setting.server.known_host();
    let output = setting.validate(Some(&setting.key), "").await;
    assert_refused(
        &output,
        "the host `localhost` is not known; it shows the key SHA256:",
    );
    assert_refused(
        &output,
        "hint: compare the key with what the host's owner publishes",
    );
    setting.server.change_host_key();
    let output = setting.validate(Some(&setting.key), &known).await;
    assert_refused(
        &output,
        "the host `localhost` shows another key than the known one: SHA256:",
    );
    let revoked = format!(
        "@revoked * {}",
        setting.server.known_host().split_once(' ').unwrap().1
    );
    let output = setting
        .validate(Some(&setting.key), &(setting.server.known_host() + &revoked))
        .await;
    assert_refused(&output, "shows a key that was revoked");
    assert_eq!(setting.server.requests(), [""; 0], "nobody said who is there");
}

#[tokio::test]
async fn a_key_that_the_server_does_not_know_and_none_at_all_are_refused() {
    let setting = setting();
    let known = setting.server.known_host();
    let output = setting
        .validate(Some(&KeyPair::generate().unwrap()), &known)
        .await;
    assert_refused(&output, "the server refuses every ssh key that was offered");
    let output = setting.validate(None, &known).await;
    assert_refused(
        &output,
        "the server asks for an ssh key, and neither a file nor an agent was given",
    );
    assert_eq!(setting.commands(), [""; 0]);
}
