//! Playing a scenario with one cast.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use regex::{Captures, Regex};
use signet_tests::{Agent, Finished, Mask, Stage, behind_the_usage, binary, log_lines_only};
use signet_tuf::{KeyType, PublicKey};

use crate::scenario::{Kind, Scenario, Step};
use crate::shape::shape;

const REAL: &str = "/usr/bin/notary";
const PASSPHRASES: [&str; 4] = ["ROOT", "TARGETS", "SNAPSHOT", "DELEGATION"];

/// Who plays; the names are equally long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cast {
    Real,
    Ours,
    /// The hands change at each step.
    OursFirst,
    RealFirst,
}

/// In the order of the columns.
pub(crate) const CASTS: [Cast; 4] = [Cast::Real, Cast::Ours, Cast::OursFirst, Cast::RealFirst];

impl Cast {
    fn name(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Ours => "ours",
            Self::OursFirst => "oura",
            Self::RealFirst => "reaa",
        }
    }

    /// Whether ours plays the step of that number.
    pub(crate) fn is_ours(self, step: usize) -> bool {
        match self {
            Self::Real => false,
            Self::Ours => true,
            Self::OursFirst => step.is_multiple_of(2),
            Self::RealFirst => !step.is_multiple_of(2),
        }
    }
}

/// What one step said; nothing for the shell's.
pub(crate) struct Answer {
    pub(crate) by_ours: bool,
    pub(crate) code: Option<i32>,
    /// Standard output without what changes.
    pub(crate) stdout: String,
    /// All of it, for people.
    pub(crate) whole: String,
}

/// What is left in the end.
pub(crate) struct Played {
    pub(crate) answers: Vec<Option<Answer>>,
    /// By collection: what strangers see, by program, and what the server has.
    pub(crate) end: BTreeMap<String, [String; 3]>,
}

/// One server, one agent, and the files that all plays may read.
pub(crate) struct Theatre {
    stage: Stage,
    ours: PathBuf,
    files: PathBuf,
    mask: Mask,
    variable: Regex,
    _agent: Agent,
}

/// One play's own: its folder is the working directory.
struct Scene<'a> {
    theatre: &'a Theatre,
    folder: PathBuf,
    gun: String,
}

impl Theatre {
    pub(crate) fn open() -> Result<Self> {
        let stage = Stage::with_files()?;
        let ours = stage.home.path().join("notary");
        symlink(binary("signet")?, &ours)?;
        let files = stage.home.path().join("files");
        fs::create_dir(&files)?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/matrix/files.sh");
        stage.home.call("/bin/sh").directory(&files).args(["-eu"]).args([script]).ok()?;
        let mask = Mask::of(&CASTS.map(Cast::name))?;
        let variable = Regex::new(r"\$(G|D|F|S|rootid|key\([a-z/]+\)|id\([^)]+\))")?;
        let agent = stage.home.start_agent()?;
        Ok(Self { stage, ours, files, mask, variable, _agent: agent })
    }

    /// All steps, and what is left.
    pub(crate) fn play(&self, scenario: &Scenario, cast: Cast) -> Result<Played> {
        let scene = Scene {
            theatre: self,
            folder: self.stage.home.path().join("plays").join(&scenario.number).join(cast.name()),
            gun: format!("example.com/{}/{}", scenario.number, cast.name()),
        };
        fs::create_dir_all(&scene.folder)?;
        let mut answers: Vec<Option<Answer>> = Vec::new();
        for step in &scenario.steps {
            let by_ours = cast.is_ours(answers.iter().flatten().count());
            answers.push(scene.act(step, by_ours).with_context(|| step.words.clone())?);
        }
        Ok(Played { answers, end: scene.end(scenario)? })
    }
}

