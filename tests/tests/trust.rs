//! Whom a reader trusts: root certificates of somebody else's making, pins, and roots that follow each other.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use serde_json::json;
use signet_tests::{Desk, Openssl, Paper, Stage, yubikey_table};

const GUN: &str = "docker.io/acme/app";
/// Passphrase of `NOTARY_ROOT_PASSPHRASE` on the stage.
const PASSPHRASE: &str = "root passphrase";

#[test]
fn a_collection_begins_with_a_root_key_and_a_certificate_that_others_made() -> Result<()> {
    let stage = Stage::with_files()?;
    let _agent = stage.home.start_agent()?;
    let openssl = Openssl::of(&stage.home);
    openssl.key("authority")?;
    openssl.self_signed("authority", "authority", &Paper::authority("acme"))?;
    openssl.key("root")?;
    let key = openssl.sealed("root", PASSPHRASE)?;
    for (program, gun) in [("signet", "example.com/ours"), ("notary", "example.com/real")] {
        let certificate = openssl.signed_by("authority", program, "root", &Paper::leaf(gun))?;
        let trust = stage.home.path().join(program);
        let words = ["init", gun, "--rootkey"].map(str::to_owned);
        let words = words.into_iter().chain([key.display().to_string(), "--rootcert".to_owned()]);
        let words: Vec<String> = words.chain([certificate.display().to_string(), "-p".to_owned()]).collect();
        let call = if program == "signet" { stage.signet_in(&trust, &words)? } else { stage.notary(&trust, &words) };
        call.ok()?.says(&["Root key found, using: "])?;
        stage.stranger(["list", gun])?.ok()?;
        stage.signet_in(&stage.home.path().join(format!("reader of {program}")), ["list", gun])?.ok()?;
    }
    // the key is there now, so a certificate is enough, and the real one goes on with what was made
    let other = "example.com/ours/too";
    let certificate = openssl.signed_by("authority", "too", "root", &Paper::leaf(other))?;
    // a header is no part of it: with one in its PEM the key would have another ID for readers
    let text = fs::read_to_string(certificate)?.replacen("CERTIFICATE-----\n", "CERTIFICATE-----\nname: root\n\n", 1);
    let certificate = stage.home.write("with a header.pem", text)?;
    let trust = stage.home.path().join("signet");
    stage.signet_in(&trust, ["init", other, "--rootcert"])?.args([&certificate]).ok()?;
    stage.notary(&trust, ["publish", other]).ok()?;
    stage.stranger(["list", other])?.ok()?;
    Ok(())
}

#[test]
fn a_certificate_that_readers_would_refuse_begins_nothing() -> Result<()> {
    let stage = Stage::with_files()?;
    let _agent = stage.home.start_agent()?;
    let openssl = Openssl::of(&stage.home);
    for name in ["authority", "root", "other"] {
        openssl.key(name)?;
    }
    openssl.call("genpkey -algorithm ed25519 -out").args([openssl.path("ed.key")]).ok()?;
    openssl.self_signed("authority", "authority", &Paper::authority("acme"))?;
    let key = openssl.sealed("root", PASSPHRASE)?;
    let leaf = || Paper::leaf(GUN);
    let good = openssl.signed_by("authority", "good", "root", &leaf())?;
    let issued = |file: &str, key: &str, paper: &Paper<'_>| openssl.signed_by("authority", file, key, paper);
    let expired = issued("expired", "root", &leaf().long_ago())?;
    let old_authority = openssl.self_signed("old", "authority", &Paper::authority("acme").long_ago())?;
    let junk = stage.home.write("junk.pem", "and so on")?;
    for (certificate, problem) in [
        (stage.home.write("empty.pem", "")?, "holds no PEM block `CERTIFICATE`"),
        (openssl.joined("junk after.pem", &[&good, &junk])?, "something follows its last PEM block"),
        (openssl.joined("key beside.pem", &[&good, &openssl.path("root.key")])?, "a PEM block `PRIVATE KEY`"),
        (issued("other", "other", &leaf())?, "it is for key "),
        (issued("ca", "root", &Paper::authority(GUN))?, "an authority's (CA:TRUE)"),
        (openssl.joined("twice.pem", &[&good, &good])?, "certificate 2 is no authority's"),
        (openssl.joined("old chain.pem", &[&good, &old_authority])?, "certificate 2 expired at 20"),
        (issued("name", "root", &Paper::leaf("docker.io/acme/other"))?, "common name is \"docker.io/acme/other\""),
        (issued("wild", "root", &Paper::leaf("docker.io/other/*"))?, "common name is \"docker.io/other/*\""),
        (expired, "certificate 1 expired at 20"),
        (issued("ed", "ed", &leaf())?, "a root key is ECDSA or RSA"),
        (openssl.path("nowhere.pem"), "No such file"),
    ] {
        let call = stage.signet(["init", GUN, "--rootkey"])?.args([&key]).args(["--rootcert"]).args([&certificate]);
        let file = certificate.display().to_string();
        call.refused()?.says(&[&file, "cannot be the certificate of the root key", problem])?;
        let kept = fs::read_dir(stage.home.trust().join("private")).map_or(0, Iterator::count);
        ensure!(kept == 0, "{problem}: {kept} keys were kept");
    }
    let plain = openssl.path("root.key");
    stage.signet(["init", GUN, "--rootkey"])?.args([&plain]).refused()?.says(&["only encrypted root keys may be"])?;
    stage.signet(["init", GUN, "--rootcert"])?.args([&good]).refused()?.says(&["which it is for, is at hand"])?;
    let wild = issued("wild card", "root", &Paper::leaf("docker.io/acme/*"))?;
    stage.signet(["init", GUN, "--rootkey"])?.args([&key]).args(["--rootcert"]).args([&wild]).ok()?;
    Ok(())
}

