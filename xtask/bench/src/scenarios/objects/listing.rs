//! How fast a bucket of a million objects is listed: pages from its beginning, its middle and just
//! before its end, and the folders above them.

use std::time::Instant;

use anyhow::Result;
use serde_json::json;

use super::huge::element;
use crate::Arguments;
use crate::lab::Lab;
use crate::objects::Bucket;
use crate::report::Section;
use crate::scenarios::{GOAL_HEAD, goal};
use crate::statistics::number;

/// How many connections fill the bucket.
const CONNECTIONS: usize = 32;

/// Objects in a folder, and folders in one above it.
const FOLDER: u64 = 100;

/// Pages of 1,000 keys that are listed from each place.
const PAGES: u64 = 50;

pub(super) fn run(arguments: &Arguments, section: &mut Section) -> Result<()> {
    let count = arguments.objects;
    eprintln!("   a bucket of {count} objects");
    let lab = Lab::start(&["us-east-1"], 0, 1.0)?;
    let bucket = super::bucket(&lab, 0, "bench-many")?;
    let started = Instant::now();
    bucket.put_all(CONNECTIONS, count, &|number| (key(number), b"x".to_vec()))?;
    let filled = started.elapsed().as_secs_f64();
    let pages = PAGES.min(count / 1000);
    let places = [
        ("its beginning", String::new()),
        ("its middle", key(count / 2)),
        (
            "just before its end",
            key(count.saturating_sub(1 + pages * 1000)),
        ),
    ];
    let mut slowest = f64::INFINITY;
    let mut texts = Vec::new();
    for (name, after) in &places {
        let rate = list(&bucket, after, pages)?;
        slowest = slowest.min(rate);
        texts.push(format!("{} keys a second from {name}", number(rate)));
        section.value(&format!("list from {name}"), json!(rate));
    }
    let (folders, milliseconds) = folders(&bucket)?;
    section.text(&format!(
        "A bucket of {} objects, put at {} a second over {CONNECTIONS} connections, listed over \
         one, {pages} pages of 1,000 each: {}. Its {folders} folders, of which each has {} \
         objects below it, are listed in {} ms.",
        number(count as f64),
        number(count as f64 / filled),
        texts.join(", "),
        number((FOLDER * FOLDER) as f64),
        number(milliseconds),
    ));
    let row = goal(
        "listing, at the slowest place",
        "20,000 keys/s or more",
        slowest,
        "keys/s",
        slowest >= 20_000.0,
    );
    section.table(&GOAL_HEAD, &[row]);
    section.value("folders_milliseconds", json!(milliseconds));
    Ok(())
}

fn key(number: u64) -> String {
    let (folder, upper) = (number / FOLDER, number / FOLDER / FOLDER);
    format!("{upper:05}/{:03}/{:03}", folder % FOLDER, number % FOLDER)
}

/// Lists so many pages behind a key; keys a second.
fn list(bucket: &Bucket, after: &str, pages: u64) -> Result<f64> {
    let begin = format!("/{}?list-type=2", bucket.name);
    let mut path = match after {
        "" => begin,
        after => format!("{begin}&start-after={}", encoded(after)),
    };
    let started = Instant::now();
    let mut keys = 0;
    for _ in 0..pages {
        let page = bucket.client.object_call("GET", &path, b"")?;
        keys += page.matches("<Key>").count();
        let Some(token) = element(&page, "NextContinuationToken") else {
            break;
        };
        let token = encoded(&token);
        path = format!("/{}?continuation-token={token}&list-type=2", bucket.name);
    }
    Ok(keys as f64 / started.elapsed().as_secs_f64())
}

/// How many folders there are at the top, and in how many milliseconds they were listed.
fn folders(bucket: &Bucket) -> Result<(usize, f64)> {
    let path = format!("/{}?delimiter=%2F&list-type=2", bucket.name);
    let started = Instant::now();
    let page = bucket.client.object_call("GET", &path, b"")?;
    let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
    Ok((page.matches("<CommonPrefixes>").count(), milliseconds))
}

/// A value of a query, all but unreserved characters in percent signs.
fn encoded(value: &str) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}
