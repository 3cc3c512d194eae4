//! The stage itself: what the stories stand on is real.

use anyhow::Result;
use signet_tests::{Authority, CLIENT_MODULE, Call, NotaryServer, P11KitServer, PIN, Softhsm, Stage, Validity};

const GUN: &str = "example.com/acme/stage";

#[test]
fn the_real_notary_publishes_to_the_real_server() -> Result<()> {
    let stage = Stage::with_files()?;
    let trust = stage.home.path().join("notary");
    let file = stage.home.write("hello.txt", "hello")?;
    stage.notary(&trust, ["init", GUN]).ok()?;
    stage.notary(&trust, ["add", GUN, "hello.txt"]).args([&file]).ok()?;
    stage.notary(&trust, ["publish", GUN]).ok()?;
    stage.stranger(["list", GUN])?.ok()?.says(&["hello.txt"])?;
    assert_eq!(stage.server.version(GUN, "targets")?, 2);
    Ok(())
}

#[test]
fn a_server_with_an_expired_certificate_is_refused_by_the_real_notary() -> Result<()> {
    let mut stage = Stage::with_files()?;
    stage.server = NotaryServer::start_with(&stage.authority, Validity::Expired)?;
    stage.stranger(["list", GUN])?.refused()?.says(&["expired"])?;
    Ok(())
}

#[test]
fn a_served_token_goes_and_comes_back() -> Result<()> {
    let softhsm = Softhsm::new()?;
    softhsm.init_token("release", PIN)?;
    let mut served = P11KitServer::start(&softhsm, "release")?;
    let list = Call::new("/usr/bin/pkcs11-tool", softhsm.path())
        .env("P11_KIT_SERVER_ADDRESS", served.address())
        .args(["--module", CLIENT_MODULE, "--list-token-slots"]);
    list.ok()?.says(&["release"])?;
    served.pull()?;
    list.finish()?.never_says(&["release"])?;
    served.put_back()?;
    list.ok()?.says(&["release"])?;
    Ok(())
}

#[test]
fn a_foreign_authority_is_another_one() -> Result<()> {
    assert_ne!(Authority::new("a")?.pem(), Authority::new("a")?.pem());
    Ok(())
}

#[test]
fn a_person_types_at_a_terminal() -> Result<()> {
    let stage = Stage::with_files()?;
    let command = "printf 'secret? '; stty -echo; read secret; stty echo; test -t 0 && echo got-$secret </dev/tty";
    let mut terminal = stage.home.call("/bin/sh").args(["-c", command]).on_terminal()?;
    terminal.answer_hidden("secret? ", "hunter2")?;
    let seen = terminal.finish()?;
    assert_eq!(seen.stdout.matches("hunter2").count(), 1, "{seen}");
    seen.says(&["got-hunter2"])?;
    Ok(())
}
