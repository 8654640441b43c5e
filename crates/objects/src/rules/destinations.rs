//! What is refused of a replication configuration because of its buckets: the source's versions,
//! and the destinations, whose Regions are asked. A Region that can't be asked refuses the
//! configuration for now: nothing is believed of it.

use std::collections::BTreeMap;

use store::Engine;

use super::check::invalid_argument;
use super::{Destination, ReplicationConfiguration, check};
use crate::{
    Bucket, BucketEntry, BucketFacts, BucketName, ObjectError, Objects, Unreachable, Versioning,
};

/// `GetBucketReplication` of a bucket that has no configuration.
pub fn not_configured() -> ObjectError {
    ObjectError::refused_with(
        404,
        "ReplicationConfigurationNotFoundError",
        "The replication configuration was not found",
    )
}

impl<E: Engine> Objects<E> {
    /// Checks a configuration that is to be a bucket's: by itself, and that its destinations are
    /// buckets that can take replicas. Returned is what to store: every rule has an ID.
    ///
    /// # Errors
    /// S3's; [`ObjectError::Unavailable`] if a destination's Region can't be asked now.
    pub async fn check_replication(
        &self,
        bucket: &Bucket,
        configuration: ReplicationConfiguration,
    ) -> Result<ReplicationConfiguration, ObjectError> {
        if bucket.settings.versioning != Versioning::Enabled {
            return Err(ObjectError::refused(
                "InvalidRequest",
                "Versioning must be 'Enabled' on the bucket to apply a replication configuration",
            ));
        }
        let environment = &self.config.environment;
        let checked = check(&bucket.name, configuration, || environment.random())?;
        let mut known = BTreeMap::new();
        for rule in &checked.rules {
            let Some(name) = rule.destination.bucket_name() else {
                return Err(invalid_argument("Invalid bucket ARN".to_owned()));
            };
            if !known.contains_key(&name) {
                let found = self.ask_destination(&name).await?;
                known.insert(name.clone(), found);
            }
            check_found(&bucket.entry, &rule.destination, known[&name].as_ref())?;
        }
        Ok(checked)
    }

    /// What this Region tells others of a bucket of its own; none if it has none of that name.
    pub fn bucket_facts(&self, name: &BucketName) -> Option<BucketFacts> {
        let entry = self.entry_of(name)?;
        if entry.region != self.config.region {
            return None;
        }
        let settings = self.kept(&entry).settings;
        Some(BucketFacts {
            id: entry.id,
            versioning: settings.versioning,
            object_lock: settings.object_lock.is_some(),
            requester_pays: settings.requester_pays,
        })
    }

    /// The entry of that name in the global configuration, as this site knows it now.
    pub(crate) fn entry_of(&self, name: &BucketName) -> Option<BucketEntry> {
        let entry = self.entry(name).ok().flatten();
        entry.map(|(_, entry)| entry)
    }

    /// What is known of a destination; none if there is no such bucket. That there is none is said
    /// only by what was decided before the call: it may have been made elsewhere a moment ago.
    async fn ask_destination(
        &self,
        name: &BucketName,
    ) -> Result<Option<(BucketEntry, BucketFacts)>, ObjectError> {
        let known = self.entry_of(name);
        if let Some(found) = self.ask_region_of(name, known.clone()).await? {
            return Ok(Some(found));
        }
        let decided = self.decided_entry(name).await?;
        match decided == known {
            true => Ok(None),
            false => self.ask_region_of(name, decided).await,
        }
    }

    /// What its Region knows of a bucket of that entry; none if it has it no more.
    async fn ask_region_of(
        &self,
        name: &BucketName,
        entry: Option<BucketEntry>,
    ) -> Result<Option<(BucketEntry, BucketFacts)>, ObjectError> {
        let Some(entry) = entry else {
            return Ok(None);
        };
        let facts = match entry.region == self.config.region {
            true => self.bucket_facts(name),
            false => {
                let asked = self.config.peers.bucket(entry.region, name).await;
                asked.map_err(|Unreachable| {
                    ObjectError::Unavailable(format!(
                        "The Region {} of the destination bucket can't be reached now.",
                        entry.region
                    ))
                })?
            }
        };
        // A bucket of that name that was made since isn't the one whose Region was asked.
        let same = facts.filter(|facts| facts.id == entry.id);
        Ok(same.map(|facts| (entry, facts)))
    }
}

fn check_found(
    source: &BucketEntry,
    destination: &Destination,
    found: Option<&(BucketEntry, BucketFacts)>,
) -> Result<(), ObjectError> {
    let versioned = |facts: &BucketFacts| facts.versioning == Versioning::Enabled;
    let Some((entry, facts)) = found.filter(|(_, facts)| versioned(facts)) else {
        return Err(ObjectError::refused(
            "InvalidRequest",
            "Destination bucket must have versioning enabled.",
        ));
    };
    let account = destination.account.as_deref();
    if account.is_some_and(|account| account.parse() != Ok(entry.owner)) {
        return Err(invalid_argument(
            "The AWS account specified in the <Account> element must match the destination bucket \
             owner."
                .to_owned(),
        ));
    }
    if facts.requester_pays && entry.owner != source.owner {
        return Err(ObjectError::refused(
            "InvalidRequest",
            "The destination bucket of another account cannot be a Requester Pays bucket.",
        ));
    }
    Ok(())
}
