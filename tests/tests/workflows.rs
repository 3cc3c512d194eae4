//! Workflows of people who have `notary` in their scripts: an alias with the server and `~/.docker/trust`, a CI user with `key.pem` and
//! `cert.pem`, delegations for releases and for the team, a snapshot that the server signs. A shell runs each line, once with
//! ours in the place of `notary` and once with the real one; both say the same, and strangers see what the CI user signed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use signet_tests::{Call, Finished, Mask, Openssl, Paper, Stage, binary};

const NAMES: [&str; 2] = ["ours", "real"];
/// What a delegation's keys are asked for when nobody set a variable.
const ASKED: [&str; 2] =
    ["Enter passphrase for new delegation key with ID", "Repeat passphrase for new delegation key with ID"];
const PASSPHRASE: &str = "of the build server";

/// One line of somebody's shell. `GUN` and `HOST` stand for the collection and the server.
struct Line<'a> {
    person: &'a str,
    words: &'a str,
    /// Its status.
    code: i32,
}

const fn line<'a>(person: &'a str, words: &'a str) -> Line<'a> {
    Line { person, words, code: 0 }
}

const fn refused<'a>(person: &'a str, words: &'a str) -> Line<'a> {
    Line { person, words, code: 1 }
}

/// A maintainer makes a collection from her machine, and a build server signs in it; server and trust directory are named each time.
const BUILD_SERVER: &[Line<'_>] = &[
    line("maintainer", "notary -s https://HOST -d ~/.docker/trust init GUN"),
    line("maintainer", "notary -s https://HOST -d ~/.docker/trust key rotate GUN snapshot -r"),
    line("maintainer", "notary -s https://HOST -d ~/.docker/trust publish GUN"),
    line(
        "maintainer",
        "notary -s https://HOST -d ~/.docker/trust delegation add GUN targets/releases --all-paths ../bundle/cert.pem",
    ),
    line(
        "maintainer",
        "notary -s https://HOST -d ~/.docker/trust delegation add GUN targets/jenkins --all-paths ../bundle/cert.pem",
    ),
    line("maintainer", "notary -s https://HOST -d ~/.docker/trust publish GUN"),
    line("jenkins", "notary -d ~/.docker/trust key import ../bundle/key.pem"),
    line(
        "jenkins",
        "notary -s https://HOST -d ~/.docker/trust add -p GUN 1.0 ../image -r targets/releases -r targets/jenkins",
    ),
    line("jenkins", "notary -s https://HOST -d ~/.docker/trust list GUN"),
    line("maintainer", "notary -s https://HOST -d ~/.docker/trust delegation list GUN"),
    line("maintainer", "notary -s https://HOST -d ~/.docker/trust lookup GUN 1.0"),
];

/// The build server does all of it itself, as root, through an alias that names the server's CA.
const ON_THE_BUILD_SERVER: &[Line<'_>] = &[
    line("gitlab", "mkdir -p ~/.docker/tls/HOST/ && cp $CA ~/.docker/tls/HOST/ca.crt"),
    line(
        "gitlab",
        r#"alias notary="notary -s https://HOST --tlscacert $HOME/.docker/tls/HOST/ca.crt -d ~/.docker/trust""#,
    ),
    line("gitlab", "./notary key list"),
    line("gitlab", "notary init -p GUN"),
    line("gitlab", "notary key rotate GUN -r snapshot"),
    line("gitlab", "notary delegation add GUN targets/releases ../bundle/cert.pem --all-paths"),
    line("gitlab", "notary delegation add GUN targets/gitlab ../bundle/cert.pem --all-paths"),
    line("gitlab", "notary publish GUN"),
    line("gitlab", "notary key list"),
    line("gitlab", "notary key import ../bundle/key.pem"),
    line("gitlab", "notary add GUN 1.0 ../image -r targets/releases,targets/gitlab"),
    line("gitlab", "notary publish GUN"),
    line("gitlab", "notary list GUN -r targets/releases"),
];