/// One collection whose root certificate has a chain, and what a reader who pins the bundle says.
struct Chain<'a> {
    name: &'a str,
    leaf: Paper<'a>,
    issuer: &'a str,
    /// Behind the leaf in the root's PEM.
    behind: &'a [&'a str],
    bundle: &'a [&'a str],
    trusted: bool,
}

/// The authorities that chains end at.
fn authorities(openssl: &Openssl<'_>) -> Result<()> {
    for name in ["acme", "other", "middle", "root"] {
        openssl.key(name)?;
    }
    openssl.self_signed("acme", "acme", &Paper::authority("acme"))?;
    openssl.self_signed("other", "other", &Paper::authority("acme"))?;
    openssl.self_signed("expired", "acme", &Paper::authority("acme").long_ago())?;
    openssl.signed_by("acme", "middle", "middle", &Paper::authority("middle"))?;
    let short =
        Paper { extensions: "basicConstraints=critical,CA:TRUE,pathlen:0\n".into(), ..Paper::authority("acme") };
    openssl.self_signed("short", "acme", &short)?;
    let signs = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,digitalSignature\n";
    openssl.self_signed("no signer", "acme", &Paper { extensions: signs.into(), ..short.clone() })?;
    let coder = Paper::authority("acme").and("extendedKeyUsage=codeSigning");
    openssl.self_signed("coder", "acme", &coder)?;
    openssl.self_signed("no authority", "acme", &Paper::leaf("acme"))?;
    Ok(())
}

#[test]
fn a_pinned_authority_vouches_for_the_same_roots_as_in_the_real_notary() -> Result<()> {
    let stage = Stage::with_files()?;
    let _agent = stage.home.start_agent()?;
    let openssl = Openssl::of(&stage.home);
    authorities(&openssl)?;
    let gun = |name: &str| format!("example.com/{name}/app");
    let usage = |usage: &str| Paper::leaf("").and(&format!("extendedKeyUsage={usage}"));
    let chain =
        |name, issuer, behind, bundle, trusted| Chain { name, leaf: Paper::leaf(""), issuer, behind, bundle, trusted };
    let used = |name, words, trusted| Chain { leaf: usage(words), ..chain(name, "acme", &[], &["acme"], trusted) };
    let chains = [
        chain("good", "acme", &[], &["acme"], true),
        chain("one-of-two", "acme", &[], &["other", "acme"], true),
        chain("wrong", "acme", &[], &["other"], false),
        chain("expired", "acme", &[], &["expired"], false),
        chain("no-signer", "acme", &[], &["no signer"], false),
        chain("no-authority", "acme", &[], &["no authority"], false),
        chain("coder", "acme", &[], &["coder"], false),
        chain("in-the-bundle", "middle", &[], &["acme", "middle"], true),
        chain("ends-in-the-middle", "middle", &[], &["middle"], true),
        chain("in-the-root", "middle", &["middle"], &["acme"], true),
        chain("nowhere", "middle", &[], &["acme"], false),
        chain("too-long", "middle", &["middle"], &["short"], false),
        used("code-signing", "codeSigning", false),
        used("server", "serverAuth", true),
        used("code-and-server", "codeSigning,serverAuth", true),
        used("any", "anyExtendedKeyUsage", true),
    ];
    let mut pins = serde_json::Map::new();
    let key = openssl.sealed("root", PASSPHRASE)?;
    for chain in &chains {
        let gun = gun(chain.name);
        let leaf = Paper { name: &gun, ..chain.leaf.clone() };
        let leaf = openssl.signed_by(chain.issuer, &format!("leaf of {}", chain.name), "root", &leaf)?;
        let pem = |name: &&str| openssl.path(&format!("{name}.pem"));
        let behind: Vec<PathBuf> = chain.behind.iter().map(pem).collect();
        let parts: Vec<&Path> = [leaf.as_path()].into_iter().chain(behind.iter().map(PathBuf::as_path)).collect();
        let certificate = openssl.joined(&format!("root of {}.pem", chain.name), &parts)?;
        stage.signet(["init", &gun, "-p", "--rootkey"])?.args([&key]).args(["--rootcert"]).args([&certificate]).ok()?;
        let bundle: Vec<PathBuf> = chain.bundle.iter().map(pem).collect();
        let bundle: Vec<&Path> = bundle.iter().map(PathBuf::as_path).collect();
        let bundle = openssl.joined(&format!("bundle of {}.pem", chain.name), &bundle)?;
        pins.insert(format!("example.com/{}/", chain.name), json!(bundle));
    }
    let config = json!({ "trust_pinning": { "disable_tofu": true, "ca": pins } }).to_string();
    let config = stage.home.write("pins.json", config)?;
    let mut differences = Vec::new();
    for chain in &chains {
        let gun = gun(chain.name);
        let trust = stage.home.path().join(format!("reader of {}", chain.name));
        let ours = stage.signet_in(&trust, ["list", &gun, "-c"])?.args([&config]).finish()?;
        let real = stage.stranger(["list", &gun, "-c"])?.args([&config]).finish()?;
        if [ours.code, real.code].map(|code| code == Some(0)) != [chain.trusted; 2] {
            differences.push(format!("[{}]\n{ours}\n{real}", chain.name));
        }
        if !chain.trusted {
            ours.says(&["could not validate the path to a trusted root: "])?;
        }
    }
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    Ok(())
}

