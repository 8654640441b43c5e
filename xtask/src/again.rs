//! Runs that are given a second try: what failed is run once more, alone, and is named.
//!
//! A test of real processes on a machine that others use may fail for the machine's sake, one run
//! in many; one in thousands then fails every run. So what failed runs again by itself: if it
//! holds then, the run goes on and the test is named as unsteady at the end, to be looked into.
//! What fails twice fails, and so does a step in which too many failed ([`MAX_UNSTEADY`] for each
//! command of it that runs by itself): then it isn't the machine. Decision 10 says why.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::run;

/// How many targets or tests that one command ran may be run again.
pub const MAX_UNSTEADY: usize = 3;

/// What failed and held when it ran again.
static UNSTEADY: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// How a kind of test run tells what failed, and how that alone is run.
pub struct Kind {
    /// What failed, by the whole of what was printed.
    pub failed: fn(&str) -> Vec<String>,
    /// Makes the command that runs one of them.
    pub one: Box<dyn Fn(&str) -> Command + Send>,
}

/// Where a command's output is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// As it comes.
    AsItComes,
    /// Whole, when the command has ended: others run beside it.
    AtItsEnd,
}

/// Runs the command; what failed in it runs once more.
pub fn run(command: &mut Command, kind: &Kind, shown: Shown) -> Result<()> {
    let failed = first(command, kind.failed, shown)?;
    second(failed, MAX_UNSTEADY, kind)
}

/// Runs the command; what failed in it, to be run once more when nothing runs beside it.
pub fn first(
    command: &mut Command,
    failed: fn(&str) -> Vec<String>,
    shown: Shown,
) -> Result<Vec<String>> {
    let (held, printed) = heard(command, shown)?;
    if held {
        return Ok(Vec::new());
    }
    let failed = failed(&printed);
    if failed.is_empty() {
        bail!("{} failed before or beside its tests", run::shown(command));
    }
    Ok(failed)
}

/// Runs what failed once more, one after the other, unless that is more than `most`.
pub fn second(failed: Vec<String>, most: usize, kind: &Kind) -> Result<()> {
    if failed.len() > most {
        bail!("{} failed: {}", failed.len(), failed.join(", "));
    }
    for name in failed {
        eprintln!("== again, alone: {name}");
        let (held, _) = heard(&mut (kind.one)(&name), Shown::AsItComes)?;
        if !held {
            bail!("{name} failed twice");
        }
        UNSTEADY.lock().expect("nothing panics inside").push(name);
    }
    Ok(())
}

/// Names what failed once and held the second time.
pub fn tell_unsteady() {
    let unsteady = UNSTEADY.lock().expect("nothing panics inside");
    for name in unsteady.iter() {
        println!("unsteady: {name} failed, and held when it ran again: look into it");
    }
}

/// The targets that `cargo test --no-fail-fast` names at its end, as its own arguments.
pub fn failed_targets(printed: &str) -> Vec<String> {
    let mut lines = printed.lines();
    let summary = |line: &str| {
        line.starts_with("error: ")
            && (line.ends_with(" target failed:") || line.ends_with(" targets failed:"))
    };
    if !lines.any(summary) {
        return Vec::new();
    }
    lines
        .map_while(|line| line.trim().strip_prefix('`')?.strip_suffix('`'))
        .map(str::to_owned)
        .collect()
}

/// The tests that Python's `unittest` names as failed, as its own arguments: a test, or a class
/// whose preparation failed.
pub fn failed_cases(printed: &str) -> Vec<String> {
    let mut cases = Vec::new();
    for line in printed.lines() {
        let rest = line
            .strip_prefix("FAIL: ")
            .or_else(|| line.strip_prefix("ERROR: "));
        let named = rest.and_then(|rest| rest.split_once(" (")?.1.split_once(')'));
        if let Some((name, _)) = named
            && is_dotted(name)
            && !cases.iter().any(|case| case == name)
        {
            cases.push(name.to_owned());
        }
    }
    cases
}

/// Is this a name of Python's with its module? What servers print may begin with `ERROR:`, too.
fn is_dotted(name: &str) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.chars().all(|it| it.is_alphanumeric() || it == '_');
    name.split('.').all(is_word)
}

