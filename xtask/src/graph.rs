//! The drawn graph of crates, compared with every Cargo.toml. A new edge is a reviewed line here.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use crate::run;

/// What each crate may depend on among ours (tests included). A crate that isn't here fails.
const ALLOWED: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("link", &["types"]),
    ("store", &["types"]),
    ("council", &["types", "store"]),
    ("aws", &["types"]),
    ("identity", &["types", "aws"]),
    ("tables", &["types", "store", "aws"]),
    ("objects", &["types", "store", "aws"]),
    // The S3 protocol, in a crate of its own since its codec compiles slowly.
    ("s3", &["types", "store", "aws", "objects"]),
    ("health", &["types"]),
    ("routing", &["types", "aws"]),
    ("accelerator", &["types", "aws"]),
    ("balancer", &["types", "aws"]),
    ("databases", &["types", "aws"]),
    ("ec2", &["types", "aws"]),
    ("gameday", &["types"]),
    (
        "steering",
        &[
            "types",
            "link",
            "store",
            "council",
            "health",
            "routing",
            "accelerator",
            "databases",
        ],
    ),
    (
        "region",
        &[
            "types",
            "link",
            "store",
            "council",
            "aws",
            "identity",
            "tables",
            "objects",
            "s3",
            "health",
            "routing",
            "accelerator",
            "balancer",
            "ec2",
            "databases",
            "steering",
        ],
    ),
    (
        "edge",
        &[
            "types",
            "link",
            "store",
            "council",
            "health",
            "routing",
            "accelerator",
            "steering",
        ],
    ),
    (
        "world",
        &[
            "types",
            "link",
            "store",
            "council",
            "aws",
            "identity",
            "tables",
            "objects",
            "health",
            "routing",
            "accelerator",
            "steering",
            "region",
            "edge",
        ],
    ),
    ("runtime", &["types", "link"]),
    (
        "causeway",
        &[
            "types",
            "link",
            "store",
            "council",
            "aws",
            "identity",
            "tables",
            "objects",
            "health",
            "routing",
            "accelerator",
            "balancer",
            "ec2",
            "databases",
            "gameday",
            "steering",
            "region",
            "edge",
            "runtime",
        ],
    ),
    (
        "bench",
        &[
            "types", "store", "council", "aws", "identity", "routing", "runtime", "objects",
        ],
    ),
    ("xtask", &[]),
    // Examples are users' applications: they know the AWS SDK, and nothing of ours.
    ("orders", &[]),
];

/// Crates that are services: they know neither each other nor the link (invariant 2).
#[cfg(test)]
const SERVICES: &[&str] = &[
    "tables",
    "objects",
    "identity",
    "health",
    "routing",
    "accelerator",
    "balancer",
    "databases",
    "ec2",
];

type Graph = BTreeMap<String, BTreeSet<String>>;

/// Prints the edges, a line a crate.
pub fn print() -> Result<()> {
    for (name, edges) in read()? {
        let edges: Vec<&str> = edges.iter().map(String::as_str).collect();
        println!("{name:10} → {}", edges.join(", "));
    }
    Ok(())
}

/// What is wrong with the graph, a line each.
pub fn faults() -> Result<Vec<String>> {
    let allowed: BTreeMap<&str, BTreeSet<&str>> = ALLOWED
        .iter()
        .map(|(name, edges)| (*name, edges.iter().copied().collect()))
        .collect();
    let mut faults = Vec::new();
    let graph = read()?;
    for (name, edges) in &graph {
        let Some(drawn) = allowed.get(name.as_str()) else {
            faults.push(format!("crate {name} is not drawn in xtask/src/graph.rs"));
            continue;
        };
        for edge in edges.iter().filter(|edge| !drawn.contains(edge.as_str())) {
            faults.push(format!(
                "{name} → {edge} is not drawn in xtask/src/graph.rs"
            ));
        }
    }
    for (name, _) in ALLOWED
        .iter()
        .filter(|(name, _)| !graph.contains_key(*name))
    {
        faults.push(format!(
            "crate {name} is drawn in xtask/src/graph.rs but isn't there"
        ));
    }
    Ok(faults)
}

/// Reads the graph from the manifests.
fn read() -> Result<Graph> {
    let mut manifests = vec![
        ("xtask".to_owned(), run::root().join("xtask")),
        ("bench".to_owned(), run::root().join("xtask/bench")),
    ];
    for folder in ["crates", "examples"] {
        for entry in std::fs::read_dir(run::root().join(folder))? {
            let entry = entry?;
            // Some examples are a file, no package.
            if entry.path().is_dir() {
                manifests.push((
                    entry.file_name().to_string_lossy().into_owned(),
                    entry.path(),
                ));
            }
        }
    }
    let ours: BTreeSet<String> = manifests.iter().map(|(name, _)| name.clone()).collect();
    let mut graph = Graph::new();
    for (name, folder) in manifests {
        let path = folder.join("Cargo.toml");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("can't read {}", path.display()))?;
        let manifest: toml::Table = text.parse()?;
        let mut edges = BTreeSet::new();
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let table = manifest.get(section).and_then(toml::Value::as_table);
            edges.extend(table.into_iter().flat_map(|table| table.keys().cloned()));
        }
        graph.insert(name, edges.intersection(&ours).cloned().collect());
    }
    Ok(graph)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_edge_is_drawn() {
        assert_eq!(faults().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn invariant_2_no_service_depends_on_another_or_on_the_link() {
        for (name, edges) in read().unwrap() {
            if SERVICES.contains(&name.as_str()) {
                for other in SERVICES.iter().chain(&["link", "region", "runtime"]) {
                    assert!(!edges.contains(*other), "{name} depends on {other}");
                }
            }
        }
    }
}
