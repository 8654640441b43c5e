//! `causeway council recover`: the way back when most voters of the council have lost their
//! memory. Works on a stopped lab's files, since a council without a majority decides nothing.

use std::collections::BTreeMap;

use anyhow::Context;
use council::{Recovered, Saved};
use runtime::{DirectoryLock, LockError};
use serde_json::json;
use store::{EmbeddedEngine, Engine};
use types::{Deployment, SiteId, SiteName};

use super::block_on;
use crate::cli::{Council, Query};
use crate::failure::Failure;
use crate::lab::Lab;
use crate::{output, site};

/// Carries out one of them.
pub fn council(command: &Council) -> Result<(), Failure> {
    match command {
        Council::Recover(query) => recover(query),
    }
}

fn recover(query: &Query) -> Result<(), Failure> {
    let data = &query.lab.data;
    let given = query.lab.key.source().given()?;
    let lab = Lab::find(data, given.as_ref())?.ok_or_else(|| {
        let failure = format!("there is no lab in {}", data.display());
        Failure::wrong_use(failure).then("name one with --data DIR")
    })?;
    let _lock = DirectoryLock::take(data).map_err(|cause| match cause {
        LockError::InUse { .. } => Failure::wrong_use(cause)
            .then("stop the lab with `causeway down` first, its sites must not run"),
        other => Failure::wrong_use(other),
    })?;
    let recovered = block_on(async { recover_stopped(&lab).await })?;
    print(query, &lab.deployment(), &recovered)
}

async fn recover_stopped(lab: &Lab) -> Result<Recovered, Failure> {
    let mut engines = BTreeMap::new();
    let mut found = BTreeMap::new();
    for one in &lab.settings.sites {
        let engine = site::open_store(&lab.site_directory(one.name), one.name).await?;
        let saved = council::load(&engine.snapshot()).await;
        let saved = saved.with_context(|| format!("the council's records of {}", one.name))?;
        engines.insert(one.id, engine);
        found.insert(one.id, saved);
    }
    let recovered = council::recover(&found).map_err(Failure::wrong_use)?;
    write(&engines, &found, &recovered).await?;
    Ok(recovered)
}

/// Writes each site's new records. Broken off in between, those that have theirs have the log of
/// the source: running this again, or starting the lab, goes on from there.
async fn write(
    engines: &BTreeMap<SiteId, EmbeddedEngine>,
    found: &BTreeMap<SiteId, Saved>,
    recovered: &Recovered,
) -> Result<(), Failure> {
    for (site, record) in &recovered.records {
        for batch in record.replacing(&found[site]) {
            let committed = engines[site].commit(batch).await;
            committed.context("can't write the council's records")?;
        }
    }
    Ok(())
}

fn print(query: &Query, deployment: &Deployment, recovered: &Recovered) -> Result<(), Failure> {
    let name = |site: &SiteId| -> Option<SiteName> { Some(deployment.site(*site)?.name) };
    let source = name(&recovered.source).map_or_else(String::new, |name| name.to_string());
    let sites: Vec<String> = recovered
        .records
        .keys()
        .filter_map(name)
        .map(|name| name.to_string())
        .collect();
    if query.json {
        return output::print_json(&json!({ "source": source, "sites": sites }));
    }
    output::print(format!(
        "The council's records of {source} are the furthest; these sites have them now: {}.\n\
         Start the lab: `causeway up`.\n",
        sites.join(", ")
    ))
}
