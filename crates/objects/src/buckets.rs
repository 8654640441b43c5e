//! Buckets are found, listed and made: their names are unique through the global configuration.
//! What is set of them is `settings`'s affair, how they go `removal`'s.

use bytes::Bytes;
use store::Engine;
use types::{
    AccountId, ConfigurationEdit, ConfigurationError, ConfigurationExpected, ConfigurationView,
    Region,
};

use crate::{Bucket, BucketEntry, BucketId, BucketName, BucketSettings, ObjectError, Objects};

/// Where buckets' entries stand in the global configuration.
pub const BUCKET_PREFIX: &str = "objects/bucket/";

/// Buckets that an account may have (S3 User Guide, "Bucket quotas, limitations, and
/// restrictions").
pub const MOST_BUCKETS: usize = 10_000;

/// The Region where a bucket that one owns already is made again without an error (S3 API
/// Reference, "CreateBucket").
const FORGIVING_REGION: &str = "us-east-1";

/// A bucket to be made in this Region.
#[derive(Clone, Debug)]
pub struct NewBucket {
    /// Its name.
    pub name: BucketName,
    /// Whose it will be.
    pub owner: AccountId,
    /// Its settings from the start: those of [`BucketSettings::new`] and what the request says.
    pub settings: BucketSettings,
}

/// A part of the list of buckets.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BucketPage {
    /// In order of their names.
    pub buckets: Vec<(BucketName, BucketEntry)>,
    /// Are there more?
    pub more: bool,
}

impl<E: Engine> Objects<E> {
    /// The bucket of that name as of now.
    ///
    /// # Errors
    /// `NoSuchBucket`, or `Elsewhere` with the Region that it is in.
    pub fn bucket(&self, name: &BucketName) -> Result<Bucket, ObjectError> {
        let (_, entry) = self.entry(name)?.ok_or(ObjectError::NoSuchBucket)?;
        if entry.region != self.config.region {
            return Err(ObjectError::Elsewhere(entry.region));
        }
        let settings = self.kept(&entry).settings;
        Ok(Bucket {
            name: name.clone(),
            entry,
            settings,
        })
    }

    /// The entry of the bucket of that name, wherever it is, and the revision that set it.
    ///
    /// # Errors
    /// `Internal`: the entry can't be read.
    pub fn entry(&self, name: &BucketName) -> Result<Option<(u64, BucketEntry)>, ObjectError> {
        let view = self.config.configuration.view();
        let Some((revision, value)) = view.get(&setting(name)) else {
            return Ok(None);
        };
        Ok(Some((revision, parse(name.as_str(), &value)?)))
    }

    /// The entry of the bucket of that name as it was decided before the call, also if it was made
    /// elsewhere a moment ago and this site had yet to learn of it.
    ///
    /// # Errors
    /// `Internal`: the entry can't be read; `Unavailable`: whether there is one can't be known now.
    pub(crate) async fn decided_entry(
        &self,
        name: &BucketName,
    ) -> Result<Option<BucketEntry>, ObjectError> {
        self.config.configuration.catch_up().await?;
        let entry = self.entry(name)?;
        Ok(entry.map(|(_, entry)| entry))
    }

