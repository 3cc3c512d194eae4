//! Golden cases: what is typed, and to the letter what comes back.
//!
//! A transcript in `tests/golden` is one person's session from top to bottom, in a home of its own:
//!
//! ```text
//! # a comment
//! @server              a notary-server runs, and ~/.notary/config.json names it; the passphrases are in the environment
//! @write FILE TEXT     a file in the working directory, with \n for a line's end
//! $ NAME=VALUE words   a command: `signet`, `notary` (a symbolic link to it), or a plain shell command
//! ~ words              a command that ours, called as notary, and the real notary answer alike, by standard output and
//!                      status. $G is a collection and $D a trust directory; each of the two has its own
//! = text               what the real notary says to that instead: a deliberate difference
//! < text               a line on its standard input
//! > text               a line of its standard output
//! ! text               a line of its standard error
//! ? 3                  its status, unless it is 0
//! ```
//!
//! What changes from run to run is replaced by a word in brackets. `SIGNET_BLESS=1` writes the transcripts anew.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use regex::Regex;
use signet_tests::{Finished, Stage, binary};

/// Every transcript, and the one test that runs it.
macro_rules! transcripts {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() -> Result<()> {
            run(stringify!($name))
        })*

        #[test]
        fn every_transcript_is_run() -> Result<()> {
            let mut files = Vec::new();
            for entry in fs::read_dir(folder())? {
                files.push(entry?.path().file_stem().context("a name")?.to_string_lossy().into_owned());
            }
            files.sort();
            assert_eq!(files, [$(stringify!($name)),*]);
            Ok(())
        }
    };
}

