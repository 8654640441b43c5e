//! Rules of listeners: conditions on a request, and what becomes of one that meets them all.
//! Values only; nothing is matched here.

use serde::{Deserialize, Serialize};

use super::{Cidr, RuleId, Tags, TargetGroupArn};
use crate::words::words;

/// A rule other than a listener's default one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rule {
    /// Its id.
    pub id: RuleId,
    /// Its place among the rules of its listener: 1 to 50,000; lower ones are asked first.
    pub priority: u32,
    /// What must hold of a request, all of it; at least one.
    pub conditions: Vec<Condition>,
    /// What becomes of such a request.
    pub action: Action,
    /// Its tags.
    pub tags: Tags,
}

/// What must hold of a request: one of the values. Patterns have `*` for any characters and `?` for
/// one; `\` before either makes it itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Condition {
    /// Its host is of one of these patterns, whatever the case.
    HostHeader(Vec<String>),
    /// Its path is of one of these patterns, in their case.
    PathPattern(Vec<String>),
    /// A header of that name, whatever its case, has a value of one of these patterns, whatever
    /// the case.
    HttpHeader {
        /// The header's name, without wildcards.
        name: String,
        /// The patterns.
        values: Vec<String>,
    },
    /// Its query string has one of these, whatever the case.
    QueryString(Vec<QueryPattern>),
    /// Its method is one of these, in their case.
    RequestMethod(Vec<String>),
    /// Who connected has an address in one of these blocks.
    SourceIp(Vec<Cidr>),
}

/// What a query string may have.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct QueryPattern {
    /// The pattern of a parameter's name; none: any name.
    pub key: Option<String>,
    /// The pattern of its value.
    pub value: String,
}

/// What becomes of a request or a flow. The API has a list of actions, of which all but the last
/// authenticate; those aren't built, so there is the last alone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Action {
    /// The order that the user gave it, 1 to 50,000, which is repeated and means nothing.
    pub order: Option<u32>,
    /// What it does.
    pub kind: ActionKind,
}

/// What an action does.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ActionKind {
    /// A target of a target group gets it.
    Forward(Forward),
    /// The client is sent elsewhere.
    Redirect(Redirect),
    /// The client is answered.
    FixedResponse(FixedResponse),
}

/// The target groups that share what is forwarded.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Forward {
    /// The groups, one to five, none twice.
    pub groups: Vec<WeightedGroup>,
    /// How long a client stays with the group that it had; none: it doesn't.
    pub stickiness: Option<GroupStickiness>,
}

/// A target group and its share.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WeightedGroup {
    /// The group.
    pub group: TargetGroupArn,
    /// Its share among the action's groups: 0 to 999.
    pub weight: u16,
}

/// How long clients stay with a target group.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GroupStickiness {
    /// Is it so? When not, the duration is kept and means nothing.
    pub enabled: bool,
    /// Seconds: 1 to 604,800.
    pub duration: Option<u32>,
}

/// Where a client is sent. `#{protocol}`, `#{host}`, `#{port}`, `#{path}` and `#{query}` in a part
/// stand for those of the request; `#{path}` without its leading slash.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Redirect {
    /// `HTTP`, `HTTPS` or `#{protocol}`.
    pub protocol: String,
    /// 1 to 65,535, or `#{port}`.
    pub port: String,
    /// 1 to 128 characters.
    pub host: String,
    /// 1 to 128 characters, of which the first is a slash.
    pub path: String,
    /// Without its question mark; 0 to 128 characters.
    pub query: String,
    /// With which status.
    pub status: RedirectStatus,
}

words! {
    /// The status of a redirect.
    pub enum RedirectStatus {
        /// 301.
        Permanent = "HTTP_301",
        /// 302.
        Temporary = "HTTP_302",
    }
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FixedResponse {
    /// Its status: 200 to 299, or 400 to 599.
    pub status: u16,
    /// Its type: `text/plain`, `text/css`, `text/html`, `application/javascript` or
    /// `application/json`.
    pub content_type: Option<String>,
    /// Its body, of 1,024 characters at most.
    pub body: Option<String>,
}

impl RedirectStatus {
    /// The status code.
    pub fn code(self) -> u16 {
        match self {
            RedirectStatus::Permanent => 301,
            RedirectStatus::Temporary => 302,
        }
    }
}

impl Action {
    /// The target groups that it forwards to.
    pub fn target_groups(&self) -> impl Iterator<Item = &TargetGroupArn> {
        let groups = match &self.kind {
            ActionKind::Forward(forward) => forward.groups.as_slice(),
            ActionKind::Redirect(_) | ActionKind::FixedResponse(_) => &[],
        };
        groups.iter().map(|weighted| &weighted.group)
    }
}
