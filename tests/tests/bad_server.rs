//! Servers that are broken, hostile, or no notary-server at all: the message names the server, the status is 1, and what was
//! staged stays staged.

use std::time::Duration;

use anyhow::{Context, Result};
use signet_tests::{Agent, Answer, BadServer, Call, Finished, Stage};

const GUN: &str = "example.com/acme/app";
const OTHER: &str = "example.com/acme/other";
const MIB: u64 = 1 << 20;

/// Everything that a stranger downloads.
const DOWNLOADS: [&str; 5] = ["/v2/", "root.json", "timestamp.json", "snapshot.", "targets."];

#[test]
fn nonsense_in_place_of_metadata_is_refused_and_named() -> Result<()> {
    let (stage, _agent) = staged()?;
    for place in DOWNLOADS {
        for (what, answer) in nonsense(place) {
            let server = misbehaving(&stage, "GET", place, answer.clone())?;
            let told = stranger(&stage, &server)?.refused().with_context(|| format!("{what} at {place}"))?;
            plain(told, &server).with_context(|| format!("{what} at {place}"))?;
        }
    }
    Ok(())
}

#[test]
fn nonsense_while_publishing_loses_nothing() -> Result<()> {
    let (stage, _agent) = staged()?;
    for (method, place) in [("GET", "/v2/"), ("GET", "root.json"), ("GET", "timestamp.json"), ("POST", "")] {
        for (what, answer) in nonsense(place) {
            let server = misbehaving(&stage, method, place, answer.clone())?;
            let told = publish(&stage, &server)?.refused().with_context(|| format!("{what} at {method} {place}"))?;
            plain(told, &server).with_context(|| format!("{what} at {method} {place}"))?;
            stage.signet(["status", GUN])?.ok()?.says(&["first"])?;
        }
    }
    stage.signet(["publish", GUN])?.ok()?;
    stage.stranger(["list", GUN])?.ok()?.says(&["first"])?;
    Ok(())
}

#[test]
fn a_broken_server_does_not_hide_what_is_known_already() -> Result<()> {
    let (stage, _agent) = staged()?;
    stage.signet(["publish", GUN])?.ok()?;
    stage.signet(["list", GUN])?.ok()?;
    let server = misbehaving(&stage, "GET", "timestamp.json", html("502 Bad Gateway"))?;
    let list = with_server(&stage, &server, &stage.home.trust(), &["list", GUN])?.ok()?;
    list.says(&["first", "using cached timestamp"])?;
    Ok(())
}

#[test]
fn a_server_that_goes_silent_is_given_up() -> Result<()> {
    let (stage, _agent) = staged()?;
    let drip = Answer::Drip { body: b"{\"signed\":".to_vec(), announced: 100 };
    let silences = [("/v2/", Answer::Silence), ("root.json", Answer::Silence), ("timestamp.json", drip.clone())];
    for (place, answer) in silences.into_iter().chain([("snapshot.", drip.clone()), ("targets.", drip)]) {
        let server = misbehaving(&stage, "GET", place, answer)?;
        // The bound is a minute. The client's own clock runs twenty times as fast.
        let told = stranger(&stage, &server)?
            .by_clock("+0 x20")
            .limit(Duration::from_secs(20))
            .refused()
            .with_context(|| format!("silence at {place}"))?;
        plain(told.says(&["no answer within"])?, &server)?;
    }
    Ok(())
}

#[test]
fn a_body_of_a_gigabyte_is_not_read_to_its_end() -> Result<()> {
    let (stage, _agent) = staged()?;
    let endless = Answer::Flood { bytes: 1024 * MIB };
    let announced = Answer::Truncated { body: b"{".to_vec(), announced: 1 << 30 };
    let broken = Answer::Http { status: "400 Bad Request", header: String::new(), body: vec![b'x'; 64 << 20] };
    for (answer, limit_bytes) in [(endless, 320 * MIB), (announced, 96 * MIB), (broken, 96 * MIB)] {
        for place in DOWNLOADS.into_iter().skip(1) {
            let server = misbehaving(&stage, "GET", place, answer.clone())?;
            let told = stranger(&stage, &server)?.refused()?;
            assert!(
                told.peak_bytes > 0 && told.peak_bytes < limit_bytes,
                "{} bytes at {place}:\n{told}",
                told.peak_bytes
            );
            plain(told, &server)?;
        }
    }
    Ok(())
}