/// A root key on a token, a request from it, and an authority that signs it: pinned by both readers.
fn certified_on_a_token(stage: &Stage, gun: &str, token: &str) -> Result<()> {
    let openssl = Openssl::of(&stage.home);
    openssl.key("acme")?;
    let authority = openssl.self_signed("acme", "acme", &Paper::authority("acme"))?;
    stage.signet(["key", "generate", "--role", "root", "--token", token])?.ok()?;
    let request = openssl.path("request.csr");
    stage.signet(["key", "request", gun, "-o"])?.args([&request]).ok()?.says(&["Request for root key "])?;
    openssl.call("req -verify -noout -text -in").args([&request]).ok()?.says(&[gun, "verify OK", "CA:FALSE"])?;
    // the request says itself what the certificate must say
    let certificate = openssl.path("certificate.pem");
    let sign =
        openssl.call("x509 -req -days 30 -copy_extensions copy -CA acme.pem -CAkey acme.key -CAcreateserial -in");
    sign.args([&request]).args(["-out"]).args([&certificate]).ok()?;
    stage.signet(["init", gun, "-p", "--rootcert"])?.args([&certificate]).ok()?;
    let pins = json!({ "trust_pinning": { "disable_tofu": true, "ca": { "example.com/": authority } } });
    let config = stage.home.write("pins.json", pins.to_string())?;
    stage.stranger(["list", gun, "-c"])?.args([&config]).ok()?;
    let reader = stage.home.path().join("reader");
    stage.signet_in(&reader, ["list", gun, "-c"])?.args([&config]).ok()?;
    let records = stage.audit()?;
    ensure!(records.iter().any(|record| record.kind == "certificate-request"), "the request is not in the log");
    ensure!(!records.iter().any(|record| record.kind == "certificate"), "a certificate was signed that nobody wants");
    Ok(())
}

#[test]
fn an_authority_certifies_a_root_key_that_never_leaves_its_soft_token() -> Result<()> {
    let stage = Stage::with_token()?;
    let _agent = stage.home.start_agent()?;
    certified_on_a_token(&stage, "example.com/soft", "release")
}

#[test]
fn an_authority_certifies_a_root_key_that_never_leaves_its_yubikey() -> Result<()> {
    let stage = Stage::with_files()?;
    let desk = Desk::new(&stage.home, 1)?;
    let _yubikey = desk.insert_set_up(&stage, 0, 4711)?;
    stage.home.agent_toml(&yubikey_table(&stage.home, 4711, &["root"]))?;
    stage.signet(["agent", "stop"])?.ok()?;
    let _agent = stage.home.start_agent()?;
    certified_on_a_token(&stage, "example.com/yubi", "4711")
}

#[test]
fn a_request_needs_a_root_key() -> Result<()> {
    let stage = Stage::with_files()?;
    let _agent = stage.home.start_agent()?;
    stage.signet(["key", "request", GUN])?.refused()?.says(&["no root key to ask a certificate for"])?;
    stage.signet(["key", "generate", "ecdsa", "-r", "root"])?.ok()?;
    let request = stage.signet(["key", "request", GUN])?.ok()?.stdout;
    let file = stage.home.write("request", request.as_bytes())?;
    Openssl::of(&stage.home).call("req -verify -noout -in").args([&file]).ok()?;
    stage.signet(["key", "request", GUN, "-o"])?.args([&file]).refused()?.says(&["cannot write"])?;
    Ok(())
}
