//! Tags of zones and health checks: up to ten words that their owner hangs on each.

use std::collections::BTreeMap;

use aws::xml::XmlWriter;
use types::{
    AccountId, ConfigurationEdit, ConfigurationExpected, ConfigurationView, HealthCheckId,
};

use crate::request::zone_id;
use crate::{RoutingError, ZoneId, catalogue, keys};

/// The tags of one resource: value by key.
pub(crate) type Tags = BTreeMap<String, String>;

/// What tags hang on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Resource {
    /// `hostedzone`.
    Zone(ZoneId),
    /// `healthcheck`.
    HealthCheck(HealthCheckId),
}

impl Resource {
    /// The resource of that type and id.
    pub(crate) fn read(kind: &str, id: &str) -> Result<Resource, RoutingError> {
        match kind {
            "hostedzone" => zone_id(id).map(Resource::Zone),
            "healthcheck" => Ok(Resource::HealthCheck(HealthCheckId(id.to_owned()))),
            _ => {
                let shown: String = kind.chars().take(64).collect();
                Err(RoutingError::invalid(format!(
                    "1 validation error detected: Value '{shown}' at 'resourceType' failed to \
                     satisfy constraint: Member must satisfy enum value set: [healthcheck, \
                     hostedzone]"
                )))
            }
        }
    }

    /// Its type in the API.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Resource::Zone(_) => "hostedzone",
            Resource::HealthCheck(_) => "healthcheck",
        }
    }

    /// Its id.
    pub(crate) fn id(&self) -> &str {
        match self {
            Resource::Zone(id) => id.as_str(),
            Resource::HealthCheck(id) => &id.0,
        }
    }

    fn key(&self) -> String {
        format!("routing/tags/{}/{}", self.kind(), self.id())
    }

    /// Its tags.
    ///
    /// # Errors
    ///
    /// The account has no such resource.
    pub(crate) fn tags(
        &self,
        view: &dyn ConfigurationView,
        account: AccountId,
    ) -> Result<Tags, RoutingError> {
        match self {
            Resource::Zone(id) => {
                catalogue::zone(view, account, id)?;
            }
            Resource::HealthCheck(id) => {
                crate::check::find(view, account, id)?;
            }
        }
        let Some((_, bytes)) = view.get(&self.key()) else {
            return Ok(Tags::new());
        };
        serde_json::from_slice(&bytes)
            .map_err(|error| RoutingError::Unreadable(format!("tags of {}: {error}", self.id())))
    }

    /// The edit that sets its tags, if they are still what the view has.
    pub(crate) fn write(&self, view: &dyn ConfigurationView, tags: &Tags) -> ConfigurationEdit {
        let key = self.key();
        let expected = match view.get(&key) {
            Some((revision, _)) => ConfigurationExpected::Revision(revision),
            None => ConfigurationExpected::Absent,
        };
        let value = serde_json::to_vec(tags).expect("a map of texts is JSON");
        ConfigurationEdit {
            key,
            expected,
            value: (!tags.is_empty()).then(|| value.into()),
        }
    }

    /// The edit that removes its tags, if it has any.
    pub(crate) fn removal(&self, view: &dyn ConfigurationView) -> Option<ConfigurationEdit> {
        view.get(&self.key())?;
        Some(ConfigurationEdit {
            key: self.key(),
            expected: ConfigurationExpected::Any,
            value: None,
        })
    }

    /// `ResourceTagSet`.
    pub(crate) fn shape(&self, writer: &mut XmlWriter, tags: &Tags) {
        writer
            .open("ResourceTagSet")
            .value("ResourceType", self.kind())
            .value("ResourceId", self.id())
            .open("Tags");
        for (key, value) in tags {
            writer
                .open("Tag")
                .value("Key", key)
                .value("Value", value)
                .close();
        }
        writer.close().close();
    }
}

/// The key under which a health check stands is its own; nothing else may be reached by an id.
pub(crate) fn is_check_id(id: &HealthCheckId) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=64).contains(&id.0.len()) && id.0.bytes().all(allowed) && keys::check(id).len() < 128
}
