//! Clients of buckets: signed requests to S3, one after the other, each that makes a version noted
//! before it is sent and with what became of it. They tag what others made, too, wherever it was
//! made. They try nothing again.

use std::sync::{Arc, Mutex};

use types::{Monotonic, SiteId, Span};

use crate::random::Random;
use crate::workload::Client;

/// Sizes of objects: beside their rows, and in files of their own.
const SIZES: [usize; 4] = [20, 3_000, 20_000, 70_000];

/// What a client was told of a write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// It is done: the version's id.
    Done(String),
    /// It was refused and can't have happened.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// One write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// Where it was made.
    pub site: SiteId,
    /// The object's key.
    pub key: String,
    /// Did it delete the key (and so made a marker)?
    pub deletes: bool,
    /// What became of it.
    pub told: Told,
}

/// Everything that was tried.
pub type Attempts = Arc<Mutex<Vec<Attempt>>>;

/// The bucket of a site.
pub fn bucket_of(site: SiteId) -> String {
    format!("objects-{}", site.0)
}

/// How clients behave.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// Keys they work on.
    pub keys: u64,
    /// Pauses between writes, at most, in milliseconds.
    pub pause: u64,
}

/// Writes until `end`, or for as long as it lives.
pub async fn work(
    client: Client,
    site: SiteId,
    attempts: Attempts,
    habits: Habits,
    mut random: Random,
    end: Monotonic,
) {
    while client.environment.now().monotonic < end {
        let pause = Span::milliseconds(random.between(1, habits.pause));
        client.rest(pause).await;
        if random.one_in(4) {
            tag(&client, site, &attempts, &mut random).await;
            continue;
        }
        let key = format!("key-{}", random.below(habits.keys));
        let deletes = random.one_in(6);
        let size = SIZES[random.below(SIZES.len() as u64) as usize];
        let number = {
            let mut attempts = attempts.lock().expect("nothing panics inside");
            attempts.push(Attempt {
                site,
                key: key.clone(),
                deletes,
                told: Told::Unknown,
            });
            attempts.len() - 1
        };
        let path = format!("/{}/{key}", bucket_of(site));
        let answer = match deletes {
            true => client.s3("DELETE", &path, Vec::new()).await,
            false => client.s3("PUT", &path, content(number, size)).await,
        };
        let told = match (answer.status, answer.version) {
            (200..=299, Some(version)) => Told::Done(version),
            (400..=499, _) => Told::Refused,
            _ => Told::Unknown,
        };
        attempts.lock().expect("nothing panics inside")[number].told = told;
    }
}

/// Tags some object that is known to have been made, perhaps elsewhere and not here yet.
async fn tag(client: &Client, site: SiteId, attempts: &Attempts, random: &mut Random) {
    let made: Vec<(String, String)> = {
        let attempts = attempts.lock().expect("nothing panics inside");
        let objects = attempts.iter().filter(|one| !one.deletes);
        let made = objects.filter_map(|one| match &one.told {
            Told::Done(version) => Some((one.key.clone(), version.clone())),
            Told::Refused | Told::Unknown => None,
        });
        made.collect()
    };
    if made.is_empty() {
        return;
    }
    let (key, version) = &made[random.below(made.len() as u64) as usize];
    let path = format!("/{}/{key}?tagging=&versionId={version}", bucket_of(site));
    let value = random.below(1 << 30);
    let body = format!(
        "<Tagging><TagSet><Tag><Key>by-{}</Key><Value>{value}</Value></Tag></TagSet></Tagging>",
        site.0
    );
    let answer = client.s3("PUT", &path, body.into_bytes()).await;
    // It isn't here yet, or nobody can say; anything else would try nothing.
    assert!(
        matches!(answer.status, 200..=299 | 404 | 500..=599),
        "a tag is refused ({}): {}",
        answer.status,
        answer.body
    );
}

/// Bytes that no other attempt has.
pub(super) fn content(number: usize, size: usize) -> Vec<u8> {
    let mark = format!("{number:020}");
    mark.bytes().cycle().take(size).collect()
}
