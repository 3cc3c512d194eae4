//! Who we are to a server, and the ways to it: tokens of a token server that the real notary-server believes, passwords from
//! every place that may hold them, proxies, client certificates; and beside each the real `notary`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use signet_tests::{
    ALICE, Agent, Answer, BadServer, Call, ConnectProxy, Finished, Guard, Home, IDENTITY_TOKEN, Manner, NotaryServer,
    PROXY_USER, RAY, Stage, Temper, TokenServer, binary, docker_config, notary_auth,
};

const GUN: &str = "example.com/acme/app";
const OFFLINE: i32 = 5;
const REFUSED: i32 = 6;
const TLS: i32 = 10;
const NOT_AUTHORIZED: i32 = 11;
const UNKNOWN: i32 = 12;

/// A server that wants tokens, and who gives them.
struct Guarded {
    stage: Stage,
    tokens: TokenServer,
    _agent: Agent,
}

impl Guarded {
    fn new(manner: Manner) -> Result<Self> {
        Self::with(|authority| TokenServer::start(authority, manner))
    }

    fn with(tokens: impl FnOnce(&signet_tests::Authority) -> Result<TokenServer>) -> Result<Self> {
        let mut stage = Stage::with_files()?;
        let tokens = tokens(&stage.authority)?;
        stage.server = NotaryServer::start_guarded(&stage.authority, Guard::Tokens(&tokens))?;
        stage.home.write("file", "content")?;
        let agent = stage.home.start_agent()?;
        Ok(Self { stage, tokens, _agent: agent })
    }

    /// With a collection that Alice has published.
    fn published(manner: Manner) -> Result<Self> {
        let guarded = Self::new(manner)?;
        guarded.publish_first()?;
        Ok(guarded)
    }

    fn publish_first(&self) -> Result<()> {
        self.by(ALICE, ["init", GUN])?.ok()?;
        self.by(ALICE, ["add", GUN, "first", "file", "-p"])?.ok()?;
        drop(self.tokens.asked());
        Ok(())
    }

    fn by(&self, user: (&str, &str), args: impl IntoIterator<Item = &'static str>) -> Result<Call> {
        Ok(self.stage.signet(args)?.env("NOTARY_AUTH", notary_auth(user)))
    }

    /// Without a user name, and with an empty trust directory.
    fn stranger(&self, args: impl IntoIterator<Item = &'static str>) -> Result<Call> {
        self.stage.signet_in(&fresh(&self.stage.home)?, args)
    }

    fn docker(&self, config: &serde_json::Value) -> Result<PathBuf> {
        docker_config(&self.stage.home.path().join("docker"), config)
    }

    fn name(&self) -> String {
        self.stage.server.url().trim_start_matches("https://").to_owned()
    }

    /// A credential helper that does `script`, in the PATH of `call`.
    fn with_helper(&self, call: &Call, script: &str) -> Result<Call> {
        let directory = self.stage.home.path().join("helpers");
        fs::create_dir_all(&directory)?;
        let path = directory.join("docker-credential-story");
        fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        let docker = self.docker(&json!({ "credsStore": "story" }))?;
        let programs = binary("signet")?.parent().map(Path::to_owned).unwrap_or_default();
        let search = format!("{}:{}:/usr/bin:/bin", directory.display(), programs.display());
        Ok(call.clone().env("PATH", search).env("DOCKER_CONFIG", docker))
    }
}

fn fresh(home: &Home) -> Result<PathBuf> {
    Ok(tempfile::Builder::new().prefix("stranger-").tempdir_in(home.path())?.keep())
}

/// `signet` under the name `notary`.
fn as_notary(stage: &Stage) -> Result<PathBuf> {
    let ours = stage.home.path().join("notary");
    if !ours.exists() {
        symlink(binary("signet")?, &ours)?;
    }
    Ok(ours)
}

/// What both programs have on standard output, and their status.
fn side_by_side(stage: &Stage, dress: impl Fn(Call) -> Call, args: &[&str]) -> Result<(Finished, Finished)> {
    let call =
        |program: &Path| -> Result<Finished> { dress(stage.called(program, &fresh(&stage.home)?, args)).finish() };
    Ok((call(&as_notary(stage)?)?, call(Path::new("/usr/bin/notary"))?))
}

#[test]
fn strangers_read_as_nobody_and_alice_publishes() -> Result<()> {
    let guarded = Guarded::published(Manner::Open)?;
    guarded.stranger(["list", GUN])?.ok()?.says(&["first"])?;
    assert_eq!(guarded.tokens.lines(), [format!("nobody repository:{GUN}:pull")]);
    // a user name that is known is not used where nobody wants it
    guarded.by(ALICE, ["list", GUN])?.ok()?.says(&["first"])?;
    assert_eq!(guarded.tokens.lines(), [format!("nobody repository:{GUN}:pull")]);
    guarded.by(ALICE, ["publish", GUN])?.ok()?;
    assert_eq!(guarded.tokens.lines(), [format!("alice repository:{GUN}:push,pull")]);
    guarded.by(ALICE, ["delete", GUN, "--remote"])?.ok()?;
    assert_eq!(guarded.tokens.lines(), [format!("alice repository:{GUN}:*")]);
    guarded.stranger(["list", GUN])?.fails_with(UNKNOWN)?.says(&["does not have trust data for"])?;
    Ok(())
}

