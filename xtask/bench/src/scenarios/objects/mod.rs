//! Objects: small and large ones beside other stores and beside nginx, one of gigabytes in parts, a
//! bucket of a million, and replication; each a part of one section.

mod huge;
mod large;
mod listing;
mod replication;
mod small;

use anyhow::Result;

use crate::Arguments;
use crate::lab::Lab;
use crate::objects::Bucket;
use crate::report::Section;

/// A part: its name, whether it needs a lab, and what measures it.
type Part = (
    &'static str,
    bool,
    fn(&Arguments, &mut Section) -> Result<()>,
);

const PARTS: [Part; 5] = [
    ("objects of 4 KiB", false, small::run),
    ("objects of 8 MiB", false, large::run),
    ("an object of gigabytes", true, huge::run),
    ("a large bucket", true, listing::run),
    ("replication", true, replication::run),
];

pub fn run(arguments: &Arguments) -> Result<Section> {
    let mut section = Section::default();
    let mut failed = Vec::new();
    for (name, needs_lab, part) in PARTS {
        if needs_lab && arguments.no_lab {
            continue;
        }
        // What was measured before stands, also if a part fails after minutes.
        if let Err(error) = part(arguments, &mut section) {
            eprintln!("   {name}: {error:#}");
            section.text(&format!("**Not measured**, {name}: {error:#}"));
            failed.push(name);
        }
    }
    section.value("failed", serde_json::json!(failed));
    Ok(section)
}

/// A bucket in a Region of the lab, by the Region's index.
fn bucket(lab: &Lab, region: usize, name: &str) -> Result<Bucket> {
    let bucket = Bucket {
        client: lab.clients[region].clone(),
        name: name.to_owned(),
    };
    let started = std::time::Instant::now();
    loop {
        match bucket.create() {
            Ok(()) => return Ok(bucket),
            // The sites elect who decides on names just after a start.
            Err(error) if started.elapsed().as_secs() > 30 => return Err(error),
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(50)),
        }
    }
}

/// A bucket in the first Region, and one in the second that it is replicated to.
fn replicated(lab: &Lab) -> Result<(Bucket, Bucket)> {
    let (source, destination) = (bucket(lab, 0, "bench-near")?, bucket(lab, 1, "bench-far")?);
    source.version()?;
    destination.version()?;
    source.replicate(&destination, &role(lab)?)?;
    Ok((source, destination))
}

/// A role that S3 may assume, with all rights on objects.
fn role(lab: &Lab) -> Result<String> {
    let iam = lab.global()?;
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":
        {"Service":"s3.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*",
        "Resource":"*"}]}"#;
    let role = ("RoleName", "bench");
    let create = [
        ("Action", "CreateRole"),
        role,
        ("AssumeRolePolicyDocument", trust),
    ];
    iam.form("iam", &create)?;
    let put = [
        ("Action", "PutRolePolicy"),
        role,
        ("PolicyName", "all"),
        ("PolicyDocument", policy),
    ];
    iam.form("iam", &put)?;
    // Known everywhere a moment later.
    std::thread::sleep(std::time::Duration::from_secs(1));
    Ok("arn:aws:iam::111122223333:role/bench".to_owned())
}
