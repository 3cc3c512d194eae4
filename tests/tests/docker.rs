//! Docker's client and Signet in one trust directory, before the real notary-server: what one wrote, the other uses.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use signet_tests::{Call, Stage, docker};

const GUN: &str = "docker.io/acme/app";
const REPOSITORY_PASSPHRASE: &str = "docker's other passphrase";
/// As Docker's users say it.
const IMAGE: &str = "acme/app";

/// A person who has told Docker's variables, and nothing else, which server and which passphrases.
fn with_docker() -> Result<Stage> {
    let mut stage = Stage::with_files()?;
    for name in ["ROOT", "TARGETS", "SNAPSHOT", "DELEGATION"] {
        stage.home.set(&format!("NOTARY_{name}_PASSPHRASE"), "");
    }
    let url = stage.server.url();
    stage.home.set("DOCKER_CONTENT_TRUST_SERVER", &url);
    stage.home.set("DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE", "docker's root passphrase");
    stage.home.set("DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE", REPOSITORY_PASSPHRASE);
    let host = url.strip_prefix("https://").context("not https")?;
    stage.home.write(&format!(".docker/tls/{host}/ca.crt"), fs::read(stage.server.ca())?)?;
    Ok(stage)
}

fn docker_trust(stage: &Stage, line: &str) -> Result<Call> {
    Ok(stage.home.call(docker()?).args(["trust"]).args(line.split_whitespace()))
}

fn signet(stage: &Stage, line: &str) -> Result<Call> {
    stage.home.signet(["--docker"].into_iter().chain(line.split_whitespace()))
}

/// What `docker trust inspect` tells: signed tags with their signers, and signers.
fn inspected(stage: &Stage) -> Result<(Vec<String>, Vec<String>)> {
    let told = docker_trust(stage, &format!("inspect {IMAGE}"))?.ok()?.stdout;
    let told: Value = serde_json::from_str(&told)?;
    let list = |pointer: &str| told.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |value: &Value, name: &str| value.get(name).map(ToString::to_string).unwrap_or_default();
    let tags = list("/0/SignedTags").iter().map(|tag| text(tag, "SignedTag") + &text(tag, "Signers")).collect();
    let signers = list("/0/Signers").iter().map(|signer| text(signer, "Name")).collect();
    Ok((tags, signers))
}

