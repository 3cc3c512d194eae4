//! Roots that follow each other, as those see them who were away; pins at every step; old metadata sold as new.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use signet_tests::{Agent, Answer, BadServer, Call, Openssl, Paper, Stage};

const GUN: &str = "example.com/acme/app";

/// A published collection and two people who have read it, one with each program.
struct Away {
    stage: Stage,
    _agent: Agent,
    ours: PathBuf,
    real: PathBuf,
}

impl Away {
    fn new() -> Result<Self> {
        let stage = Stage::with_files()?;
        let agent = stage.home.start_agent()?;
        let file = stage.home.write("file", "content")?;
        stage.signet(["init", GUN])?.ok()?;
        stage.signet(["add", "-p", GUN, "one"])?.args([&file]).ok()?;
        let [ours, real] = ["ours", "real"].map(|name| stage.home.path().join(name));
        let this = Self { stage, _agent: agent, ours, real };
        this.ours(&[])?.ok()?;
        this.real(&[])?.ok()?;
        Ok(this)
    }

    fn ours(&self, flags: &[&str]) -> Result<Call> {
        Ok(self.stage.signet_in(&self.ours, ["list", GUN])?.args(flags))
    }

    fn real(&self, flags: &[&str]) -> Result<Call> {
        Ok(self.stage.notary(&self.real, ["list", GUN]).args(flags))
    }

    fn rotate(&self, flags: &[&str]) -> Result<Call> {
        Ok(self.stage.signet(["key", "rotate", GUN, "root", "--yes"])?.args(flags))
    }

    fn root(&self, file: &str) -> Result<Vec<u8>> {
        self.stage.server.metadata(GUN, file)?.with_context(|| format!("no {file}"))
    }

    /// The same server, which gives `body` for a file.
    fn with(&self, file: &'static str, body: Vec<u8>) -> Result<BadServer> {
        BadServer::before(&self.stage.server, move |request| {
            request.ends_with(&format!("/{file}")).then(|| Answer::ok(body.clone()))
        })
    }

    fn list_at(&self, server: &BadServer, trust: &Path) -> Result<Call> {
        Ok(self.stage.home.signet(["-s", &server.url(), "-d"])?.args([trust]).args(["list", GUN]))
    }

    /// A root key of the person's own, its certificate by an authority for the collection.
    fn certified_key(&self, openssl: &Openssl<'_>, name: &str, paper: &Paper<'_>) -> Result<(String, PathBuf)> {
        let made = self.stage.signet(["key", "generate", "ecdsa", "-r", "root"])?.ok()?.stdout;
        let id = made.split_whitespace().find(|word| word.len() == 64).context("no ID")?.to_owned();
        let request = openssl.path(&format!("{name}.csr"));
        self.stage.signet(["key", "request", GUN, "--root", &id, "-o"])?.args([&request]).ok()?;
        Ok((id, openssl.for_request("acme", name, &request, paper)?))
    }
}

/// The same metadata without the signatures of all keys but these.
fn only_signed_by(metadata: &[u8], keys: &[String]) -> Result<Vec<u8>> {
    const SIGNATURES: &str = ",\"signatures\":";
    let whole = std::str::from_utf8(metadata)?;
    let (signed, _) = whole.rsplit_once(SIGNATURES).context("no signatures")?;
    let parsed: Value = serde_json::from_str(whole)?;
    let signatures = parsed.get("signatures").and_then(Value::as_array).context("no signatures")?;
    let is_kept = |signature: &&Value| keys.iter().any(|key| signature.get("keyid") == Some(&json!(key)));
    let kept: Vec<&Value> = signatures.iter().filter(is_kept).collect();
    ensure!(!kept.is_empty() && kept.len() < signatures.len(), "nothing was taken away, or everything");
    Ok(format!("{signed}{SIGNATURES}{}}}", serde_json::to_string(&kept)?).into_bytes())
}

/// The IDs that a root lists for its own role.
fn root_keys(metadata: &[u8]) -> Result<Vec<String>> {
    let root: Value = serde_json::from_slice(metadata)?;
    let ids = root.pointer("/signed/roles/root/keyids").context("no root role")?.clone();
    Ok(serde_json::from_value(ids)?)
}

#[test]
fn who_was_away_for_three_rotations_follows_them_all() -> Result<()> {
    let away = Away::new()?;
    for _ in 0..3 {
        away.rotate(&[])?.ok()?;
    }
    ensure!(away.stage.server.version(GUN, "root")? == 4, "three rotations make root version 4");
    away.ours(&[])?.ok()?.says(&["one"])?;
    away.real(&[])?.ok()?.says(&["one"])?;
    Ok(())
}

#[test]
fn a_root_that_only_the_old_or_only_the_new_key_signed_is_refused() -> Result<()> {
    let away = Away::new()?;
    let old = root_keys(&away.root("root.json")?)?;
    away.rotate(&[])?.ok()?;
    let rotated = away.root("root.json")?;
    let new = root_keys(&rotated)?;
    for (who, keys) in [("old", &old), ("new", &new)] {
        let server = away.with("root.json", only_signed_by(&rotated, keys)?)?;
        let told = away.list_at(&server, &away.ours)?.refused().with_context(|| format!("only the {who} key"))?;
        told.says(&["could not rotate trust to a new trusted root"])?;
    }
    away.ours(&[])?.ok()?.says(&["one"])?;
    Ok(())
}