#[test]
fn where_strangers_may_not_read_the_user_is_told() -> Result<()> {
    for manner in [Manner::Closed, Manner::KnowsNoStrangers] {
        let guarded = Guarded::published(manner)?;
        guarded.by(RAY, ["list", GUN])?.ok()?.says(&["first"])?;
        let pull = |who: &str| format!("{who} repository:{GUN}:pull");
        assert_eq!(guarded.tokens.lines(), [pull("nobody"), pull("ray")]);
        let told = guarded.stranger(["list", GUN])?.fails_with(NOT_AUTHORIZED)?;
        told.says(&["somebody without a user name", "401", "NOTARY_AUTH", "docker login"])?;
        // the real one gives up where a token server knows no strangers
        let real = guarded.stage.stranger(["list", GUN])?.env("NOTARY_AUTH", notary_auth(RAY)).finish()?;
        assert_eq!(real.code, Some(i32::from(manner == Manner::KnowsNoStrangers)), "{real}");
    }
    Ok(())
}

#[test]
fn a_wrong_password_is_told_with_the_token_servers_words() -> Result<()> {
    let guarded = Guarded::published(Manner::Open)?;
    let wrong = ("alice", "not her password");
    guarded.by(wrong, ["publish", GUN])?.fails_with(NOT_AUTHORIZED)?.says(&[
        &guarded.tokens.realm(),
        "alice (NOTARY_AUTH)",
        "401",
        "incorrect username or password",
        "check the password",
    ])?;
    guarded.stage.signet(["status", GUN])?.ok()?;
    Ok(())
}

#[test]
fn who_may_only_read_is_refused_by_the_server_and_told_so() -> Result<()> {
    let guarded = Guarded::published(Manner::Open)?;
    guarded.by(RAY, ["add", GUN, "second", "file"])?.ok()?;
    let told = guarded.by(RAY, ["publish", GUN])?.fails_with(NOT_AUTHORIZED)?;
    told.says(&["does not let ray (NOTARY_AUTH) publish", "401", "insufficient_scope", "ask the operator"])?;
    guarded.stage.signet(["status", GUN])?.ok()?.says(&["second"])?;
    guarded.by(ALICE, ["publish", GUN])?.ok()?;
    Ok(())
}

#[test]
fn without_a_user_name_a_publication_says_what_is_missing() -> Result<()> {
    let guarded = Guarded::published(Manner::Open)?;
    guarded.stage.signet(["add", GUN, "second", "file"])?.ok()?;
    let told = guarded.stage.signet(["publish", GUN])?.fails_with(NOT_AUTHORIZED)?;
    told.says(&["somebody without a user name", "NOTARY_AUTH", "docker login"])?;
    Ok(())
}

#[test]
fn a_token_that_ends_in_the_middle_is_renewed() -> Result<()> {
    let guarded = Guarded::published(Manner::Open)?;
    let challenge = format!("{},error=\"invalid_token\"", guarded.tokens.challenge());
    let ended = std::sync::atomic::AtomicBool::new(false);
    let before = BadServer::before(&guarded.stage.server, move |request| {
        let in_the_middle = request.starts_with("GET") && request.ends_with("/timestamp.json");
        let first = in_the_middle && !ended.swap(true, std::sync::atomic::Ordering::SeqCst);
        let header = challenge.clone();
        first.then_some(Answer::Http { status: "401 Unauthorized", header, body: Vec::new() })
    })?;
    guarded.by(ALICE, ["add", GUN, "second", "file"])?.ok()?;
    let publish = guarded.by(ALICE, ["publish", GUN])?.args(["-s", &before.url()]);
    publish.ok()?;
    let push = format!("alice repository:{GUN}:push,pull");
    assert_eq!(guarded.tokens.lines(), [push.clone(), push]);
    guarded.stranger(["list", GUN])?.ok()?.says(&["second"])?;
    Ok(())
}

#[test]
fn a_token_that_has_ended_is_not_shown_again() -> Result<()> {
    let guarded = Guarded::published(Manner::Open)?;
    let push = || format!("alice repository:{GUN}:push,pull");
    let add = |name: &'static str| guarded.by(ALICE, ["add", GUN, name, "file", "-p"])?.ok();
    add("second")?;
    assert_eq!(guarded.tokens.lines(), [push()]);
    // ended before the next request, however soon that is
    guarded.tokens.lifetime(Duration::from_nanos(1));
    add("third")?;
    let asked = guarded.tokens.lines();
    assert!(asked.len() > 2 && asked.iter().all(|line| *line == push()), "{asked:?}");
    Ok(())
}

#[test]
fn a_server_that_takes_no_token_at_all_is_not_asked_for_ever() -> Result<()> {
    let guarded = Guarded::published(Manner::Open)?;
    let challenge = format!("{},error=\"invalid_token\"", guarded.tokens.challenge());
    let never = BadServer::before(&guarded.stage.server, move |_| {
        Some(Answer::Http { status: "401 Unauthorized", header: challenge.clone(), body: Vec::new() })
    })?;
    let told = guarded.by(ALICE, ["publish", GUN])?.args(["-s", &never.url()]).fails_with(NOT_AUTHORIZED)?;
    told.says(&["invalid_token", "does not believe its token server"])?;
    assert!(never.seen().len() < 5, "{:?}", never.seen());
    Ok(())
}

