//! What rustfmt and clippy don't check: file headers, lengths, banned words, where `unsafe` may
//! stand, the drawn graph, and that ARCHITECTURE.md names only what exists.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::{graph, run};

/// Where our Rust is.
const FOLDERS: [&str; 3] = ["crates", "examples", "xtask"];

/// Lines of a file before its tests, at most; longer ones are on the list below.
const MAX_FILE_LINES: usize = 500;

/// Lines of a function, at most; longer ones are on the list below.
const MAX_FUNCTION_LINES: usize = 70;

/// Lines of a file's `//!` header, at most; more belongs in docs/.
const MAX_HEADER_LINES: usize = 24;

/// Columns, at most (tables of texts may be wider).
const MAX_WIDTH: usize = 100;

/// Files that are longer than the limit: this list may only shrink.
const LONG_FILES: &[&str] = &[];

/// Functions that are longer than the limit, as `file:function`: this list may only shrink.
const LONG_FUNCTIONS: &[&str] = &[];

/// Runs every check and prints what fails.
pub fn tidy() -> Result<()> {
    let faults = faults()?;
    for fault in &faults {
        eprintln!("tidy: {fault}");
    }
    if !faults.is_empty() {
        bail!("{} faults", faults.len());
    }
    println!("tidy: no faults");
    Ok(())
}

/// What is untidy, a line each.
fn faults() -> Result<Vec<String>> {
    let mut faults = graph::faults()?;
    let sources = sources()?;
    let test_modules = test_modules(&sources)?;
    for path in &sources {
        let text = fs::read_to_string(path)?;
        let name = relative(path);
        let is_test = name.contains("/tests/") || test_modules.contains(path);
        check_header(&name, &text, &mut faults);
        check_lengths(&name, &text, is_test, &mut faults);
        check_words(&name, &text, &mut faults);
    }
    check_manifests(&mut faults)?;
    check_references(&mut faults)?;
    Ok(faults)
}

/// Every Rust file of the checkout, sorted.
fn sources() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in FOLDERS {
        walk(&run::root().join(folder), &mut found)?;
    }
    found.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    found.sort();
    Ok(found)
}

/// The files among these that are modules of tests: their parent declares them as such.
fn test_modules(sources: &[PathBuf]) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for path in sources {
        let stem = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
        let folder = match stem {
            "mod" | "lib" | "main" => path.with_file_name(""),
            _ => path.with_extension(""),
        };
        let text = fs::read_to_string(path)?;
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]") {
            let name = pair[1]
                .strip_prefix("mod ")
                .and_then(|rest| rest.strip_suffix(';'));
            let Some(name) = name else { continue };
            let file = folder.join(format!("{name}.rs"));
            // A folder of that name holds tests alone.
            let mut files = Vec::new();
            match file.exists() {
                true => files.push(file),
                false => walk(&folder.join(name), &mut files)?,
            }
            found.extend(files);
        }
    }
    Ok(found)
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            walk(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

fn relative(path: &Path) -> String {
    path.strip_prefix(run::root())
        .unwrap_or(path)
        .display()
        .to_string()
}

fn check_header(name: &str, text: &str, faults: &mut Vec<String>) {
    let header = text
        .lines()
        .take_while(|line| line.starts_with("//!"))
        .count();
    if header == 0 {
        faults.push(format!("{name}: has no `//!` header"));
    }
    if header > MAX_HEADER_LINES {
        faults.push(format!(
            "{name}: its header has {header} lines, more than {MAX_HEADER_LINES}"
        ));
    }
}

fn check_lengths(name: &str, text: &str, is_test: bool, faults: &mut Vec<String>) {
    let code = before_tests(text);
    let long = LONG_FILES.contains(&name);
    if !is_test && code.len() > MAX_FILE_LINES && !long {
        faults.push(format!(
            "{name}: {} lines, more than {MAX_FILE_LINES}",
            code.len()
        ));
    }
    if long && code.len() <= MAX_FILE_LINES {
        faults.push(format!("{name}: is short now: take it off LONG_FILES"));
    }
    for (number, line) in code.iter().enumerate() {
        if line.chars().count() > MAX_WIDTH && !line.contains('"') {
            faults.push(format!("{name}:{}: wider than {MAX_WIDTH}", number + 1));
        }
    }
    for (function, length) in functions(&code) {
        let key = format!("{name}:{function}");
        if length > MAX_FUNCTION_LINES && !is_test && !LONG_FUNCTIONS.contains(&key.as_str()) {
            faults.push(format!(
                "{key}: {length} lines, more than {MAX_FUNCTION_LINES}"
            ));
        }
    }
}

/// The lines before a file's module of tests.
fn before_tests(text: &str) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.windows(2).position(|pair| {
        pair[0] == "#[cfg(test)]" && pair[1].contains("mod ") && pair[1].ends_with('{')
    });
    lines[..tests.unwrap_or(lines.len())].to_vec()
}

/// Functions with their lengths: from the line with `fn` to the closing brace of its column. A
/// signature without a body, as a trait's, is none.
fn functions(code: &[&str]) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (start, line) in code.iter().enumerate() {
        let trimmed = line.trim_start();
        let Some(name) = function_name(trimmed) else {
            continue;
        };
        let mut signature = code[start..].iter();
        let end = signature.find(|line| line.ends_with(['{', '}', ';']));
        if end.is_none_or(|line| !line.ends_with('{')) {
            continue;
        }
        let closing = format!("{}}}", &line[..line.len() - trimmed.len()]);
        if let Some(length) = code[start..].iter().position(|line| *line == closing) {
            found.push((name, length + 1));
        }
    }
    found
}

