//! Whom a reader trusts: root certificates of somebody else's making, pins, and roots that follow each other.

use std::fs;

use anyhow::{Result, ensure};
use signet_tests::{Openssl, Paper, Stage};

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