    /// Buckets of an account, in all Regions or in one, whose names begin with `prefix` and come
    /// after `after`; at most `limit`.
    ///
    /// # Errors
    /// `Internal`: an entry can't be read.
    pub fn list_buckets(
        &self,
        owner: AccountId,
        region: Option<Region>,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BucketPage, ObjectError> {
        let mut page = BucketPage::default();
        let mut fault = None;
        let view = self.config.configuration.view();
        view.visit(&format!("{BUCKET_PREFIX}{prefix}"), &mut |key, _, value| {
            let name = key.strip_prefix(BUCKET_PREFIX).unwrap_or_default();
            if page.more || after.is_some_and(|after| name <= after) {
                return;
            }
            match parse(name, value).and_then(|entry| Ok((named(name)?, entry))) {
                Ok((_, entry)) if entry.owner != owner => {}
                Ok((_, entry)) if region.is_some_and(|region| region != entry.region) => {}
                Ok(_) if page.buckets.len() == limit => page.more = true,
                Ok(found) => page.buckets.push(found),
                Err(error) => fault = Some(error),
            }
        });
        fault.map_or(Ok(page), Err)
    }

    /// Makes a bucket in this Region.
    ///
    /// # Errors
    /// `BucketAlreadyExists`, `BucketAlreadyOwnedByYou` (where S3 says so), `TooManyBuckets`; the
    /// global configuration can't be changed now.
    pub async fn create_bucket(&self, new: NewBucket) -> Result<Bucket, ObjectError> {
        let entry = BucketEntry {
            id: BucketId(self.config.environment.random()),
            owner: new.owner,
            region: self.config.region,
            created: self.wall(),
            object_lock: new.settings.object_lock.is_some(),
        };
        may_create(&*self.config.configuration.view(), &new.name, &entry)?;
        let kept = self.write_settings(entry.id, None, None, new.settings);
        let kept = kept.await?;
        let kept = kept.ok_or_else(|| ObjectError::Internal("a bucket's id isn't new".into()))?;
        if let Err(error) = self.propose_entry(&new.name, &entry).await {
            // Whether it was made isn't known of these: the settings may be needed.
            let unknown = matches!(
                error,
                Unmade::Configuration(ConfigurationError::TimedOut | ConfigurationError::Stopped)
            );
            if !unknown {
                self.forget_settings(entry.id, kept.row).await?;
            }
            return Err(error.into());
        }
        Ok(Bucket {
            name: new.name,
            entry,
            settings: kept.settings,
        })
    }

    async fn propose_entry(&self, name: &BucketName, entry: &BucketEntry) -> Result<(), Unmade> {
        let configuration = &*self.config.configuration;
        let proposed = types::propose(configuration, Unmade::Configuration, |view| {
            may_create(view, name, entry).map_err(Unmade::Refused)?;
            // A proposal whose answer was lost was made after all.
            if view.get(&setting(name)).is_some() {
                return Ok((Vec::new(), ()));
            }
            let edit = ConfigurationEdit {
                key: setting(name),
                expected: ConfigurationExpected::Absent,
                value: Some(json(entry)),
            };
            Ok((vec![edit], ()))
        });
        proposed.await.map(|_| ())
    }

    /// Is a bucket that its owner makes again answered as if it were made, where it is?
    pub fn forgives(&self, name: &BucketName, owner: AccountId) -> bool {
        let here = self.config.region.name() == FORGIVING_REGION;
        here && self
            .bucket(name)
            .is_ok_and(|bucket| bucket.entry.owner == owner)
    }
}

/// Why a bucket isn't made.
enum Unmade {
    Refused(ObjectError),
    Configuration(ConfigurationError),
}

impl From<Unmade> for ObjectError {
    fn from(unmade: Unmade) -> ObjectError {
        match unmade {
            Unmade::Refused(error) => error,
            Unmade::Configuration(ConfigurationError::Full) => too_many(),
            Unmade::Configuration(error) => error.into(),
        }
    }
}

fn too_many() -> ObjectError {
    ObjectError::refused(
        "TooManyBuckets",
        "You have attempted to create more buckets than allowed",
    )
}

/// May a bucket of that name be made, as far as that view knows?
fn may_create(
    view: &dyn ConfigurationView,
    name: &BucketName,
    new: &BucketEntry,
) -> Result<(), ObjectError> {
    if let Some((_, value)) = view.get(&setting(name)) {
        let held = parse(name.as_str(), &value)?;
        return match (held.id == new.id, held.owner == new.owner) {
            (true, _) => Ok(()),
            (false, true) => Err(ObjectError::refused_with(
                409,
                "BucketAlreadyOwnedByYou",
                "Your previous request to create the named bucket succeeded and you already own \
                 it.",
            )),
            (false, false) => Err(ObjectError::refused_with(
                409,
                "BucketAlreadyExists",
                "The requested bucket name is not available. The bucket namespace is shared by \
                 all users of the system. Please select a different name and try again.",
            )),
        };
    }
    let mut owned = 0;
    view.visit(BUCKET_PREFIX, &mut |_, _, value| {
        let entry = serde_json::from_slice::<BucketEntry>(value);
        owned += usize::from(entry.is_ok_and(|entry| entry.owner == new.owner));
    });
    match owned < MOST_BUCKETS {
        true => Ok(()),
        false => Err(too_many()),
    }
}

/// The setting that holds a bucket's entry.
pub(crate) fn setting(name: &BucketName) -> String {
    format!("{BUCKET_PREFIX}{name}")
}

fn named(name: &str) -> Result<BucketName, ObjectError> {
    let parsed = name.parse();
    parsed.map_err(|_| ObjectError::Internal(format!("the entry of bucket {name} has no name")))
}

/// The entry of a bucket of that name.
pub(crate) fn parse(name: &str, value: &Bytes) -> Result<BucketEntry, ObjectError> {
    serde_json::from_slice(value).map_err(|error| {
        ObjectError::Internal(format!("the entry of bucket {name} can't be read: {error}"))
    })
}

/// An entry as the configuration has it.
pub(crate) fn json(entry: &BucketEntry) -> Bytes {
    Bytes::from(serde_json::to_vec(entry).expect("an entry has text for keys"))
}