transcripts! {
    agent
    bad_input
    delegations
    first_steps
    help
    json
    keys
    like_notary
    old_layouts
    publishing
    rotating
    wrong_words
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

fn run(name: &str) -> Result<()> {
    let path = folder().join(format!("{name}.txt"));
    let expected = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let session = Session::new()?.replay(&expected)?;
    if std::env::var_os("SIGNET_BLESS").is_some() {
        return Ok(fs::write(path, session)?);
    }
    for (number, (expected, found)) in (1..).zip(expected.lines().zip(session.lines())) {
        if expected != found {
            bail!(
                "{name}.txt line {number}:\n  expected  {expected}\n  found     {found}\nthe whole session:\n{session}"
            );
        }
    }
    if expected.lines().count() != session.lines().count() {
        bail!("{name}.txt has {} lines, found {}", expected.lines().count(), session.lines().count());
    }
    Ok(())
}

/// A person at work.
struct Session {
    stage: Stage,
    volatile: Vec<(Regex, String)>,
}

impl Session {
    fn new() -> Result<Self> {
        let stage = Stage::with_files()?;
        let home = stage.home.path();
        let bin = home.join("bin");
        fs::create_dir(&bin)?;
        for name in ["signet", "notary"] {
            symlink(binary("signet")?, bin.join(name))?;
        }
        symlink(binary("signet-agent")?, bin.join("signet-agent"))?;
        let literal = |text: &str| Regex::new(&regex::escape(text));
        let mut volatile = vec![
            (literal(&home.display().to_string())?, "[HOME]".to_owned()),
            (literal(&stage.server.url())?, "[SERVER]".to_owned()),
            (literal(stage.server.url().trim_start_matches("https://"))?, "[HOST]".to_owned()),
        ];
        for (pattern, word) in [
            (r"[0-9]{20}_[0-9a-f-]{36}\.change", "[CHANGE].change"),
            // the digests of published content are the same each time, and shown
            (
                r"\b(?P<before>(?i:key|keys|keyID|keyID:|ID:?|using:|available:|private/)[ /]?)[0-9a-f]{64}\b",
                "$before[KEYID]",
            ),
            (r"\.\.\.[^ /]*signet-home-[^ /]+/", "...[HOME]/"),
            (r"\b[0-9a-f]{64}(?P<after> +(\.\.\.)?\[HOME\])", "[KEYID]$after"),
            (r"(?P<before>\bwith keys \[|\t- )[0-9a-f]{64}\b", "$before[KEYID]"),
            (r"(?m)(?P<before> {4})[0-9a-f]{64}(?P<after> {4}[0-9]+)$", "$before[KEYID]$after"),
            (r"(?P<before>private/)[0-9a-f]{64}\.key", "$before[KEYID].key"),
            (r"(?P<before>\b(key|keys|content|root [0-9]+) )[0-9a-f]{12}\b", "$before[12]"),
            (r"(?P<before>private/)[0-9a-f]{12}\.\.\.", "$before[12]..."),
            (r"(?P<before>\bledger[ =]+)[0-9a-f]{32}\b", "$before[LEDGER]"),
            (r"(?P<before>\bhash +)[0-9a-f]{64}\b", "$before[HASH]"),
            (r"\buid:[0-9]+", "uid:[UID]"),
            (r#""(?P<name>key|digest|content|collection)":"[0-9a-f]{64}""#, r#""$name":"[HASH]""#),
            (r"(?P<before>key remove |path: |remove |Deleted )[0-9a-f]{64}\b", "$before[KEYID]"),
            (r"(?P<before>key ID )[0-9a-f]{12}\b", "$before[12]"),
            (r"\.signet-[0-9a-f-]{36}", ".signet-[UUID]"),
            (r"\bwith ID [0-9a-f]{7}\b", "with ID [KEYID]"),
            (r#""key_id": "[0-9a-f]{64}""#, r#""key_id": "[KEYID]""#),
            (r"(?P<before>signed by )[0-9a-f]{64}\b", "$before[KEYID]"),
            (r"expires 20[0-9]{2}-[0-9:TZ-]+", "expires [TIME]"),
            (r"\b[0-9a-f]{7} \(file\)", "[KEYID] (file)"),
            // a lifetime, less the seconds since
            (r"\b(3649|3650)(?P<after> days|,)", "3650$after"),
            (r"\b(1094|1095)(?P<after> days|,)", "1095$after"),
            (r"\b(13|14)(?P<after> days|,)", "14$after"),
            (r"agent-[0-9a-f]{16}\.sock", "agent-[LEDGER].sock"),
            (r"pid [0-9]+", "pid [PID]"),
            (r#"time="[^"]*""#, r#"time="[TIME]""#),
            (r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z| UTC)?", "[TIME]"),
        ] {
            volatile.push((Regex::new(pattern)?, word.to_owned()));
        }
        Ok(Self { stage, volatile })
    }

    /// The transcript as it comes out now.
    fn replay(mut self, transcript: &str) -> Result<String> {
        let mut out = String::new();
        let mut lines = transcript.lines().peekable();
        while let Some(line) = lines.next() {
            match line.split_at_checked(1) {
                Some(("$", command)) => {
                    out.push_str(&format!("{line}\n"));
                    let mut input = String::new();
                    while let Some(text) = lines.next_if(|line| line.starts_with('<')) {
                        out.push_str(&format!("{text}\n"));
                        input.push_str(&format!("{}\n", text.get(2..).unwrap_or_default()));
                    }
                    self.type_in(command.trim(), input, &mut out)?;
                }
                Some(("~", command)) => {
                    out.push_str(&format!("{line}\n"));
                    self.type_in_twice(command.trim(), &mut out)?;
                }
                Some((">" | "!" | "?" | "=", _)) => {}
                Some(("@", directive)) => {
                    self.follow(directive)?;
                    out.push_str(&format!("{line}\n"));
                }
                Some(("#", _)) | None => out.push_str(&format!("{line}\n")),
                Some(_) => bail!("a line begins with $, ~, <, >, !, ?, =, @ or #: {line}"),
            }
        }
        Ok(out)
    }

    fn follow(&mut self, directive: &str) -> Result<()> {
        let (word, rest) = directive.split_once(' ').unwrap_or((directive, ""));
        match word {
            "server" => {
                let (url, ca) = (self.stage.server.url(), self.stage.server.ca());
                let config = format!(r#"{{"remote_server":{{"url":"{url}","root_ca":"{}"}}}}"#, ca.display());
                self.stage.home.write(".notary/config.json", config)?;
            }
            "write" => {
                let (name, text) = rest.split_once(' ').context("@write FILE TEXT")?;
                self.stage.home.write(name, text.replace("\\n", "\n"))?;
            }
            other => bail!("@{other} is not known"),
        }
        Ok(())
    }

    fn type_in(&self, command: &str, input: String, out: &mut String) -> Result<()> {
        let path = format!("{}:/usr/bin:/bin", self.stage.home.path().join("bin").display());
        let call = self.stage.home.call("/bin/sh").env("PATH", path).args(["-c", command]).input(input);
        let Finished { stdout, stderr, code, .. } = call.finish()?;
        for (mark, text) in [(">", stdout), ("!", stderr)] {
            for line in self.settled(&text).lines() {
                out.push_str(format!("{mark} {line}").trim_end());
                out.push('\n');
            }
            if !text.is_empty() && !text.ends_with('\n') {
                out.push_str(&format!("{mark}\\\n"));
            }
        }
        match code {
            Some(0) => {}
            Some(code) => out.push_str(&format!("? {code}\n")),
            None => out.push_str("? a signal\n"),
        }
        Ok(())
    }

    fn type_in_twice(&self, command: &str, out: &mut String) -> Result<()> {
        // The real notary names whichever hash comes first in a Go map.
        let mismatch = Regex::new(r"sha(256|512)(?P<between> checksum for \S+ did not match: expected )[0-9a-f]+")?;
        let said = |who: &str, bin: &str| -> Result<String> {
            let (gun, dir) = (format!("example.com/{who}"), format!("{who}-trust"));
            let call = self.stage.home.call("/bin/sh").env("PATH", bin).env("G", &gun).env("D", &dir);
            let Finished { stdout, code, .. } = call.args(["-c", command]).finish()?;
            let stdout = self.settled(&stdout).replace(&gun, "[GUN]").replace(&dir, "[TRUST]");
            let stdout = mismatch.replace_all(&stdout, "[HASH]$between[HASH]");
            let lines: String = stdout.lines().map(|line| format!("{}\n", format!("> {line}").trim_end())).collect();
            let status = code.filter(|code| *code != 0).map(|code| format!("? {code}\n")).unwrap_or_default();
            Ok(lines + &status)
        };
        let ours = said("ours", &format!("{}:/usr/bin:/bin", self.stage.home.path().join("bin").display()))?;
        let real = said("real", "/usr/bin:/bin")?;
        out.push_str(&ours);
        if ours != real {
            real.lines().for_each(|line| out.push_str(&format!("= {line}\n")));
        }
        Ok(())
    }

    fn settled(&self, text: &str) -> String {
        self.volatile
            .iter()
            .fold(text.to_owned(), |text, (pattern, word)| pattern.replace_all(&text, word.as_str()).into_owned())
    }
}