#[test]
fn signet_signs_with_the_keys_that_docker_made() -> Result<()> {
    let stage = with_docker()?;
    docker_trust(&stage, "key generate alice")?.ok()?;
    docker_trust(&stage, &format!("signer add --key alice.pub alice {IMAGE}"))?.ok()?;
    signet(&stage, "key list")?.ok()?.says(&["alice", "root", "targets"])?;
    signet(&stage, &format!("list {GUN}"))?.ok()?.says(&["No targets present"])?;

    stage.home.write("manifest", "content")?;
    signet(&stage, &format!("add -p -r targets/releases -r targets/alice {GUN} v1 manifest"))?.ok()?;
    let (tags, signers) = inspected(&stage)?;
    assert_eq!(tags, [r#""v1"["alice"]"#]);
    assert_eq!(signers, [r#""alice""#]);
    signet(&stage, &format!("lookup {GUN} v1"))?.ok()?.says(&["v1 sha256:"])?;
    Ok(())
}

#[test]
fn docker_goes_on_with_what_signet_made() -> Result<()> {
    let stage = with_docker()?;
    signet(&stage, &format!("init -p --server-managed-snapshot {GUN}"))?.ok()?;
    ensure!(inspected(&stage)? == (Vec::new(), Vec::new()), "there are no signers yet");
    // a key that docker made, and one that we made and docker takes in
    docker_trust(&stage, "key generate bob")?.ok()?;
    docker_trust(&stage, &format!("signer add --key bob.pub bob {IMAGE}"))?.ok()?;
    signet(&stage, "key generate ecdsa -r carol -o carol")?.ok()?;
    // without an ID in its header Docker's client says that it took the key, and forgets it
    let elsewhere = |line: &str| -> Result<()> {
        let call = stage.home.signet(["-d", "elsewhere"].into_iter().chain(line.split_whitespace()))?;
        call.env("NOTARY_DELEGATION_PASSPHRASE", REPOSITORY_PASSPHRASE).ok()?;
        Ok(())
    };
    elsewhere("key import carol-key.pem")?;
    elsewhere("key export -o exported.pem")?;
    docker_trust(&stage, "key load exported.pem --name carol")?.ok()?;
    docker_trust(&stage, &format!("signer add --key carol.pem carol {IMAGE}"))?.ok()?;
    let (_, mut signers) = inspected(&stage)?;
    signers.sort();
    assert_eq!(signers, [r#""bob""#, r#""carol""#]);
    signet(&stage, "key list")?.ok()?.says(&["bob", "carol"])?;

    stage.home.write("manifest", "content")?;
    signet(&stage, &format!("add -p -r targets/releases -r targets/carol {GUN} v2 manifest"))?.ok()?;
    assert_eq!(inspected(&stage)?.0, [r#""v2"["carol"]"#]);
    // a signer that we add is one for Docker
    docker_trust(&stage, "key generate dave")?.ok()?;
    for role in ["targets/dave", "targets/releases"] {
        signet(&stage, &format!("delegation add -p {GUN} {role} dave.pub --all-paths"))?.ok()?;
    }
    ensure!(inspected(&stage)?.1.contains(&r#""dave""#.to_owned()), "dave is a signer");
    Ok(())
}

#[test]
fn what_is_not_released_is_not_shown_to_those_who_read_as_docker() -> Result<()> {
    let stage = with_docker()?;
    docker_trust(&stage, "key generate alice")?.ok()?;
    docker_trust(&stage, &format!("signer add --key alice.pub alice {IMAGE}"))?.ok()?;
    let [first, second] = ["first", "second"].map(|content| stage.home.write(content, content));
    let (first, second) = (first?.display().to_string(), second?.display().to_string());
    for (role, name, file) in [
        ("targets", "both", &first),
        ("targets/releases", "both", &second),
        ("targets/alice", "of alice", &first),
        ("targets", "old", &first),
    ] {
        let add = signet(&stage, &format!("add -r {role} {GUN}"))?.args([name, file]);
        add.ok()?;
    }
    signet(&stage, &format!("publish {GUN}"))?.ok()?;
    let released = signet(&stage, &format!("list {GUN}"))?.ok()?.says(&["both", "old"])?.never_says(&["of alice"])?;
    ensure!(released.stdout.contains("targets/releases"), "targets/releases comes first:\n{released}");
    signet(&stage, &format!("verify {GUN} both -q -i second"))?.ok()?;
    signet(&stage, &format!("lookup {GUN}"))?.args(["of alice"]).refused()?.says(&["No valid trust data"])?;
    // who names roles gets them, and who does not mean Docker gets Notary's order
    signet(&stage, &format!("list -r targets/alice {GUN}"))?.ok()?.says(&["of alice"])?;
    let trust = stage.home.path().join(".docker/trust");
    stage.signet_in(&trust, ["verify", GUN, "both", "-q", "-i", "first"])?.ok()?;
    stage.signet_in(&trust, ["lookup", GUN, "of alice"])?.ok()?;
    Ok(())
}

#[test]
fn docker_s_server_is_asked_by_https_only() -> Result<()> {
    let mut stage = with_docker()?;
    stage.home.set("DOCKER_CONTENT_TRUST_SERVER", stage.server.url().replace("https", "http"));
    signet(&stage, &format!("list {GUN}"))?
        .refused()?
        .says(&["valid https URL required for trust server, got http:"])?;
    docker_trust(&stage, &format!("inspect {IMAGE}"))?.refused()?;
    Ok(())
}
