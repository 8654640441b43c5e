//! Random operations on a few keys, each compared with a model that is a list: S3's rules of
//! versions, delete markers and `null` in as few lines as they have (S3 User Guide, "Working with
//! objects in a versioning-enabled bucket", "… in a versioning-suspended bucket").

use std::collections::BTreeMap;

use types::Timestamp;

use super::checker::{check_content, checked};
use super::{Seeded, ingest, key, new_object, options, read};
use crate::testing::{Lab, code, now};
use crate::{
    Amendment, Bucket, DeleteOptions, Deleted, EtagMatch, NewContent, ObjectKey, Stamp, VersionId,
    Versioning, WriteConditions,
};

/// What the model knows of a version.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Known {
    id: VersionId,
    stamp: Stamp,
    /// Its bytes and tags; none: a delete marker.
    object: Option<(String, BTreeMap<String, String>)>,
}

/// One seed's run.
struct Run {
    lab: Lab,
    bucket: Bucket,
    seeded: Seeded,
    /// Versions of each key, oldest first.
    keys: BTreeMap<ObjectKey, Vec<Known>>,
    versioning: Versioning,
    /// Ids that once were.
    gone: Vec<VersionId>,
    wall: u64,
}

#[test]
fn every_seed_agrees_with_the_model() {
    for seed in 0..40 {
        let mut run = Run::new(seed);
        for step in 0..60 {
            run.step();
            run.compare(&format!("seed {seed}, step {step}"));
        }
        let versions = checked(&run.lab.objects, run.bucket.entry.id);
        check_content(&run.lab.objects, run.bucket.entry.id, &versions, false);
    }
}

impl Run {
    fn new(seed: u64) -> Run {
        let lab = Lab::new(Timestamp(1_000_000));
        let bucket = lab.bucket("model", Versioning::Unversioned);
        Run {
            lab,
            bucket,
            seeded: Seeded::new(seed),
            keys: BTreeMap::new(),
            versioning: Versioning::Unversioned,
            gone: Vec::new(),
            wall: 1_000_000,
        }
    }

    fn step(&mut self) {
        // The clock stands, runs or is set back: order is by the key's own past.
        self.wall = match self.seeded.below(4) {
            0 => self.wall,
            1 => self.wall.saturating_sub(700),
            _ => self.wall + 5,
        };
        self.lab.clock.set(Timestamp(self.wall));
        let at = key(["a", "a/b", "\u{0}"][self.seeded.below(3)]);
        match self.seeded.below(10) {
            0..=3 => self.put(&at),
            4 | 5 => self.delete(&at),
            6 | 7 => self.delete_version(&at),
            8 => self.tag(&at),
            _ => self.change_versioning(),
        }
    }

    fn current(&self, at: &ObjectKey) -> Option<&Known> {
        self.keys.get(at)?.last()
    }

    /// A version that comes: a `null` one takes the place of the one there is.
    fn come(&mut self, at: &ObjectKey, known: Known) {
        let versions = self.keys.entry(at.clone()).or_default();
        if known.id == VersionId::Null {
            versions.retain(|version| version.id != VersionId::Null);
        }
        let newest = versions.last().map(|version| version.stamp);
        assert!(newest < Some(known.stamp), "a write outbids what it saw");
        versions.push(known);
    }

    fn new_id(&self, stamp: Stamp) -> VersionId {
        match self.versioning {
            Versioning::Enabled => VersionId::Stamp(stamp),
            _ => VersionId::Null,
        }
    }

    fn put(&mut self, at: &ObjectKey) {
        let long = if self.seeded.chance(10) { 20_000 } else { 5 };
        let bytes = format!("{:0long$}", self.seeded.next());
        let ingested = now(ingest(&self.lab.objects, bytes.clone())).unwrap();
        let etag = ingested.extent.etag.clone();
        let conditions = match self.seeded.below(6) {
            0 => WriteConditions {
                if_none_match: true,
                ..WriteConditions::default()
            },
            1 => WriteConditions {
                if_match: Some(EtagMatch::OneOf(vec![etag])),
                ..WriteConditions::default()
            },
            _ => WriteConditions::default(),
        };
        let expected = match (
            self.current(at).and_then(|known| known.object.as_ref()),
            &conditions,
        ) {
            (Some(_), conditions) if conditions.if_none_match => Some("PreconditionFailed"),
            (Some((held, _)), conditions) if conditions.if_match.is_some() => {
                (*held != bytes).then_some("PreconditionFailed")
            }
            (None, conditions) if conditions.if_match.is_some() => Some("NoSuchKey"),
            _ => None,
        };
        let mut new = new_object(NewContent::Whole(ingested));
        new.conditions = conditions;
        let put = now(self.lab.objects.put(&self.bucket, at, new));
        if let Some(expected) = expected {
            assert_eq!(code(put), expected);
            return;
        }
        let version = put.unwrap();
        let id = self.new_id(version.stamp);
        assert_eq!(version.id(), id);
        let object = Some((bytes, BTreeMap::new()));
        let stamp = version.stamp;
        self.come(at, Known { id, stamp, object });
    }

