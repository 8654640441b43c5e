//! A site's database: opened, with what to do when it can't be, and held against the site that it
//! was made for. What is in it is the site's affair.

use std::path::Path;

use anyhow::Context;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use store::{
    Batch, Direction, EmbeddedEngine, EmbeddedOptions, Engine, KeyRange, OpenError, Snapshot, Space,
};
use types::SiteName;

use crate::failure::Failure;
use crate::protocol::SiteConfig;

/// Where in `Space::Meta` a database says whose it is.
const OWNER: &[u8] = b"site";

/// Entries read at once while they are counted.
const COUNT_PAGE: usize = 1_000;

/// Whose a database is, as JSON.
#[derive(Serialize, Deserialize, PartialEq, Eq)]
struct Owner {
    site: SiteName,
}

/// The site's own database.
///
/// # Errors
/// See `open_store`.
pub async fn open_engine(config: &SiteConfig) -> Result<EmbeddedEngine, Failure> {
    open_store(&config.directory, config.site).await
}

/// The database in a site's directory, made if there is none.
///
/// # Errors
/// It is in use, damaged, of a newer version, another site's, or can't be read; each says what to
/// do.
pub async fn open_store(directory: &Path, site: SiteName) -> Result<EmbeddedEngine, Failure> {
    let path = directory.join("store");
    let engine = EmbeddedEngine::open(&path, EmbeddedOptions::modest());
    let engine = engine.map_err(|cause| refusal(&cause, &path, site))?;
    claim(&engine, &path, site).await?;
    Ok(engine)
}

/// How many entries are in that space: each is read, which checks its block against its checksum.
///
/// # Errors
/// One can't be read, in words.
pub async fn count(snapshot: &impl Snapshot, space: Space) -> Result<u64, String> {
    let mut range = KeyRange::all();
    let mut entries = 0;
    loop {
        let page = snapshot.scan(space, range.clone(), Direction::Forward, COUNT_PAGE);
        let page = page.await.map_err(|cause| cause.to_string())?;
        entries += page.entries.len() as u64;
        match page.entries.last() {
            Some(last) if page.more => range.start = std::ops::Bound::Excluded(last.key.clone()),
            _ => return Ok(entries),
        }
    }
}

fn refusal(cause: &OpenError, path: &Path, site: SiteName) -> Failure {
    match cause {
        OpenError::InUse(_) | OpenError::Newer { .. } => Failure::wrong_use(cause),
        OpenError::Corrupt { .. } => Failure::did_not_hold(format!(
            "{cause}. Put a backup of the directory {store} in its place, or move {store} away: \
             {site} then begins empty, and its peers send what they have",
            store = path.display(),
        )),
        OpenError::Io { .. } => Failure::did_not_hold(cause),
    }
}

/// Notes in a new database whose it is. Another site's is refused: its versions and its cursors
/// would be taken for this one's.
async fn claim(engine: &EmbeddedEngine, path: &Path, site: SiteName) -> Result<(), Failure> {
    let unreadable = || format!("can't read {}", path.display());
    let found = engine.snapshot().get(Space::Meta, OWNER).await;
    let found: Option<Bytes> = found.with_context(unreadable)?;
    let Some(found) = found else {
        let owner = serde_json::to_vec(&Owner { site }).context("an owner has only a name")?;
        let mut batch = Batch::new();
        batch.put(Space::Meta, OWNER, owner);
        let noted = engine.commit(batch).await;
        noted.with_context(|| format!("can't write {}", path.display()))?;
        return Ok(());
    };
    let owner: Owner = serde_json::from_slice(&found).with_context(unreadable)?;
    if owner.site == site {
        return Ok(());
    }
    Err(Failure::wrong_use(format!(
        "{path} is the database of {theirs}, not of {site}. Put that of {site} in its place, or \
         move {path} away: {site} then begins empty, and its peers send what they have",
        path = path.display(),
        theirs = owner.site,
    )))
}
