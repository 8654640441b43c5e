//! An operation's request, taken apart, and its reply.

use aws::rest::{Labels, Query, ROUTE53};
use aws::xml::{Element, Members, XmlWriter};
use bytes::Bytes;
use types::HealthCheckId;

use crate::{RoutingError, ZoneId};

/// What an operation was asked.
pub(crate) struct Request<'a> {
    /// What the path said.
    pub(crate) labels: Labels,
    /// The query's parameters.
    pub(crate) query: Query,
    /// The document, if there was one.
    pub(crate) body: Option<Element<'a>>,
}

/// What an operation answers.
pub(crate) struct Reply {
    /// The HTTP status.
    pub(crate) status: u16,
    /// Where what was created is to be found.
    pub(crate) location: Option<String>,
    /// The response's document.
    pub(crate) document: Bytes,
}

impl Reply {
    /// That document, with status 200.
    pub(crate) fn ok(document: XmlWriter) -> Reply {
        Reply {
            status: 200,
            location: None,
            document: document.finish(),
        }
    }

    /// That document, with status 201, of what is now at that path below the API's version.
    pub(crate) fn created(document: XmlWriter, path: &str) -> Reply {
        Reply {
            status: 201,
            location: Some(format!("https://route53.amazonaws.com/2013-04-01/{path}")),
            document: document.finish(),
        }
    }
}

/// A response document of that name.
pub(crate) fn document(name: &'static str) -> XmlWriter {
    XmlWriter::document(name, ROUTE53.namespace)
}

impl Request<'_> {
    /// The members of the document's root.
    pub(crate) fn members(&self, known: &[&str]) -> Result<Members<'_, '_>, RoutingError> {
        let Some(body) = &self.body else {
            return Err(RoutingError::invalid("The request has no document."));
        };
        Ok(body.members(known)?)
    }

    /// The zone that the path names, with or without `/hostedzone/` before it.
    pub(crate) fn zone(&self, label: &str) -> Result<ZoneId, RoutingError> {
        zone_id(self.labels.get(label))
    }

    /// The health check that the path names.
    pub(crate) fn health_check(&self) -> HealthCheckId {
        HealthCheckId(self.labels.get("HealthCheckId").to_owned())
    }

    /// How many items a page shall have: `maxitems`, at most `most`; `most` where it isn't said.
    pub(crate) fn page_size(&self, most: usize) -> Result<usize, RoutingError> {
        let Some(text) = self.query.get("maxitems").filter(|text| !text.is_empty()) else {
            return Ok(most);
        };
        match text.parse::<u32>() {
            Ok(size) if size > 0 => Ok(usize::try_from(size).unwrap_or(most).min(most)),
            _ => Err(RoutingError::invalid(format!(
                "Invalid parameter: maxitems '{text}' is not a positive number."
            ))),
        }
    }

    /// The value of a parameter, if it is there and not empty.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).filter(|value| !value.is_empty())
    }
}

/// The zone of that id, with or without `/hostedzone/` before it. What can't be an id is the id
/// of no zone.
pub(crate) fn zone_id(text: &str) -> Result<ZoneId, RoutingError> {
    let bare = text.trim_start_matches('/');
    let bare = bare.strip_prefix("hostedzone/").unwrap_or(bare);
    if bare.len() > crate::model::MAX_ZONE_ID {
        let shown: String = bare.chars().take(64).collect();
        return Err(RoutingError::invalid(format!(
            "1 validation error detected: Value '{shown}' at 'id' failed to satisfy constraint: \
             Member must have length less than or equal to {}",
            crate::model::MAX_ZONE_ID
        )));
    }
    ZoneId::new(bare).ok_or_else(|| RoutingError::NoSuchZone(bare.to_owned()))
}