    fn delete(&mut self, at: &ObjectKey) {
        let deleted = now(self.lab.objects.delete(&self.bucket, at, None, &options())).unwrap();
        if self.versioning == Versioning::Unversioned {
            assert_eq!(deleted, Deleted::default());
            self.keys.remove(at);
            return;
        }
        let current = now(self.lab.objects.find_any(&self.bucket, at, None)).unwrap();
        let current = current.expect("the marker");
        let id = self.new_id(current.stamp);
        let made = Deleted {
            delete_marker: true,
            version_id: Some(id),
        };
        assert_eq!(deleted, made);
        let stamp = current.stamp;
        let object = None;
        self.come(at, Known { id, stamp, object });
    }

    fn delete_version(&mut self, at: &ObjectKey) {
        let versions = self.keys.get(at).cloned().unwrap_or_default();
        let id = match self.seeded.below(versions.len() + 1) {
            0 if self.gone.is_empty() => VersionId::Null,
            0 => self.gone[self.seeded.below(self.gone.len())],
            chosen => versions[chosen - 1].id,
        };
        let held = versions.iter().find(|known| known.id == id);
        let options = DeleteOptions {
            if_match: self
                .seeded
                .chance(20)
                .then_some(EtagMatch::OneOf(vec!["no such tag".to_owned()])),
            ..options()
        };
        let deleted = now(self
            .lab
            .objects
            .delete(&self.bucket, at, Some(id), &options));
        if options.if_match.is_some() {
            let expected = match versions.is_empty() {
                true => "NoSuchKey",
                false => "PreconditionFailed",
            };
            assert_eq!(code(deleted), expected);
            return;
        }
        let expected = Deleted {
            delete_marker: held.is_some_and(|known| known.object.is_none()),
            version_id: Some(id),
        };
        assert_eq!(deleted.unwrap(), expected);
        if held.is_some() {
            self.gone.push(id);
        }
        if let Some(versions) = self.keys.get_mut(at) {
            versions.retain(|known| known.id != id);
            if versions.is_empty() {
                self.keys.remove(at);
            }
        }
    }

    fn tag(&mut self, at: &ObjectKey) {
        let versions = self.keys.get(at).cloned().unwrap_or_default();
        let id = match self.seeded.below(versions.len() + 1) {
            0 => None,
            chosen => Some(versions[chosen - 1].id),
        };
        let tags: BTreeMap<String, String> =
            [("n".to_owned(), self.seeded.next().to_string())].into();
        let amendment = Amendment::Tags(tags.clone());
        let cause = super::request();
        let amended = self
            .lab
            .objects
            .amend(&self.bucket, at, id, &amendment, &cause);
        let amended = now(amended);
        let held = match id {
            None => self
                .keys
                .get_mut(at)
                .and_then(|versions| versions.last_mut()),
            Some(id) => self.keys.get_mut(at).and_then(|versions| {
                let mut versions = versions.iter_mut();
                versions.find(|known| known.id == id)
            }),
        };
        match (held.map(|known| &mut known.object), id) {
            (Some(Some((_, held))), _) => {
                assert_eq!(amended.unwrap().object().unwrap().tags, tags);
                *held = tags;
            }
            (Some(None), Some(_)) => assert_eq!(code(amended), "MethodNotAllowed"),
            (_, None) => assert_eq!(code(amended), "NoSuchKey"),
            (None, Some(_)) => assert_eq!(code(amended), "NoSuchVersion"),
        }
    }

    fn change_versioning(&mut self) {
        let versioning = match self.seeded.below(2) {
            0 => Versioning::Enabled,
            _ => Versioning::Suspended,
        };
        // The caller's own view of the bucket stays as it was: each change looks anew.
        let changed = self.lab.objects.change_settings(&self.bucket, |settings| {
            settings.versioning = versioning;
            Ok(())
        });
        now(changed).unwrap();
        self.versioning = versioning;
    }

    fn compare(&self, place: &str) {
        let objects = &self.lab.objects;
        let rows = checked(objects, self.bucket.entry.id);
        let told: BTreeMap<ObjectKey, Vec<Known>> = rows
            .iter()
            .map(|(at, versions)| {
                let known = |version: &crate::ObjectVersion| Known {
                    id: version.id(),
                    stamp: version.stamp,
                    object: version.object().map(|data| {
                        let bytes = now(read(objects, &self.bucket, at, version)).unwrap();
                        (String::from_utf8(bytes).unwrap(), data.tags.clone())
                    }),
                };
                (at.clone(), versions.values().map(known).collect())
            })
            .collect();
        assert_eq!(told, self.keys, "{place}");
        for (at, versions) in &self.keys {
            let current = now(objects.find(&self.bucket, at, None));
            match versions.last().unwrap() {
                known if known.object.is_some() => {
                    assert_eq!(current.unwrap().id(), known.id, "{place}");
                }
                _ => assert_eq!(code(current), "NoSuchKey", "{place}"),
            }
            for known in versions {
                let found = now(objects.find(&self.bucket, at, Some(known.id)));
                match known.object {
                    Some(_) => assert_eq!(found.unwrap().stamp, known.stamp, "{place}"),
                    None => assert_eq!(code(found), "MethodNotAllowed", "{place}"),
                }
            }
        }
    }
}