#[test]
fn a_credential_helper_says_who_we_are() -> Result<()> {
    let guarded = Guarded::published(Manner::Open)?;
    let name = guarded.name();
    let (user, password) = ALICE;
    let answer = format!(r#"{{"ServerURL":"","Username":"{user}","Secret":"{password}"}}"#);
    let script = format!("[ \"$1 $(cat)\" = 'get {name}' ] && [ -z \"$NOTARY_ROOT_PASSPHRASE\" ] && echo '{answer}'");
    let publish = guarded.stage.signet(["publish", GUN, "-v"])?;
    guarded
        .with_helper(&publish, &script)?
        .ok()?
        .says(&[&format!("we are alice (docker-credential-story, for {name})")])?
        .never_says(&[password])?;
    assert_eq!(guarded.tokens.lines(), [format!("alice repository:{GUN}:push,pull")]);
    Ok(())
}

#[test]
fn a_helper_that_does_not_help_is_named_once_and_the_work_goes_on() -> Result<()> {
    let guarded = Guarded::published(Manner::Closed)?;
    let list = guarded.stranger(["list", GUN])?;
    for (script, words) in [
        ("echo no key ring; exit 3", "docker-credential-story failed: no key ring"),
        ("echo '{\"Username\"'", "docker-credential-story answers something else"),
        ("echo credentials not found in native keychain; exit 1", "somebody without a user name"),
    ] {
        let told = guarded.with_helper(&list, script)?.fails_with(NOT_AUTHORIZED)?;
        assert!(told.stderr.lines().count() < 5, "{told}");
        told.says(&[words, "without a user name"])?;
    }
    // The bound is a minute; the client's clock runs sixty times as fast.
    let hanging = guarded.with_helper(&list, "exec sleep 600")?.by_clock("+0 x60").limit(Duration::from_secs(20));
    hanging.fails_with(NOT_AUTHORIZED)?.says(&["docker-credential-story has said nothing for 60 seconds"])?;
    let docker = guarded.docker(&json!({ "credHelpers": { guarded.name(): "nowhere" } }))?;
    let missing = list.clone().env("DOCKER_CONFIG", docker);
    missing.fails_with(NOT_AUTHORIZED)?.says(&["docker-credential-nowhere is in no directory that PATH names"])?;
    let docker = guarded.docker(&json!({ "auths": 7 }))?;
    let odd = list.env("DOCKER_CONFIG", docker).fails_with(NOT_AUTHORIZED)?;
    odd.says(&["docker/config.json is not what Docker writes, at line 1"])?;
    Ok(())
}

#[test]
fn what_docker_login_keeps_says_who_we_are() -> Result<()> {
    let guarded = Guarded::published(Manner::Open)?;
    let name = guarded.name();
    for (entry, who) in [
        (json!({ "auth": notary_auth(ALICE) }), "alice"),
        (json!({ "auth": notary_auth(("alice", "old")), "identitytoken": IDENTITY_TOKEN }), "identity token"),
    ] {
        let docker = guarded.docker(&json!({ "auths": { &name: entry } }))?;
        let publish = guarded.stage.signet(["publish", GUN, "-D"])?.env("DOCKER_CONFIG", docker);
        publish.ok()?.says(&["docker/config.json, for "])?.never_says(&[IDENTITY_TOKEN, ALICE.1])?;
        assert_eq!(guarded.tokens.lines(), [format!("{who} repository:{GUN}:push,pull")]);
    }
    let entry = json!({ "identitytoken": "withdrawn" });
    let docker = guarded.docker(&json!({ "auths": { &name: entry } }))?;
    let refused = guarded.stage.signet(["publish", GUN])?.env("DOCKER_CONFIG", docker).fails_with(NOT_AUTHORIZED)?;
    refused.says(&["identity token", "log in again"])?.never_says(&["withdrawn"])?;
    // what the variable says comes first
    let docker = guarded.docker(&json!({ "auths": { &name: { "auth": notary_auth(RAY) } } }))?;
    guarded.by(ALICE, ["publish", GUN])?.env("DOCKER_CONFIG", docker).ok()?;
    Ok(())
}

#[test]
fn a_person_at_a_terminal_is_asked() -> Result<()> {
    let guarded = Guarded::published(Manner::Open)?;
    let mut terminal = guarded.stage.signet(["publish", GUN])?.on_terminal()?;
    terminal.answer("Enter username: ", ALICE.0)?;
    terminal.answer_hidden("Enter password: ", ALICE.1)?;
    let seen = terminal.finish()?;
    assert_eq!(seen.code, Some(0), "{seen}");
    let told = format!("{} asks who you are; your answer goes to {}", guarded.name(), guarded.tokens.realm());
    let (before, _) = seen.stdout.split_once("Enter username: ").unwrap_or_default();
    assert!(before.contains(&told), "{seen}");
    seen.never_says(&[ALICE.1])?;
    assert_eq!(guarded.tokens.lines(), [format!("alice repository:{GUN}:push,pull")]);
    Ok(())
}

#[test]
fn a_variable_that_is_no_base64_is_told_in_notarys_words() -> Result<()> {
    let guarded = Guarded::published(Manner::Open)?;
    let dress = |call: Call| call.env("NOTARY_AUTH", "alice:secret");
    let (ours, real) = side_by_side(&guarded.stage, dress, &["list", GUN])?;
    assert_eq!((ours.code, &ours.stdout), (real.code, &real.stdout), "{ours}{real}");
    let (ours, real) = side_by_side(&guarded.stage, dress, &["delete", GUN, "--remote"])?;
    assert_eq!((ours.code, real.code), (Some(1), Some(1)), "{ours}{real}");
    for told in [ours, real] {
        told.says(&["level=error msg=\"Could not base64-decode authentication string\"", "401"])?
            .never_says(&["secret"])?;
    }
    Ok(())
}

#[test]
fn a_variable_without_a_password_is_nobody_and_that_is_said() -> Result<()> {
    let guarded = Guarded::published(Manner::Open)?;
    let dress = |call: Call| call.env("NOTARY_AUTH", notary_auth(("alice", "")));
    let (ours, real) = side_by_side(&guarded.stage, dress, &["list", GUN])?;
    assert_eq!((ours.code, &ours.stdout), (real.code, &real.stdout), "{ours}{real}");
    let (ours, real) = side_by_side(&guarded.stage, dress, &["delete", GUN, "--remote"])?;
    assert_eq!((ours.code, &ours.stdout), (real.code, &real.stdout), "{ours}{real}");
    ours.says(&["NOTARY_AUTH has no password for alice"])?.never_says(&["zero-length"])?;
    real.never_says(&["password", "zero-length"])?;
    assert!(guarded.tokens.lines().iter().all(|line| line.starts_with("nobody ")));
    Ok(())
}

#[test]
fn both_programs_ask_the_token_server_for_the_same() -> Result<()> {
    let guarded = Guarded::new(Manner::Closed)?;
    let script: [&[&str]; 8] = [
        &["init", GUN],
        &["add", GUN, "first", "file"],
        &["publish", GUN],
        &["list", GUN],
        &["add", GUN, "second", "file", "-p"],
        &["lookup", GUN, "second"],
        &["key", "rotate", GUN, "snapshot", "-r"],
        &["delete", GUN, "--remote"],
    ];
    let run = |program: &Path, trust: &str| -> Result<Vec<Vec<String>>> {
        script
            .iter()
            .map(|line| {
                let call = guarded.stage.called(program, Path::new(trust), *line);
                call.env("NOTARY_AUTH", notary_auth(ALICE)).ok()?;
                Ok(guarded.tokens.lines())
            })
            .collect()
    };
    let real = run(Path::new("/usr/bin/notary"), "real")?;
    let ours = run(&as_notary(&guarded.stage)?, "ours")?;
    assert_eq!(ours, real);
    assert_eq!(ours.iter().map(Vec::len).collect::<Vec<_>>(), [1, 0, 1, 2, 1, 2, 1, 1], "{ours:?}");
    Ok(())
}

#[test]
fn called_as_notary_the_words_of_a_refusal_are_notarys() -> Result<()> {
    let guarded = Guarded::published(Manner::Open)?;
    let by = |user| move |call: Call| call.env("NOTARY_AUTH", notary_auth(user));
    // deleting is what an empty trust directory can try
    let delete = ["delete", GUN, "--remote"];
    let (ours, real) = side_by_side(&guarded.stage, by(RAY), &delete)?;
    assert_eq!((ours.code, &ours.stdout), (real.code, &real.stdout), "{ours}{real}");
    ours.says(&["level=error", "insufficient_scope", "ray (NOTARY_AUTH)"])?;
    let (ours, real) = side_by_side(&guarded.stage, by(("alice", "wrong")), &delete)?;
    assert_eq!((ours.code, real.code), (Some(1), Some(1)));
    // the real one does not name the token server
    ours.says(&[&guarded.tokens.realm(), "incorrect username or password"])?;
    real.never_says(&[&guarded.tokens.realm()])?;
    Ok(())
}

#[test]
fn a_token_server_that_misbehaves_is_named() -> Result<()> {
    for (status, body, code, words) in [
        ("200 OK", "<html>login</html>", NOT_AUTHORIZED, "answered something else than a token"),
        ("200 OK", r#"{"token":""}"#, NOT_AUTHORIZED, "there is no token in it"),
        ("403 Forbidden", r#"{"details":"account suspended"}"#, NOT_AUTHORIZED, "403: account suspended"),
        ("503 Service Unavailable", "down for the weekend", NOT_AUTHORIZED, "503: down for the weekend"),
        ("302 Found", "", NOT_AUTHORIZED, "a redirection is not followed"),
    ] {
        let guarded = Guarded::with(|authority| {
            TokenServer::start_odd(authority, Manner::Open, move |_, _| Some((status, body.to_owned())))
        })?;
        let told = guarded.by(ALICE, ["init", GUN])?.fails_with(code)?;
        told.says(&[words, &guarded.tokens.realm()])?.never_says(&["<html>", ALICE.1])?;
    }
    Ok(())
}

#[test]
fn secrets_are_sent_to_nobody_who_could_have_asked_for_them() -> Result<()> {
    let guarded = Guarded::published(Manner::Open)?;
    let realm = |realm: &str| {
        let header = format!("WWW-Authenticate: Bearer realm=\"{realm}\",service=\"x\"");
        move |_: &str| Some(Answer::Http { status: "401 Unauthorized", header: header.clone(), body: Vec::new() })
    };
    // over plain http, anybody can write a challenge: this one names a host that is not the server's
    let elsewhere =
        BadServer::before(&guarded.stage.server, realm(&guarded.tokens.realm().replace("127.0.0.1", "localhost")))?;
    let told = guarded.by(ALICE, ["publish", GUN])?.args(["-s", &elsewhere.url()]).fails_with(NOT_AUTHORIZED)?;
    told.says(&["another host", "no user name or password was sent"])?;
    assert_eq!(guarded.tokens.lines(), Vec::<String>::new());
    // and nobody types what may not be sent
    let asked = guarded.stage.signet(["publish", GUN])?.args(["-s", &elsewhere.url()]).on_terminal()?.finish()?;
    assert_eq!(asked.code, Some(NOT_AUTHORIZED), "{asked}");
    asked.says(&["another host"])?.never_says(&["Enter username"])?;
    let broken = BadServer::before(&guarded.stage.server, realm("/token"))?;
    let told = guarded.by(ALICE, ["publish", GUN])?.args(["-s", &broken.url()]).fails_with(NOT_AUTHORIZED)?;
    told.says(&["`/token`", "which is no URL"])?;
    Ok(())
}

#[test]
fn a_server_whose_certificate_nobody_checks_is_trusted_as_plain_http_is() -> Result<()> {
    let guarded = Guarded::published(Manner::Open)?;
    // its token server is at 127.0.0.1
    let config = json!({ "remote_server": { "url": guarded.stage.server.url_by_name(), "skipTLSVerify": true } });
    let config = guarded.stage.home.write("notary.json", config.to_string())?;
    let call = |args: [&'static str; 2]| -> Result<Call> {
        let call = guarded.stage.home.signet(["-c"])?.args([&config]).args(["-d"]).args([guarded.stage.home.trust()]);
        Ok(call.args(args).env("NOTARY_AUTH", notary_auth(ALICE)))
    };
    let told = call(["publish", GUN])?.fails_with(NOT_AUTHORIZED)?;
    told.says(&["skipTLSVerify is set: anybody can pretend to be", "another host, while skipTLSVerify is set"])?;
    assert_eq!(guarded.tokens.lines(), Vec::<String>::new());
    call(["list", GUN])?.ok()?.says(&["first"])?;
    assert_eq!(guarded.tokens.lines(), [format!("nobody repository:{GUN}:pull")]);
    Ok(())
}

#[test]
fn a_token_server_that_cannot_be_reached_is_not_taken_for_the_server() -> Result<()> {
    let guarded = Guarded::published(Manner::Open)?;
    let challenging = |realm: &str| {
        let header = format!("WWW-Authenticate: Bearer realm=\"{realm}\",service=\"x\"");
        BadServer::before(&guarded.stage.server, move |_| {
            Some(Answer::Http { status: "401 Unauthorized", header: header.clone(), body: Vec::new() })
        })
    };
    let nobody = "https://127.0.0.1:1/token";
    let down = challenging(nobody)?;
    let words = format!("{} wants a token of {nobody}: could not reach 127.0.0.1:1: connection refused", down.name());
    for call in [guarded.stranger(["list", GUN])?, guarded.by(ALICE, ["publish", GUN])?] {
        let told = call.args(["-s", &down.url()]).fails_with(OFFLINE)?;
        told.says(&[&words, "tell the operator of"])?.never_says(&["check the server given with -s"])?;
    }
    let real = guarded.stage.stranger(["list", GUN])?.args(["-s", &down.url()]).fails_with(1)?;
    real.says(&["connection refused"])?.never_says(&["token server"])?;
    // what is known is read, and who is away is told
    let list = guarded.stage.signet(["list", GUN])?.args(["-s", &down.url()]);
    list.ok()?.says(&["first", &words])?;

    let other = TokenServer::start(&signet_tests::Authority::new("somebody else")?, Manner::Open)?;
    let unknown = challenging(&other.realm())?;
    let told = guarded.stage.signet(["list", GUN])?.args(["-s", &unknown.url()]).fails_with(TLS)?;
    told.says(&[&other.realm(), "is not signed by the CA in", "the CAs of both"])?;

    let proxy = ConnectProxy::start(Temper::Asks)?;
    let plain = challenging("http://notary-server:1/token")?;
    let call = guarded.stranger(["list", GUN])?.args(["-s", &plain.url()]).env("HTTP_PROXY", proxy.url());
    call.fails_with(OFFLINE)?.says(&[&format!("the proxy {} wants a user name", proxy.url()), "HTTP_PROXY"])?;
    Ok(())
}

#[test]
fn a_plain_token_server_of_a_server_with_tls_is_refused() -> Result<()> {
    let mut stage = Stage::with_files()?;
    let tokens = TokenServer::start(&stage.authority, Manner::Open)?;
    let plain = tokens.realm().replace("https://", "http://");
    stage.server = NotaryServer::start_guarded(&stage.authority, Guard::TokensOf(&tokens, &plain))?;
    let told = stage.signet(["list", GUN])?.env("NOTARY_AUTH", notary_auth(ALICE)).fails_with(NOT_AUTHORIZED)?;
    told.says(&[&plain, "which is not https, while the server is"])?;
    Ok(())
}

#[test]
fn a_server_that_wants_a_password_gets_it() -> Result<()> {
    let stage = Stage::with_files()?;
    let _agent = stage.home.start_agent()?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["publish", GUN])?.ok()?;
    let wanted = format!("Basic {}", notary_auth(ALICE));
    let basic = BadServer::before_with(&stage.server, move |_, headers| {
        let shown = headers.iter().any(|(name, value)| name == "authorization" && *value == wanted);
        let header = "WWW-Authenticate: Basic realm=\"notary\"".to_owned();
        (!shown).then(|| Answer::Http { status: "401 Unauthorized", header, body: b"who?".to_vec() })
    })?;
    let list = stage.signet(["list", GUN])?.args(["-s", &basic.url()]);
    list.clone().env("NOTARY_AUTH", notary_auth(ALICE)).ok()?;
    let real = stage.stranger(["list", GUN])?.args(["-s", &basic.url()]).env("NOTARY_AUTH", notary_auth(ALICE));
    real.fails_with(1)?;
    let wrong = list.clone().env("NOTARY_AUTH", notary_auth(RAY)).fails_with(NOT_AUTHORIZED)?;
    wrong.says(&["does not let ray (NOTARY_AUTH) read", "401", "who?", "check the password"])?;
    list.fails_with(NOT_AUTHORIZED)?.says(&["somebody without a user name"])?;
    Ok(())
}

/// A server that wants a password or a token, and then repeats in its own words what it got.
fn echo(guarded: &Guarded, challenge: String, status: &'static str) -> Result<BadServer> {
    let (_, password) = ALICE;
    BadServer::before_with(&guarded.stage.server, move |request, headers| {
        let Some((_, got)) = headers.iter().find(|(name, _)| name == "authorization") else {
            let header = challenge.clone();
            return Some(Answer::Http { status: "401 Unauthorized", header, body: Vec::new() });
        };
        let words = match got.strip_prefix("Basic ") {
            Some(pair) => format!("no: {pair}, {password}, {}", password.replace(' ', "%20")),
            None => format!("no: {got}"),
        };
        let errors = json!({ "errors": [{ "code": "NO", "message": words, "detail": { "got": words } }] });
        let key = json!({ "keytype": words, "keyval": { "public": "" } });
        let (status, body) = if request.ends_with(".key") { ("200 OK", key) } else { (status, errors) };
        let header = format!("WWW-Authenticate: Bearer error=\"{}\"", words.replace('"', ""));
        Some(Answer::Http { status, header, body: body.to_string().into_bytes() })
    })
}

#[test]
fn what_a_server_repeats_of_our_secrets_is_cut_out_of_its_words() -> Result<()> {
    let guarded = Guarded::published(Manner::Closed)?;
    let encoded = notary_auth(ALICE);
    let per_cent = ALICE.1.replace(' ', "%20");
    for challenge in ["WWW-Authenticate: Basic realm=\"x\"".to_owned(), guarded.tokens.challenge()] {
        for (status, command) in [
            ("400 Bad Request", "list"),
            ("401 Unauthorized", "list"),
            ("403 Forbidden", "list"),
            ("500 Internal Server Error", "list"),
            // goes on to the server's keys
            ("404 Not Found", "init"),
        ] {
            let server = echo(&guarded, challenge.clone(), status)?;
            let call = guarded.stranger(["-D", command, GUN])?.args(["-s", &server.url()]);
            let told = call.env("NOTARY_AUTH", notary_auth(ALICE)).finish()?;
            let told = told.says(&["no: ", "[secret]"])?.never_says(&[ALICE.1, &encoded, &per_cent])?;
            for token in guarded.tokens.issued() {
                let signature = token.rsplit('.').next().unwrap_or(&token);
                assert!(!told.stderr.contains(signature), "{told}");
            }
        }
    }
    Ok(())
}

#[test]
fn nothing_secret_is_said_however_much_is_said() -> Result<()> {
    let guarded = Guarded::published(Manner::Closed)?;
    let mut proxied = guarded.by(ALICE, ["-D", "list", GUN])?;
    let proxy = ConnectProxy::start(Temper::Asks)?;
    let url = guarded.stage.server.url().replace("127.0.0.1", "notary-server");
    proxied = proxied.args(["-s", &url]).env("HTTPS_PROXY", proxy.url_with_user());
    // hostile or careless words of others
    let user = ALICE.1.replace(' ', "%20");
    let in_url = guarded.stage.server.url().replace("://", &format!("://alice:{user}@"));
    let plain_in_url = in_url.replace("https", "http");
    let in_realm = guarded.tokens.challenge().replace("https://", "https://somebody:realm-password@");
    let realm = BadServer::before_with(&guarded.stage.server, move |_, headers| {
        let header = in_realm.clone();
        let shown = headers.iter().any(|(name, _)| name == "authorization");
        (!shown).then(|| Answer::Http { status: "401 Unauthorized", header, body: Vec::new() })
    })?;
    let echoing = TokenServer::start_odd(&guarded.stage.authority, Manner::Open, |asked, _| {
        (asked.who != "nobody").then(|| ("403 Forbidden", format!("{}, no: {}", ALICE.1, notary_auth(ALICE))))
    })?;
    let challenge = echoing.challenge();
    let told_by_tokens = BadServer::before(&guarded.stage.server, move |_| {
        let header = challenge.clone();
        Some(Answer::Http { status: "401 Unauthorized", header, body: Vec::new() })
    })?;
    let calls = [
        guarded.by(ALICE, ["-D", "list", GUN])?.args(["-s", &realm.url()]),
        guarded.by(ALICE, ["-D", "publish", GUN])?.args(["-s", &told_by_tokens.url()]),
        guarded.by(ALICE, ["-D", "list", GUN])?.args(["-s", &in_url]),
        guarded.by(ALICE, ["-D", "list", GUN])?.args(["-s", &plain_in_url]),
        guarded.by(ALICE, ["-D", "list", GUN])?.args(["-s", &format!("ftp://alice:{user}@127.0.0.1")]),
        guarded.by(ALICE, ["-D", "list", GUN])?.args(["-s", "https://127.0.0.1:1"]),
        guarded.by(ALICE, ["-D", "publish", GUN])?,
        guarded.by(ALICE, ["-D", "list", GUN])?,
        guarded.by(("alice", "wrong password"), ["-D", "publish", GUN])?,
        proxied,
    ];
    let said = calls.iter().map(Call::finish).collect::<Result<Vec<_>>>()?;
    let encoded = notary_auth(ALICE);
    let mut secrets = vec![
        ALICE.1.to_owned(),
        user,
        "realm-password".to_owned(),
        encoded,
        "wrong password".to_owned(),
        PROXY_USER.1.to_owned(),
    ];
    secrets.extend([
        PROXY_USER.1.replace(' ', "%20"),
        notary_auth(PROXY_USER),
        notary_auth(("alice", "wrong password")),
    ]);
    let issued = guarded.tokens.issued();
    ensure!(issued.len() > 5, "tokens were issued");
    // a token's signature is enough of it
    secrets.extend(issued.iter().filter_map(|token| token.rsplit('.').next().map(str::to_owned)));
    let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
    // a password in the URL of a server would go past the gate
    let refused = said.iter().filter(|finished| finished.stderr.contains("has a user name or a password in it"));
    assert_eq!(refused.count(), 2);
    for finished in said {
        finished.says(&["level=debug"])?.never_says(&secrets)?;
    }
    assert_eq!(guarded.tokens.lines().iter().filter(|line| line.starts_with("imposter")).count(), 1);
    Ok(())
}

#[test]
fn a_proxy_is_used_as_the_real_one_uses_it() -> Result<()> {
    let guarded = Guarded::published(Manner::Open)?;
    let proxy = ConnectProxy::start(Temper::Kind)?;
    // a name that only the proxy knows
    let url = guarded.stage.server.url().replace("127.0.0.1", "notary-server");
    let name = url.trim_start_matches("https://").to_owned();
    let through = |variable: &'static str| {
        let (proxy, url) = (proxy.url(), url.clone());
        move |call: Call| call.args(["-s", &url]).env(variable, &proxy)
    };
    for variable in ["HTTPS_PROXY", "https_proxy"] {
        let (ours, real) = side_by_side(&guarded.stage, through(variable), &["list", GUN])?;
        assert_eq!((ours.code, &ours.stdout), (real.code, &real.stdout), "{ours}{real}");
        ours.says(&["first"])?;
    }
    let seen = proxy.seen();
    assert!(seen.iter().all(|request| *request == format!("CONNECT {name}")), "{seen:?}");
    assert!(seen.len() > 2, "{seen:?}");
    // this machine is never reached through a proxy, and exceptions are not
    guarded.stranger(["list", GUN])?.env("HTTPS_PROXY", proxy.url()).ok()?;
    let excepted = guarded.stranger(["list", GUN])?.args(["-s", &url]).env("HTTPS_PROXY", proxy.url());
    excepted.env("NO_PROXY", "x.example,notary-server").fails_with(OFFLINE)?.says(&["no such host"])?;
    assert_eq!(proxy.seen().len(), seen.len());
    Ok(())
}

#[test]
fn a_proxy_that_does_not_let_through_is_named_as_one() -> Result<()> {
    let stage = Stage::with_files()?;
    let url = stage.server.url().replace("127.0.0.1", "notary-server");
    let asks = ConnectProxy::start(Temper::Asks)?;
    let refuses = ConnectProxy::start(Temper::Refuses)?;
    let (proxy, nobody) = (asks.url(), "http://127.0.0.1:1".to_owned());
    for (proxy, words) in [
        (&proxy, "wants a user name and a password"),
        (&refuses.url(), "does not connect to that server"),
        (&nobody, "refuses connections"),
    ] {
        for args in [["list", GUN], ["init", GUN]] {
            let call = stage.signet(args)?.args(["-s", &url]).env("HTTPS_PROXY", proxy);
            let told = call.fails_with(OFFLINE)?;
            told.says(&[&format!("the proxy {proxy} {words}"), "HTTPS_PROXY"])?.never_says(&["client is offline"])?;
        }
        let real = stage.stranger(["list", GUN])?.args(["-s", &url]).env("HTTPS_PROXY", proxy).finish()?;
        real.says(&["client is offline"])?;
    }
    let call = stage.signet(["list", GUN])?.args(["-s", &url]).env("HTTPS_PROXY", asks.url_with_user());
    call.fails_with(UNKNOWN)?.says(&["does not have trust data"])?;
    let (_, password) = PROXY_USER;
    let wrong = asks.url_with_user().replace("proxy-user", "other");
    let call = stage.signet(["list", GUN])?.args(["-s", &url]).env("HTTPS_PROXY", wrong);
    call.fails_with(OFFLINE)?.says(&["or others than it was given (407)"])?.never_says(&[password, "other:"])?;
    // over plain http, the proxy answers in the server's place
    let call = stage.signet(["list", GUN])?.args(["-s", "http://notary-server:1"]).env("HTTP_PROXY", asks.url());
    call.fails_with(OFFLINE)?.says(&["wants a user name and a password", "HTTP_PROXY"])?;
    Ok(())
}

#[test]
fn a_server_behind_a_proxy_that_answers_407_is_not_taken_for_the_proxy() -> Result<()> {
    let stage = Stage::with_files()?;
    let odd = TokenServer::start_odd(&stage.authority, Manner::Open, |_, _| {
        Some(("407 Proxy Authentication Required", String::new()))
    })?;
    let proxy = ConnectProxy::start(Temper::Kind)?;
    let url = odd.realm().replace("127.0.0.1", "notary-server").replace("/token", "");
    let told = stage.signet(["list", GUN])?.args(["-s", &url]).env("HTTPS_PROXY", proxy.url()).fails_with(OFFLINE)?;
    told.says(&["it answers 407 to GET /v2/"])?.never_says(&["the proxy"])?;
    Ok(())
}

#[test]
fn what_is_known_can_be_read_while_the_proxy_is_away() -> Result<()> {
    let stage = Stage::with_files()?;
    let _agent = stage.home.start_agent()?;
    stage.home.write("file", "content")?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["add", GUN, "first", "file", "-p"])?.ok()?;
    let url = stage.server.url().replace("127.0.0.1", "notary-server");
    let list = stage.signet(["list", GUN])?.args(["-s", &url]).env("HTTPS_PROXY", "http://127.0.0.1:1");
    list.ok()?.says(&["first", "the proxy http://127.0.0.1:1 refuses connections"])?;
    Ok(())
}