/// Only what was signed by a team's people may run: two people in a delegation for releases and in one for their team.
const SIGNED_BY_A_TEAM: &[Line<'_>] = &[
    line("owner", r#"alias notary="notary -s https://HOST -d ~/.docker/trust""#),
    refused("owner", "notary list GUN"),
    line("owner", "notary init -p GUN"),
    line("owner", "notary list GUN"),
    line("owner", "notary key rotate GUN snapshot --server-managed"),
    line("owner", "notary delegation add -p GUN targets/releases --all-paths ../bundle/user1.pem ../bundle/user2.pem"),
    line("owner", "notary delegation add -p GUN targets/devops --all-paths ../bundle/user1.pem ../bundle/user2.pem"),
    line("user1", r#"alias notary="notary -s https://HOST -d ~/.docker/trust""#),
    line("user1", "notary key import ../bundle/key.pem"),
    line("user1", "notary add -p GUN 1.0 ../image --roles targets/releases --roles targets/devops"),
    line("owner", "notary list GUN"),
];

/// An image that was signed with the owner's keys is delegated to somebody's certificate, over lines that are continued.
const DELEGATED_LATER: &[Line<'_>] = &[
    line("owner", r#"alias notary="notary -s https://HOST -d ~/.docker/trust --tlscacert $CA""#),
    line("owner", "notary init --publish GUN"),
    line("owner", "notary add --publish GUN 0.9 ../image"),
    line("owner", "notary key rotate GUN snapshot -r"),
    line("owner", "notary delegation add --publish \\\n  GUN targets/releases \\\n  --all-paths ../bundle/cert.pem"),
    line("owner", "notary delegation add --publish \\\n  GUN targets/admin \\\n  --all-paths ../bundle/cert.pem"),
    line("admin", r#"alias notary="notary -s https://HOST -d ~/.docker/trust --tlscacert $CA""#),
    line("admin", "notary key import ../bundle/key.pem"),
    line("admin", "notary add -p GUN 1.0 ../image -r targets/releases -r targets/admin"),
    line("owner", "notary list GUN"),
    line("owner", "tree() { find ~/.docker/trust/tuf -name '*.json' | sed 's,.*/metadata/,,' | sort; }; tree"),
];

/// Where two groups of people live, one with each program.
struct Village {
    stage: Stage,
    mask: Mask,
}

impl Village {
    fn new() -> Result<Self> {
        let stage = Stage::with_files()?;
        let village = Self { stage, mask: Mask::of(&NAMES)? };
        for name in NAMES {
            let folder = village.folder(name);
            fs::create_dir_all(folder.join("bin"))?;
            let program = if name == "ours" { binary("signet")? } else { PathBuf::from("/usr/bin/notary") };
            symlink(program, folder.join("bin/notary"))?;
            village.stage.home.write(&format!("{name}/image"), "an image")?;
        }
        Ok(village)
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.stage.home.path().join(name)
    }

    /// What a user downloads: a key, and a certificate of somebody's authority for it.
    fn bundle(&self, cert: &str, key_form: &[&str]) -> Result<()> {
        let openssl = Openssl::of(&self.stage.home);
        if !openssl.path("authority.key").exists() {
            openssl.key("authority")?;
            openssl.self_signed("authority", "authority", &Paper::authority("user authority"))?;
        }
        let key = openssl.path(&format!("{cert}.key"));
        self.stage.home.call("/usr/bin/openssl").args(key_form).args(["-out"]).args([&key]).ok()?;
        let paper = Paper::leaf("ci user").and("extendedKeyUsage=clientAuth");
        let certificate = openssl.signed_by("authority", cert, cert, &paper)?;
        for name in NAMES {
            self.stage.home.write(&format!("{name}/bundle/key.pem"), fs::read(&key)?)?;
            self.stage.home.write(&format!("{name}/bundle/{cert}.pem"), fs::read(&certificate)?)?;
        }
        Ok(())
    }

    /// A shell of a person with one of the programs, in which her aliases are known.
    fn shell(&self, name: &str, person: &str, aliases: &str, words: &str) -> Result<Call> {
        let home = self.folder(name).join(person);
        if !home.exists() {
            fs::create_dir(&home)?;
            symlink(self.folder(name).join("bin/notary"), home.join("notary"))?;
        }
        let path = format!("{}:/usr/bin:/bin", self.folder(name).join("bin").display());
        let call = self.stage.home.call("/bin/sh").directory(&home).env("HOME", &home).env("PATH", path);
        // The machine trusts the authority of its server, as it does of a public one.
        let call = call.env("SSL_CERT_FILE", self.stage.server.ca()).env("CA", self.stage.server.ca());
        Ok(call.args(["-c", &self.filled(name, &format!("{aliases}{words}"))]))
    }

    fn filled(&self, name: &str, words: &str) -> String {
        let url = self.stage.server.url();
        words.replace("GUN", &self.gun(name)).replace("HOST", url.trim_start_matches("https://"))
    }

    fn gun(&self, name: &str) -> String {
        format!("{}/admin/{name}", self.stage.server.url().trim_start_matches("https://"))
    }

    /// All lines, by both; `asked` answers an import at a terminal.
    fn live(&self, lines: &[Line<'_>], asked: Asked) -> Result<()> {
        let mut aliases: std::collections::BTreeMap<&str, String> = std::collections::BTreeMap::new();
        for line in lines {
            if line.words.starts_with("alias ") {
                aliases.insert(line.person, format!("{}\n", line.words));
                continue;
            }
            let alias = aliases.get(line.person).map(String::as_str).unwrap_or_default();
            let [ours, real] = NAMES.map(|name| self.typed(name, alias, line, asked));
            let (ours, real) = (ours?, real?);
            let seen = |finished: &Finished| (finished.code, self.mask.settled(&finished.stdout));
            if seen(&ours) != seen(&real) || ours.code != Some(line.code) {
                bail!("{}\n[ours]\n{ours}\n[real]\n{real}", line.words);
            }
        }
        Ok(())
    }

    fn typed(&self, name: &str, alias: &str, line: &Line<'_>, asked: Asked) -> Result<Finished> {
        let call = self.shell(name, line.person, alias, line.words)?;
        if asked == Asked::AtTheTerminal && line.words.contains("key import") {
            let mut terminal = call.without_env("NOTARY_DELEGATION_PASSPHRASE").on_terminal()?;
            for question in ASKED {
                terminal.answer_hidden(question, PASSPHRASE)?;
            }
            return terminal.finish();
        }
        let call =
            if asked == Asked::AtTheTerminal { call.env("NOTARY_DELEGATION_PASSPHRASE", PASSPHRASE) } else { call };
        call.finish()
    }

    /// Both programs, with empty trust directories, see the release in both collections.
    fn strangers_see(&self, release: &str, role: &str) -> Result<()> {
        for name in NAMES {
            let gun = self.gun(name);
            let listed = self.stage.stranger(["list", &gun])?.ok()?;
            let ours = self.stage.signet_in(&self.folder(name).join("stranger"), ["list", &gun])?.ok()?;
            ensure!(listed.stdout == ours.stdout, "{listed}\n{ours}");
            let row = listed.stdout.lines().find(|row| row.starts_with(release)).context("not listed")?;
            ensure!(row.ends_with(role), "{row}");
        }
        Ok(())
    }
}

/// Where the passphrase of an imported key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    InTheEnvironment,
    AtTheTerminal,
}

const EC: [&str; 5] = ["ecparam", "-name", "prime256v1", "-genkey", "-noout"];
const RSA: [&str; 5] = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];

#[test]
fn a_build_server_signs_with_the_key_of_its_own_user() -> Result<()> {
    let village = Village::new()?;
    village.bundle("cert", &EC)?;
    village.live(BUILD_SERVER, Asked::AtTheTerminal)?;
    village.strangers_see("1.0", "targets/releases")
}

#[test]
fn a_build_server_prepares_everything_itself_behind_an_alias() -> Result<()> {
    let village = Village::new()?;
    village.bundle("cert", &EC)?;
    village.live(ON_THE_BUILD_SERVER, Asked::InTheEnvironment)?;
    village.strangers_see("1.0", "targets/releases")
}

#[test]
fn releases_are_signed_by_people_of_a_team() -> Result<()> {
    let village = Village::new()?;
    village.bundle("user2", &EC)?;
    village.bundle("user1", &RSA)?;
    village.live(SIGNED_BY_A_TEAM, Asked::InTheEnvironment)?;
    village.strangers_see("1.0", "targets/releases")
}

#[test]
fn a_signed_image_is_delegated_later() -> Result<()> {
    let village = Village::new()?;
    village.bundle("cert", &EC)?;
    village.live(DELEGATED_LATER, Asked::InTheEnvironment)?;
    village.strangers_see("1.0", "targets/releases")?;
    village.strangers_see("0.9", "targets")
}

/// docs/ci.md as it is printed; only the names of server and collection are others.
#[test]
fn the_recipe_for_a_ci_job_works() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("a parent")?;
    let paper = fs::read_to_string(root.join("docs/ci.md"))?;
    let paper = paper.replace("registry.example.com:5000/acme/app", "GUN").replace("notary.example.com", "HOST");
    let typed = paper.lines().filter_map(|text| text.strip_prefix("    ")?.split_once("$ "));
    let lines: Vec<_> = typed.map(|(person, words)| line(person, words)).collect();
    ensure!(lines.len() > 10, "{} lines in docs/ci.md", lines.len());
    let village = Village::new()?;
    village.live(&lines, Asked::InTheEnvironment)?;
    village.strangers_see("app-1.0", "targets/releases")
}