#[test]
fn metadata_of_another_collection_is_not_this_one() -> Result<()> {
    let (stage, _agent) = staged()?;
    stage.signet(["init", OTHER])?.ok()?;
    stage.signet(["publish", OTHER])?.ok()?;
    let root = other_metadata(&stage, "root.json")?;
    let server = misbehaving(&stage, "GET", "root.json", Answer::ok(root))?;
    let told = stranger(&stage, &server)?.refused()?;
    told.says(&[
        "could not validate the path to a trusted root",
        &format!("no root key has a valid certificate for `{GUN}`"),
    ])?;
    publish(&stage, &server)?.refused()?.says(&[GUN, "could not rotate trust to a new trusted root"])?;
    for place in ["timestamp.json", "snapshot.", "targets."] {
        let role = place.trim_end_matches(".json").trim_end_matches('.');
        let server = misbehaving(&stage, "GET", place, Answer::ok(other_metadata(&stage, &format!("{role}.json"))?))?;
        stranger(&stage, &server)?.refused()?.says(&[GUN, role])?;
    }
    stage.signet(["status", GUN])?.ok()?.says(&["first"])?;
    Ok(())
}

#[test]
fn a_redirection_is_not_followed() -> Result<()> {
    let (stage, _agent) = staged()?;
    for place in ["/v2/", "root.json"] {
        let header = "Location: /v2/example.com/acme/app/_trust/tuf/root.json".to_owned();
        let answer = Answer::Http { status: "302 Found", header, body: Vec::new() };
        let server = misbehaving(&stage, "GET", place, answer)?;
        plain(stranger(&stage, &server)?.refused()?.says(&["302"])?, &server)?;
        let asked = server.seen().into_iter().filter(|request| request.ends_with(place)).count();
        assert_eq!(asked, 1, "{:?}", server.seen());
    }
    Ok(())
}

/// What stands at the URL of a notary-server when it is something else, or broken.
fn nonsense(place: &str) -> Vec<(&'static str, Answer)> {
    let mut answers = vec![
        ("another protocol", Answer::Raw(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n".to_vec())),
        ("nothing at all", Answer::Raw(Vec::new())),
        ("a failing proxy", html("500 Internal Server Error")),
    ];
    // As Notary's, the first question is whether there is a server: any success will do.
    if place != "/v2/" {
        answers.push(("half a file", Answer::Truncated { body: b"{\"signed\":{".to_vec(), announced: 1000 }));
        answers.push(("a login page", html("200 OK")));
        answers.push(("other JSON", Answer::ok("[1,2,3]")));
    }
    answers
}

fn html(status: &'static str) -> Answer {
    let body = b"<!DOCTYPE html>\n<html><head><title>Oops</title></head>\n<body><h1>\x1b[31mOops</h1></body></html>\n"
        .to_vec();
    Answer::Http { status, header: "Content-Type: text/html".to_owned(), body }
}

/// Gives `answer` to every request with that method for what ends or begins so.
fn misbehaving(stage: &Stage, method: &'static str, place: &'static str, answer: Answer) -> Result<BadServer> {
    BadServer::before(&stage.server, move |request| {
        let (asked, path) = request.split_once(' ')?;
        let file = path.rsplit('/').next()?;
        let meant = match place {
            "" => true,
            "/v2/" => path == place,
            _ => file.starts_with(place),
        };
        (asked == method && meant).then(|| answer.clone())
    })
}

/// Said by status 1 and in one breath: which server, and nothing of what it sent that could harm a terminal.
fn plain(told: Finished, server: &BadServer) -> Result<()> {
    let name = server.name();
    let lines = told.stdout.lines().chain(told.stderr.lines()).count();
    assert!(lines < 12, "too many words:\n{told}");
    told.says(&[&name])?.never_says(&["panicked", "\u{1b}", "<html>"])?;
    Ok(())
}

fn stranger(stage: &Stage, server: &BadServer) -> Result<Call> {
    let trust = tempfile_in(stage)?;
    with_server(stage, server, &trust, &["list", GUN])
}

fn publish(stage: &Stage, server: &BadServer) -> Result<Call> {
    with_server(stage, server, &stage.home.trust(), &["publish", GUN])
}

fn with_server(stage: &Stage, server: &BadServer, trust: &std::path::Path, args: &[&str]) -> Result<Call> {
    Ok(stage.home.signet(["-s", &server.url(), "-d"])?.args([trust]).args(args))
}

fn tempfile_in(stage: &Stage) -> Result<std::path::PathBuf> {
    let trust = stage.home.path().join(format!("stranger-{}", std::fs::read_dir(stage.home.path())?.count()));
    std::fs::create_dir(&trust)?;
    Ok(trust)
}

fn other_metadata(stage: &Stage, file: &str) -> Result<Vec<u8>> {
    stage.server.metadata(OTHER, file)?.with_context(|| format!("no {file} on the server"))
}

/// A published collection with one more target staged.
fn staged() -> Result<(Stage, Agent)> {
    let stage = Stage::with_files()?;
    let agent = stage.home.start_agent()?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["publish", GUN])?.ok()?;
    stage.signet(["add", GUN, "first"])?.args([&file]).ok()?;
    Ok((stage, agent))
}