fn function_name(line: &str) -> Option<String> {
    let mut words = line.split([' ', '(', '<']);
    let modifiers = [
        "pub",
        "pub(crate)",
        "pub(super)",
        "const",
        "async",
        "unsafe",
        "crate)",
    ];
    let word =
        words.find(|word| !modifiers.contains(word) && *word != "super)" && *word != "pub")?;
    if word == "fn" {
        words.next().map(str::to_owned)
    } else {
        None
    }
}

fn check_words(name: &str, text: &str, faults: &mut Vec<String>) {
    if name == "xtask/src/tidy.rs" {
        return;
    }
    for (number, line) in text.lines().enumerate() {
        for word in [
            "FIXME",
            "XXX",
            "HACK",
            "todo!(",
            "unimplemented!(",
            "#[ignore",
        ] {
            if line.contains(word) {
                faults.push(format!("{name}:{}: {word}", number + 1));
            }
        }
        let code = line.split("//").next().unwrap_or_default();
        let is_unsafe = code.contains("unsafe {") || code.contains("unsafe fn");
        if is_unsafe && !name.starts_with("crates/runtime/") {
            faults.push(format!("{name}:{}: unsafe outside runtime", number + 1));
        }
    }
}

/// Every crate takes the workspace's lints, and no nested clippy.toml switches the bans off.
fn check_manifests(faults: &mut Vec<String>) -> Result<()> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        walk(&run::root().join(folder), &mut files)?;
    }
    for path in files {
        let name = relative(&path);
        if name.ends_with("clippy.toml") {
            faults.push(format!(
                "{name}: a nested clippy.toml switches the root's bans off"
            ));
        }
        if name.ends_with("Cargo.toml") {
            let manifest: toml::Table = fs::read_to_string(&path)?.parse()?;
            let lints = manifest
                .get("lints")
                .and_then(|lints| lints.get("workspace"));
            if lints.and_then(toml::Value::as_bool) != Some(true) {
                faults.push(format!("{name}: doesn't take the workspace's lints"));
            }
        }
    }
    Ok(())
}

/// Every `path` and every `test name` in ARCHITECTURE.md exists.
fn check_references(faults: &mut Vec<String>) -> Result<()> {
    let text = fs::read_to_string(run::root().join("ARCHITECTURE.md"))?;
    let mut code = String::new();
    for path in sources()? {
        code.push_str(&fs::read_to_string(path)?);
    }
    for quoted in text.split('`').skip(1).step_by(2) {
        let is_path = quoted.contains('/') && !quoted.contains([' ', '<', '*', ':']);
        if is_path && !run::root().join(quoted).exists() {
            faults.push(format!("ARCHITECTURE.md: there is no {quoted}"));
        }
        if quoted.starts_with("invariant_") && !code.contains(&format!("fn {quoted}(")) {
            faults.push(format!("ARCHITECTURE.md: there is no test {quoted}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checkout_is_tidy() {
        assert_eq!(faults().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_long_function_and_a_missing_header_are_found() {
        let body = "    let x = 1;\n".repeat(80);
        let text = format!("pub async fn long(\n) {{\n{body}}}\n");
        let mut faults = Vec::new();
        check_header("a.rs", &text, &mut faults);
        check_lengths("a.rs", &text, false, &mut faults);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[1].contains("a.rs:long: 83 lines"), "{faults:?}");
    }

    #[test]
    fn a_signature_without_a_body_and_a_file_of_tests_have_no_length() {
        let body = "        let x = 1;\n".repeat(80);
        let text = format!(
            "trait A {{\n    fn promised(\n        &self,\n    ) -> bool;\n\n    fn long() {{\n\
             {body}    }}\n}}\n"
        );
        let mut faults = Vec::new();
        check_lengths("a.rs", &text, false, &mut faults);
        assert_eq!(faults, ["a.rs:long: 82 lines, more than 70"]);
        check_lengths("a/tests.rs", &text, true, &mut faults);
        assert_eq!(faults.len(), 1, "{faults:?}");
    }

    #[test]
    fn files_of_tests_are_those_declared_as_such() {
        let modules = test_modules(&sources().unwrap()).unwrap();
        let names: Vec<String> = modules.iter().map(|path| relative(path)).collect();
        assert!(
            names.contains(&"crates/tables/src/global/tests.rs".to_owned()),
            "{names:?}"
        );
        assert!(
            names.contains(&"crates/objects/src/tests/model.rs".to_owned()),
            "{names:?}"
        );
        assert!(modules.iter().all(|path| path.exists()), "{names:?}");
    }

    #[test]
    fn what_stands_between_declared_tests_and_the_end_is_counted() {
        let text = "#[cfg(test)]\nmod far;\nfn a() {}\n#[cfg(test)]\nmod tests {\n}\n";
        assert_eq!(before_tests(text).len(), 3);
    }

    #[test]
    fn invariant_1_bans_stand_in_the_root_and_every_crate_takes_them() {
        let bans = fs::read_to_string(run::root().join("clippy.toml")).unwrap();
        for ban in [
            "Instant::now",
            "SystemTime::now",
            "TcpStream",
            "process::Command",
        ] {
            assert!(bans.contains(ban), "{ban} is not banned");
        }
        let mut faults = Vec::new();
        check_manifests(&mut faults).unwrap();
        assert_eq!(faults, Vec::<String>::new());
    }
}