#[test]
fn four_failures_are_four_messages_and_the_real_one_has_two() -> Result<()> {
    let guarded = Guarded::published(Manner::Closed)?;
    let stage = &guarded.stage;
    let open = NotaryServer::start(&stage.authority)?;
    let other = signet_tests::Authority::new("somebody else")?;
    let wrong_ca = stage.home.write("other.crt", other.pem())?;
    let wrong_ca = wrong_ca.to_string_lossy().into_owned();
    let cases: [(&[&str], i32, &str, &str, &str); 4] = [
        (&["-s", "https://127.0.0.1:1"], OFFLINE, "connection refused", "check the server", "client is offline"),
        (&["--tlscacert", &wrong_ca], TLS, "is not signed by the CA in", "--tlscacert", "client is offline"),
        (&[], NOT_AUTHORIZED, "somebody without a user name", "NOTARY_AUTH", "you are not authorized"),
        (&["-s", &open.url()], UNKNOWN, "does not have trust data for", "init", "does not have trust data for"),
    ];
    for (flags, code, message, remedy, real_message) in cases {
        let ours = guarded.stranger(["list", GUN])?.args(flags).fails_with(code)?;
        ours.says(&[message, remedy])?;
        let real = stage.stranger(["list", GUN])?.args(flags).fails_with(1)?;
        real.says(&[real_message])?;
    }
    Ok(())
}

