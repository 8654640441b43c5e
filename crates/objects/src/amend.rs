//! A version's tags, access control list and lock are changed. Its bytes, headers and stamp never
//! are.

use std::collections::BTreeMap;
use std::sync::Arc;

use store::{Batch, Engine};

use crate::commit::{MAX_ATTEMPTS, Plan, Step};
use crate::find::{find_row, seen};
use crate::lock::not_configured;
use crate::write::{contended, one};
use crate::{
    Acl, Aspect, Bucket, BucketSettings, Cause, ObjectData, ObjectError, ObjectKey, ObjectVersion,
    Objects, Retention, State, VersionId,
};

/// A change of a version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Amendment {
    /// Its tags become these; none: they are deleted.
    Tags(BTreeMap<String, String>),
    /// Its access control list becomes that one; none: `private`.
    Acl(Option<Acl>),
    /// Its retention becomes that one, or ends.
    Retention {
        /// The new one.
        retention: Option<Retention>,
        /// May the caller, and does it ask to, bypass governance?
        bypass_governance: bool,
    },
    /// Its legal hold begins or ends.
    LegalHold(bool),
}

impl Amendment {
    fn aspect(&self) -> Aspect {
        match self {
            Amendment::Tags(tags) => Aspect::Tags {
                removed: tags.is_empty(),
            },
            Amendment::Acl(_) => Aspect::Acl,
            Amendment::Retention { .. } => Aspect::Retention,
            Amendment::LegalHold(_) => Aspect::LegalHold,
        }
    }
}

impl<E: Engine> Objects<E> {
    /// Amends the version of that id, or the current one. Poll it to its end.
    ///
    /// # Errors
    /// As [`Objects::find`]; `Locked`; of a lock `InvalidRequest` in a bucket without object lock.
    pub async fn amend(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        id: Option<VersionId>,
        amendment: &Amendment,
        cause: &Cause,
    ) -> Result<Arc<ObjectVersion>, ObjectError> {
        let decide = |_: &ObjectVersion| Ok(amendment.clone());
        self.amend_by(bucket, key, id, amendment.aspect(), cause, decide)
            .await
    }

    /// As [`Objects::amend`], by what `decide` says of the very version that is amended: it is
    /// called while nobody else changes the key, perhaps several times, and may refuse. What it
    /// says must be of that aspect.
    ///
    /// # Errors
    /// As [`Objects::amend`], and what `decide` says.
    pub async fn amend_by(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        id: Option<VersionId>,
        aspect: Aspect,
        cause: &Cause,
        mut decide: impl FnMut(&ObjectVersion) -> Result<Amendment, ObjectError>,
    ) -> Result<Arc<ObjectVersion>, ObjectError> {
        let change = |settings: &BucketSettings, version: &mut ObjectVersion| {
            let amendment = decide(version)?;
            let State::Object(object) = &mut version.state else {
                return Err(ObjectError::Internal("a delete marker was found".into()));
            };
            self.apply(settings, object, &amendment)?;
            let seen = object.amended.last().max(Some(version.stamp.version));
            let at = Some(self.issue(seen).version);
            match &amendment {
                Amendment::Tags(_) => object.amended.tags = at,
                Amendment::Acl(_) => object.amended.acl = at,
                Amendment::Retention { .. } => object.amended.retention = at,
                Amendment::LegalHold(_) => object.amended.legal_hold = at,
            }
            Ok(Batch::new())
        };
        self.amend_with(bucket, key, id, aspect, cause, change)
            .await
    }

    /// Amends a version by a function of its own, which gives writes that belong to it too and
    /// may be called again. It must leave the stamp as it is.
    ///
    /// # Errors
    /// As [`Objects::find`], and what `change` says.
    pub(crate) async fn amend_with(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        id: Option<VersionId>,
        aspect: Aspect,
        cause: &Cause,
        mut change: impl FnMut(&BucketSettings, &mut ObjectVersion) -> Result<Batch, ObjectError>,
    ) -> Result<Arc<ObjectVersion>, ObjectError> {
        let _alone = self.locks.lock(&Self::lock_key(bucket.entry.id, key)).await;
        for _ in 0..MAX_ATTEMPTS {
            let held = self.hold(bucket, key).await?;
            let current = held.current.as_ref().map(|row| row.version.id());
            let found = match id.or(current) {
                Some(named) => find_row(&held.snapshot, &held.bucket, key, Some(named)).await?,
                None => None,
            };
            if aspect != Aspect::Outcomes {
                seen(found.as_ref().map(|row| row.version.clone()), id)?;
            }
            let before = found.ok_or(ObjectError::NoSuchVersion)?;
            let mut after = (*before.version).clone();
            let batch = change(&held.bucket.settings, &mut after)?;
            let step = Step::Amend {
                before,
                after: Box::new(after),
                aspect,
            };
            let plan = Plan {
                batch,
                ..Plan::new(cause.clone(), vec![step])
            };
            if let Some(made) = self.commit(key, &held, plan).await? {
                return one(made);
            }
        }
        Err(contended())
    }

    fn apply(
        &self,
        settings: &BucketSettings,
        object: &mut ObjectData,
        amendment: &Amendment,
    ) -> Result<(), ObjectError> {
        match amendment {
            Amendment::Tags(tags) => object.tags = tags.clone(),
            Amendment::Acl(acl) => object.acl = acl.clone(),
            Amendment::Retention { .. } | Amendment::LegalHold(_)
                if settings.object_lock.is_none() =>
            {
                return Err(not_configured());
            }
            Amendment::Retention {
                retention,
                bypass_governance,
            } => {
                object.check_retention(retention.as_ref(), self.wall(), *bypass_governance)?;
                object.retention = retention.clone();
            }
            Amendment::LegalHold(hold) => object.legal_hold = *hold,
        }
        Ok(())
    }
}
