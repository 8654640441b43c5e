//! One object of gigabytes, uploaded in parts and replicated to another Region while the memory of
//! both Regions is looked at.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::connection::Connection;
use crate::lab::Lab;
use crate::objects::{Bucket, Bytes, expect};
use crate::report::Section;
use crate::scenarios::{GOAL_HEAD, goal};
use crate::statistics::number;
use crate::{Arguments, process};

/// The key.
const KEY: &str = "huge";

/// The size of a part.
const PART_MEBIBYTES: u64 = 8;

/// How many parts are under way at once.
const CONNECTIONS: u64 = 4;

/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// How long the Regions are left alone before their memory is taken as what they have anyway.
const REST: Duration = Duration::from_secs(3);

/// How long crossing may take.
const PATIENCE: Duration = Duration::from_secs(1200);

pub(super) fn run(arguments: &Arguments, section: &mut Section) -> Result<()> {
    eprintln!("   one object of {} MiB", arguments.object_mebibytes);
    let lab = Lab::start(&["us-east-1", "eu-west-1"], 1, 0.0)?;
    let (source, destination) = super::replicated(&lab)?;
    let pids = lab.regions()?;
    std::thread::sleep(REST);
    let before = memories(&pids)?;
    let done = AtomicBool::new(false);
    let (upload, crossing, most) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(&pids, &done));
        let started = Instant::now();
        let outcome = upload(&source, arguments.object_mebibytes).and_then(|()| {
            let uploaded = started.elapsed();
            wait(&destination)?;
            Ok((uploaded, started.elapsed()))
        });
        done.store(true, Ordering::Relaxed);
        let most = watching.join().expect("watching returns its errors");
        outcome.and_then(|(uploaded, crossed)| Ok((uploaded, crossed, most?)))
    })?;
    let extra: Vec<f64> = most
        .iter()
        .zip(&before)
        .map(|(most, at)| most - at)
        .collect();
    let mebibytes = arguments.object_mebibytes as f64;
    section.text(&format!(
        "An object of {} MiB in parts of {PART_MEBIBYTES} MiB, {CONNECTIONS} at once: uploaded in \
         {} s ({} MiB/s), in the other Region {} s after its beginning. The Region it was sent to \
         had {} MiB and at most {} MiB more meanwhile, the other {} MiB and {} MiB more.",
        arguments.object_mebibytes,
        number(upload.as_secs_f64()),
        number(mebibytes / upload.as_secs_f64()),
        number(crossing.as_secs_f64()),
        number(before[0]),
        number(extra[0]),
        number(before[1]),
        number(extra[1]),
    ));
    let worst = extra.iter().copied().fold(0.0, f64::max);
    let row = goal(
        "extra memory of a Region",
        "64 MiB or less",
        worst,
        "MiB",
        worst <= 64.0,
    );
    section.table(&GOAL_HEAD, &[row]);
    section.value(
        "huge",
        json!({
            "mebibytes": arguments.object_mebibytes, "upload_seconds": upload.as_secs_f64(),
            "crossed_after_seconds": crossing.as_secs_f64(), "extra_mebibytes": extra,
        }),
    );
    Ok(())
}

fn memories(pids: &[u32]) -> Result<Vec<f64>> {
    pids.iter().map(|pid| process::memory(*pid)).collect()
}

/// The most that each process had until it is done.
fn watch(pids: &[u32], done: &AtomicBool) -> Result<Vec<f64>> {
    let mut most = memories(pids)?;
    while !done.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK);
        for (most, now) in most.iter_mut().zip(memories(pids)?) {
            *most = most.max(now);
        }
    }
    Ok(most)
}

fn upload(bucket: &Bucket, mebibytes: u64) -> Result<()> {
    let path = format!("/{}/{KEY}", bucket.name);
    let begun = bucket
        .client
        .object_call("POST", &format!("{path}?uploads"), b"")?;
    let id = element(&begun, "UploadId").context("an upload has an id")?;
    let parts = mebibytes.div_ceil(PART_MEBIBYTES);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|first| {
                let (path, id) = (&path, &id);
                scope.spawn(move || -> Result<()> {
                    let size = usize::try_from(PART_MEBIBYTES * 1024 * 1024)?;
                    let mut bytes = Bytes::new(size, 1 + first);
                    let mut connection = Connection::new(bucket.client.address);
                    for number in (first..parts).step_by(usize::try_from(CONNECTIONS)?) {
                        let path = format!("{path}?partNumber={}&uploadId={id}", number + 1);
                        let head = bucket.client.object_head("PUT", &path, &[], size)?;
                        expect(&connection.transfer(&head, bytes.next())?)?;
                    }
                    Ok(())
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().expect("uploading returns its errors"))
    })?;
    let listed = parts_of(bucket, &path, &id, parts)?;
    let body: String = listed
        .iter()
        .zip(1..)
        .map(|(etag, number)| {
            format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
        })
        .collect();
    let body = format!(
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{body}\
         </CompleteMultipartUpload>"
    );
    let path = format!("{path}?uploadId={id}");
    bucket.client.object_call("POST", &path, body.as_bytes())?;
    Ok(())
}

/// The entity tags of all parts, in their order.
fn parts_of(bucket: &Bucket, path: &str, id: &str, parts: u64) -> Result<Vec<String>> {
    let mut tags = Vec::new();
    while (tags.len() as u64) < parts {
        let query = format!("{path}?part-number-marker={}&uploadId={id}", tags.len());
        let listed = bucket.client.object_call("GET", &query, b"")?;
        let before = tags.len();
        tags.extend(listed.split("<ETag>").skip(1).filter_map(|rest| {
            let (tag, _) = rest.split_once("</ETag>")?;
            Some(tag.to_owned())
        }));
        if tags.len() == before {
            bail!("only {before} of {parts} parts are listed");
        }
    }
    Ok(tags)
}

/// Waits until the object is there.
fn wait(bucket: &Bucket) -> Result<()> {
    let started = Instant::now();
    let path = format!("/{}/{KEY}?tagging", bucket.name);
    while let Err(error) = bucket.client.object_call("GET", &path, b"") {
        if started.elapsed() > PATIENCE {
            return Err(error.context("it isn't in the other Region"));
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// The text of the first element of that name.
pub(super) fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once("</")?;
    Some(text.to_owned())
}