/// Runs a command in the root; did it hold, and what did it print?
fn heard(command: &mut Command, shown: Shown) -> Result<(bool, String)> {
    if shown == Shown::AsItComes {
        eprintln!("+ {}", run::shown(command));
    }
    let started = Instant::now();
    let mut child = command
        .current_dir(run::root())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("can't start {}", run::shown(command)))?;
    let stdout = child.stdout.take().expect("it is piped");
    let stderr = child.stderr.take().expect("it is piped");
    let printed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        scope.spawn(|| pass_on(stdout, &printed, shown));
        pass_on(stderr, &printed, shown);
    });
    let status = child.wait()?;
    let printed = printed.into_inner().expect("nothing panics inside");
    let printed = String::from_utf8_lossy(&printed).into_owned();
    if shown == Shown::AtItsEnd {
        eprintln!("+ {}\n{printed}", run::shown(command));
    }
    eprintln!("  {:.0} s", started.elapsed().as_secs_f64());
    Ok((status.success(), printed))
}

/// Keeps what a pipe says line by line, and shows it if it is to be shown now.
fn pass_on(pipe: impl Read, printed: &Mutex<Vec<u8>>, shown: Shown) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        if shown == Shown::AsItComes {
            // Who reads the output may be gone; the tests go on.
            std::io::stderr().write_all(&line).ok();
        }
        printed
            .lock()
            .expect("nothing panics inside")
            .append(&mut line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_read_from_what_cargo_says() {
        let printed = "test result: FAILED. 1 passed; 1 failed\n\
                       error: test failed, to rerun pass `-p link --lib`\n\
                       error: 2 targets failed:\n    `-p link --lib`\n    `-p edge --test answers`\n\
                       something else\n    `-p no --lib`\n";
        assert_eq!(
            failed_targets(printed),
            ["-p link --lib", "-p edge --test answers"]
        );
        assert!(failed_targets("error: could not compile `link`\n").is_empty());
    }

    #[test]
    fn what_failed_is_read_from_what_unittest_says() {
        let printed = "test_b (test_slice.Sdk.test_b) ... FAIL\n\
                       FAIL: test_b (test_slice.Sdk.test_b)\n\
                       FAIL: test_b (test_slice.Sdk.test_b) (region='a')\n\
                       ERROR: setUpClass (test_tls.Tls)\n\
                       ERROR:  duplicate key value (\"rows_pkey\")\n\
                       ERROR: test_wire (unittest.loader._FailedTest.test_wire)\n";
        assert_eq!(
            failed_cases(printed),
            [
                "test_slice.Sdk.test_b",
                "test_tls.Tls",
                "unittest.loader._FailedTest.test_wire"
            ]
        );
        assert!(failed_cases("OK\n").is_empty());
    }

    fn shell(script: String) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", &script]);
        command
    }

    #[test]
    fn what_fails_twice_fails_and_what_fails_once_is_named() {
        let marker = std::env::temp_dir().join(format!("causeway-again-{}", std::process::id()));
        let path = marker.display().to_string();
        let kind = |second: &'static str| Kind {
            failed: failed_cases,
            one: Box::new(move |name| shell(format!("test {name} = m.C.t && {second}"))),
        };
        let first = || shell(format!("echo 'FAIL: t (m.C.t)'; touch {path}; exit 1"));
        run(&mut first(), &kind("true"), Shown::AtItsEnd).unwrap();
        assert!(marker.exists());
        std::fs::remove_file(&marker).unwrap();
        let named = UNSTEADY.lock().unwrap().iter().any(|name| name == "m.C.t");
        assert!(named);
        run(&mut first(), &kind("false"), Shown::AtItsEnd).unwrap_err();
        std::fs::remove_file(&marker).unwrap();
        let many = "for i in 1 2 3 4; do echo \"FAIL: t (m.C.t$i)\"; done; exit 1";
        run(&mut shell(many.to_owned()), &kind("true"), Shown::AtItsEnd).unwrap_err();
        run(
            &mut shell("exit 1".to_owned()),
            &kind("true"),
            Shown::AtItsEnd,
        )
        .unwrap_err();
    }
}