impl Scene<'_> {
    fn act(&self, step: &Step, by_ours: bool) -> Result<Option<Answer>> {
        let line = self.filled(&step.words)?;
        let home = &self.theatre.stage.home;
        let finished = match &step.kind {
            Kind::Shell => {
                // Directories that others can write are refused, files that others can read are not.
                let line = format!("umask 077; {line}");
                home.call("/bin/sh").env("G", &self.gun).directory(&self.folder).args(["-euc", &line]).ok()?;
                return Ok(None);
            }
            Kind::Program(person) => {
                let input = step.input.iter().map(|line| format!("{line}\n")).collect::<String>();
                self.program(person, &line, by_ours).input(input).finish()?
            }
            Kind::Terminal(person) => self.at_terminal(person, &line, by_ours, &step.input)?,
        };
        if by_ours && matches!(step.kind, Kind::Program(_)) {
            log_lines_only(&finished)?;
        }
        let stdout = self.theatre.mask.settled(&finished.stdout);
        let stdout = behind_the_usage(&stdout).map_or(stdout.clone(), |behind| format!("[USAGE]{behind}"));
        Ok(Some(Answer { by_ours, code: finished.code, stdout, whole: finished.to_string() }))
    }

    fn program(&self, person: &str, line: &str, by_ours: bool) -> signet_tests::Call {
        let program = if by_ours { &self.theatre.ours } else { Path::new(REAL) };
        let call = self.theatre.stage.called(program, &self.folder.join(person), line.split_whitespace());
        call.directory(&self.folder)
    }

    fn at_terminal(&self, person: &str, line: &str, by_ours: bool, dialog: &[String]) -> Result<Finished> {
        let call = self.program(person, line, by_ours);
        let call = PASSPHRASES.iter().fold(call, |call, role| call.without_env(&format!("NOTARY_{role}_PASSPHRASE")));
        let mut terminal = call.on_terminal()?;
        for line in dialog {
            let (question, answer) = line.split_once(" => ").context("question => answer")?;
            if question.contains("yes/no") {
                terminal.answer(question, answer)?;
            } else {
                terminal.answer_hidden(question, answer)?;
            }
        }
        terminal.finish()
    }

    /// `$G` the collection, `$D` the folder, `$F` the files, `$S` the server, `$rootid` the ID of the published root key,
    /// `$key(ROLE)` the ID of the newest key file of a role, `$id(FILE)` the ID of the public key in a file.
    fn filled(&self, words: &str) -> Result<String> {
        let mut failed = None;
        let filled = self.theatre.variable.replace_all(words, |found: &Captures<'_>| {
            self.value(found.get(1).map_or("", |name| name.as_str())).unwrap_or_else(|error| {
                failed = Some(error);
                String::new()
            })
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(filled.into_owned()),
        }
    }

    fn value(&self, name: &str) -> Result<String> {
        let inner = |name: &str| Some(name.split_once('(')?.1.strip_suffix(')')?.to_owned());
        match name {
            "G" => Ok(self.gun.clone()),
            "D" => Ok(self.folder.display().to_string()),
            "F" => Ok(self.theatre.files.display().to_string()),
            "S" => Ok(self.theatre.stage.server.url()),
            "rootid" => self.root_id(),
            _ if name.starts_with("key") => newest_key(&self.folder.join("trust"), &inner(name).context("a role")?),
            _ => public_id(&self.theatre.files.join(inner(name).context("a file")?)),
        }
    }

    fn root_id(&self) -> Result<String> {
        let root = self.theatre.stage.server.metadata(&self.gun, "root.json")?.context("no published root")?;
        let root: serde_json::Value = serde_json::from_slice(&root)?;
        let id = root.pointer("/signed/roles/root/keyids/0").and_then(serde_json::Value::as_str);
        Ok(id.context("a root key")?.to_owned())
    }

    fn end(&self, scenario: &Scenario) -> Result<BTreeMap<String, [String; 3]>> {
        let mut end = BTreeMap::new();
        for name in scenario.collections() {
            let gun = self.filled(&name)?;
            let shape = shape(&self.theatre.stage.server, &gun)?;
            let mut lines = vec![format!("list {gun}")];
            if shape.contains("targets/") {
                lines.push(format!("delegation list {gun}"));
            }
            let seen = |by_ours: bool| -> Result<String> {
                let mut text = String::new();
                for line in &lines {
                    let who = if by_ours { "stranger-1" } else { "stranger-2" };
                    let said = self.program(who, line, by_ours).finish()?;
                    text += &format!("[status {:?}]\n{}", said.code, self.theatre.mask.settled(&said.stdout));
                }
                Ok(text)
            };
            end.insert(name, [seen(false)?, seen(true)?, shape]);
        }
        Ok(end)
    }
}

/// The ID of the key file of a role that was written last.
fn newest_key(trust: &Path, role: &str) -> Result<String> {
    let mut newest = None;
    for entry in fs::read_dir(trust.join("private"))? {
        let path = entry?.path();
        if fs::read_to_string(&path)?.contains(&format!("role: {role}\n")) {
            newest = newest.max(Some((fs::metadata(&path)?.modified()?, path)));
        }
    }
    let (_, path) = newest.with_context(|| format!("no {role} key in {}", trust.display()))?;
    Ok(path.file_stem().context("a name")?.to_string_lossy().into_owned())
}

fn public_id(file: &Path) -> Result<String> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let key = PublicKey::from_certificate_pem(&text)?;
    ensure!(matches!(key.key_type(), KeyType::EcdsaX509 | KeyType::RsaX509), "{}", file.display());
    Ok(key.canonical_id().to_string())
}