#[test]
fn a_long_refusal_is_shown_whole() -> Result<()> {
    let stage = Stage::with_files()?;
    let _agent = stage.home.start_agent()?;
    let long = format!("begin {} end", "because ".repeat(5000));
    let body = json!({ "errors": [{ "code": "DENIED", "message": long, "detail": null }] }).to_string();
    let server = BadServer::before(&stage.server, move |request| {
        request.starts_with("POST").then(|| Answer::Http {
            status: "400 Bad Request",
            header: String::new(),
            body: body.clone().into_bytes(),
        })
    })?;
    let init = |call: Call| call.args(["-s", &server.url()]);
    init(stage.signet(["init", GUN, "-p"])?).fails_with(REFUSED)?.says(&[long.trim_end()])?;
    let real = init(stage.notary(&fresh(&stage.home)?, ["init", GUN, "-p"])).fails_with(1)?;
    real.never_says(&["because"])?;
    Ok(())
}

#[test]
fn a_server_that_wants_certificates_gets_one() -> Result<()> {
    let mut stage = Stage::with_files()?;
    stage.server = NotaryServer::start_guarded(&stage.authority, Guard::Certificates)?;
    let _agent = stage.home.start_agent()?;
    let identity = stage.authority.client()?;
    let certificate = stage.home.write("client.crt", identity.certificate)?;
    let key = stage.home.write("client.key", identity.key)?;
    let flags = |call: Call| call.args(["--tlscert"]).args([&certificate]).args(["--tlskey"]).args([&key]);
    flags(stage.signet(["init", GUN, "-p"])?).ok()?;
    flags(stage.stranger(["list", GUN])?).ok()?;
    stage.signet(["list", GUN])?.fails_with(TLS)?.says(&["client certificate", "--tlscert"])?;
    let config = json!({ "remote_server": {
        "url": stage.server.url_by_name(), "skipTLSVerify": true,
        "tls_client_cert": "client.crt", "tls_client_key": "client.key",
    } });
    let config = stage.home.write("notary.json", config.to_string())?;
    let trust = fresh(&stage.home)?;
    stage.home.signet(["-c"])?.args([&config]).args(["-d"]).args([&trust]).args(["list", GUN]).ok()?;
    Ok(())
}