#[test]
fn a_missing_link_of_the_chain_is_not_jumped_over() -> Result<()> {
    let away = Away::new()?;
    away.rotate(&[])?.ok()?;
    away.rotate(&[])?.ok()?;
    // version 3 in place of version 2
    let server = away.with("2.root.json", away.root("root.json")?)?;
    away.list_at(&server, &away.ours)?.refused()?.says(&["could not rotate trust to a new trusted root"])?;
    away.ours(&[])?.ok()?.says(&["one"])?;
    Ok(())
}

#[test]
fn a_timestamp_that_is_kept_from_going_on_is_noticed() -> Result<()> {
    let away = Away::new()?;
    let frozen = away.root("timestamp.json")?;
    let file = away.stage.home.write("file", "content")?;
    away.stage.signet(["add", "-p", GUN, "two"])?.args([&file]).ok()?;
    away.ours(&[])?.ok()?.says(&["two"])?;
    // an older one to somebody who knows better
    let server = away.with("timestamp.json", frozen)?;
    away.list_at(&server, &away.ours)?.refused()?.says(&["is lower than current version"])?;
    // the newest, too late: a timestamp lives two weeks
    let server = away.with("timestamp.json", away.root("timestamp.json")?)?;
    away.list_at(&server, &away.ours)?.by_clock("+13d").ok()?;
    away.list_at(&server, &away.ours)?.by_clock("+15d").refused()?.says(&["timestamp", "expired"])?;
    Ok(())
}

#[test]
fn what_was_read_serves_while_the_server_is_down_and_until_it_expires() -> Result<()> {
    let mut away = Away::new()?;
    away.stage.server.stop();
    away.ours(&[])?.ok()?.says(&["one", "using cached timestamp"])?;
    away.ours(&[])?.by_clock("+15d").refused()?.says(&["timestamp", "expired"])?;
    Ok(())
}

#[test]
fn a_rotation_past_a_pinned_authority_is_refused_and_one_that_it_certifies_is_followed() -> Result<()> {
    let away = Away::new()?;
    let openssl = Openssl::of(&away.stage.home);
    openssl.key("acme")?;
    let authority = openssl.self_signed("acme", "acme", &Paper::authority("acme"))?;
    let pins = json!({ "trust_pinning": { "disable_tofu": true, "ca": { "example.com/": authority } } });
    let pins = away.stage.home.write("pins.json", pins.to_string())?.display().to_string();
    let pinned = ["-c", pins.as_str()];

    let (_, certificate) = away.certified_key(&openssl, "second", &Paper::leaf(GUN))?;
    let certificate = certificate.display().to_string();
    away.rotate(&["--rootcert", &certificate])?.ok()?;
    away.ours(&pinned)?.ok()?.says(&["one"])?;
    away.real(&pinned)?.ok()?.says(&["one"])?;
    // root key and self-signed certificate by who got hold of the root key
    away.rotate(&[])?.ok()?;
    away.ours(&pinned)?.refused()?.says(&["unable to match any certificates to trust_pinning config"])?;
    // the original asks nothing of those who were there before
    away.real(&pinned)?.ok()?;
    let (_, certificate) = away.certified_key(&openssl, "fourth", &Paper { made: "-300d", ..Paper::leaf(GUN) })?;
    let certificate = certificate.display().to_string();
    away.rotate(&["--rootcert", &certificate])?.ok()?;
    away.ours(&pinned)?.ok()?.says(&["one"])?;
    away.stage.stranger(["list", GUN])?.args(pinned).ok()?;
    // the certificate has three months left, the authority a year
    let plain = BadServer::before(&away.stage.server, |_| None)?;
    let stranger = away.stage.home.path().join("stranger");
    let later = away.list_at(&plain, &stranger)?.args(pinned).by_clock("+100d");
    later.refused()?.says(&["unable to match any certificates to trust_pinning config"])?;
    Ok(())
}

#[test]
fn a_root_that_lists_a_pinned_certificate_must_be_signed_by_it() -> Result<()> {
    let away = Away::new()?;
    let keys: Vec<String> = {
        let made = away.stage.signet(["key", "generate", "ecdsa", "-r", "root"])?.ok()?.stdout;
        let listed = away.stage.signet(["key", "list", "--json"])?.ok()?.stdout;
        let listed: Vec<Value> = serde_json::from_str(&listed)?;
        let roots = listed.iter().filter(|key| key.get("role") == Some(&json!("root")));
        ensure!(made.contains("root key"), "no second root key: {made}");
        roots.filter_map(|key| key.get("key_id")?.as_str().map(str::to_owned)).collect()
    };
    away.rotate(&["--to", &keys.join(",")])?.ok()?;
    let both = away.root("root.json")?;
    let listed = root_keys(&both)?;
    let [pinned, other] = <[String; 2]>::try_from(listed).map_err(|ids| anyhow!("not two root keys: {ids:?}"))?;
    let pins = json!({ "trust_pinning": { "certs": { GUN: [pinned] } } });
    let config = away.stage.home.write("pins.json", pins.to_string())?;
    let server = away.with("root.json", only_signed_by(&both, &[other])?)?;
    let stranger = away.stage.home.path().join("stranger");
    let told = away.list_at(&server, &stranger)?.args(["-c"]).args([&config]).refused()?;
    told.says(&["failed to validate integrity of roots"])?;
    away.stage.stranger(["list", GUN, "-c"])?.args([&config]).ok()?;
    away.stage.signet_in(&stranger, ["list", GUN, "-c"])?.args([&config]).ok()?;
    Ok(())
}
