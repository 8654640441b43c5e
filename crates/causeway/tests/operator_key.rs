//! The operator's key with real processes: who has it, who never gets it, and what a wrong or
//! missing one is answered with.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test starts processes, opens sockets and may panic"
)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use support::Lab;

const NAME: &str = "CAUSEWAY_OPERATOR_KEY";

/// What a process has in its environment.
fn environment(process: &str) -> String {
    let bytes = std::fs::read(format!("/proc/{process}/environ")).unwrap();
    String::from_utf8_lossy(&bytes).replace('\0', "\n")
}

/// The processes of a lab that were started with this word, as `region` or `edge`.
fn processes(lab: &Lab, word: &str) -> Vec<String> {
    let folder = lab.data().parent().unwrap().display().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).into_owned();
        if words.contains(&folder) && words.split('\0').nth(1) == Some(word) {
            found.push(entry.file_name().into_string().unwrap());
        }
    }
    found
}

/// A command on a lab's directory, with that key in the environment, or none.
fn causeway(lab: &Lab, words: &[&str], key: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
    command.args(words).arg("--data").arg(lab.data());
    match key {
        Some(key) => command.env(NAME, key),
        None => command.env_remove(NAME),
    };
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_given_key_is_the_regions_alone_and_opens_the_lab() {
    let key = "5c".repeat(32);
    let notes = tempfile::tempdir().unwrap();
    let place = notes.path().display();
    let app = format!("cd '{place}'; env > new; mv new seen; exec sleep 600");
    let arguments = ["--regions", "us-east-1", "--edges", "1", "--app", &app];
    let mut lab = Lab::start_in(vec![(NAME, key.clone())], &arguments);
    // Nobody made another.
    assert!(!lab.data().with_extension("key").exists());
    let sites = [processes(&lab, "region"), processes(&lab, "edge")];
    for process in sites.iter().flatten() {
        let environment = environment(process);
        assert!(
            !environment.contains(NAME) && !environment.contains(&key),
            "{process}"
        );
    }
    assert_eq!(sites.map(|sites| sites.len()), [1, 1]);
    let seen = notes.path().join("seen");
    support::eventually("the application runs", || seen.exists());
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(seen.contains("AWS_SECRET_ACCESS_KEY=") && !seen.contains(NAME));
    // Neither the key nor what it seals stands in any file of the directory.
    let environment = lab.json(&["env"]);
    let secret = environment["AWS_SECRET_ACCESS_KEY"].as_str().unwrap();
    for file in files_below(&lab.data()) {
        let text = std::fs::read(&file).unwrap_or_default();
        let holds = |what: &str| text.windows(what.len()).any(|part| part == what.as_bytes());
        assert!(!holds(&key) && !holds(secret), "{}", file.display());
    }
    // The same key by a file and by a command; none, and another.
    let file = lab.data().with_file_name("elsewhere");
    std::fs::write(&file, &key).unwrap();
    let by_file = ["env", "--json", "--operator-key", file.to_str().unwrap()];
    let open = said(&causeway(&lab, &by_file, None));
    assert!(open.contains("chmod 600"), "{open}");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let print = format!("cat {}", file.display());
    let by_command = ["env", "--json", "--operator-key-command", &print];
    for words in [&by_file, &by_command] {
        let output = causeway(&lab, words, None);
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains(secret));
    }
    let missing = said(&causeway(&lab, &["env"], None));
    assert!(
        missing.contains("is missing") && missing.contains("--operator-key"),
        "{missing}"
    );
    let other = "6d".repeat(32);
    let wrong = said(&causeway(&lab, &["env"], Some(&other)));
    assert!(
        wrong.contains("is not the one") && !wrong.contains(&other),
        "{wrong}"
    );
    lab.down();
    let port = lab.port.to_string();
    let up = ["up", "--api-port", &port];
    let wrong = said(&causeway(&lab, &up, Some(&other)));
    assert!(
        wrong.contains("is not the one") && wrong.contains("isn't built"),
        "{wrong}"
    );
    let within = lab.data().join("key");
    std::fs::write(&within, &key).unwrap();
    std::fs::set_permissions(&within, std::fs::Permissions::from_mode(0o600)).unwrap();
    let words = ["up", "--operator-key", within.to_str().unwrap()];
    let within = said(&causeway(&lab, &words, None));
    assert!(within.contains("must not be in"), "{within}");
    lab.up();
    let again = lab.json(&["env"]);
    assert_eq!(again, environment);
}

fn files_below(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        if entry.path().is_dir() {
            found.extend(files_below(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}
