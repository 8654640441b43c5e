//! One request of EC2 while it is carried out: who calls, what the form says, and the view of the
//! configuration that it is judged on. It changes nothing.

use aws::access::{Authorizer, Question};
use aws::query::Members;
use aws::xml::XmlWriter;
use types::ConfigurationView;

use crate::described::{Described, Members as Answer, Node, Tags, text, write_members};
use crate::error::Ec2Error;
use crate::filter::{filters, passes, shown};
use crate::limits;
use crate::operation_table::Row;
use crate::service::Service;
use crate::settings::Settings;

/// What an operation was asked, and what it is judged on.
#[derive(Clone)]
pub(crate) struct Ec2Request<'a> {
    pub(crate) service: &'a Service,
    pub(crate) row: &'static Row,
    pub(crate) members: Members<'a>,
    pub(crate) caller: &'a dyn Authorizer,
    pub(crate) view: &'a dyn ConfigurationView,
}

/// A kind of resource that is described.
pub(crate) struct Kind {
    /// The list of ids in the request: `VpcId`.
    pub(crate) ids: &'static str,
    /// What ids begin with, without the dash: `vpc`.
    pub(crate) prefix: &'static str,
    /// EC2's codes of ids that aren't of the form, and of those that aren't there.
    pub(crate) codes: [&'static str; 2],
    /// As errors name it: `vpc ID`.
    pub(crate) name: &'static str,
    /// What filters may be named, beside those of tags.
    pub(crate) filters: &'static [&'static str],
    /// The list in the answer: `vpcSet`.
    pub(crate) list: &'static str,
}

impl<'a> Ec2Request<'a> {
    /// The settings of the caller's account.
    pub(crate) fn settings(&self) -> Settings<'a> {
        Settings::of(self.view, self.caller, self.service.config.region)
    }

    /// The ARN of something of the caller's account in this Region.
    pub(crate) fn arn(&self, resource: &str) -> String {
        let (region, account) = (self.service.config.region, self.caller.account());
        format!("arn:aws:ec2:{region}:{account}:{resource}")
    }

    /// May the caller do what the row says to those resources (their ARNs)? The end of a request
    /// that is a dry run.
    ///
    /// # Errors
    ///
    /// It may not, or asked for nothing more.
    pub(crate) fn authorize(&self, resources: &[String]) -> Result<(), Ec2Error> {
        let action = format!("ec2:{}", self.row.name);
        for resource in resources {
            let account = self.caller.account();
            let mut question = Question::new(action.as_str(), resource.as_str(), account);
            question.keys.set(
                "ec2:Region",
                vec![self.service.config.region.name().to_owned()],
            );
            self.caller.authorize(&question)?;
        }
        match self.flag("DryRun")? {
            Some(true) => Err(Ec2Error::DryRun),
            _ => Ok(()),
        }
    }

    /// A parameter that must be there.
    pub(crate) fn required(&self, name: &'static str) -> Result<&'a str, Ec2Error> {
        let value = self.members.value(name).filter(|value| !value.is_empty());
        value.ok_or(Ec2Error::Missing(name))
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, name: &'static str) -> Result<Option<bool>, Ec2Error> {
        match self.members.value(name) {
            None => Ok(None),
            Some(value) => match value.to_ascii_lowercase().as_str() {
                "true" => Ok(Some(true)),
                "false" => Ok(Some(false)),
                _ => Err(Ec2Error::Invalid(format!(
                    "Invalid value '{}' for {name}. It must be a boolean",
                    shown(value)
                ))),
            },
        }
    }

    /// Those of the resources that the request's ids and filters choose, a page of them, as the
    /// answer.
    ///
    /// # Errors
    ///
    /// An id is of no resource, or the request can't be understood.
    pub(crate) fn choose(&self, kind: &Kind, all: Vec<Described>) -> Result<Answer, Ec2Error> {
        let ids = self.members.numbered(kind.ids)?;
        if ids.len() > limits::IDS {
            let words = format!("At most {} ids may be given", limits::IDS);
            return Err(Ec2Error::Invalid(words));
        }
        for id in &ids {
            if all.iter().any(|resource| resource.id == *id) {
                continue;
            }
            let id = shown(id);
            return Err(
                match crate::settings::is_id(&id, &format!("{}-", kind.prefix)) {
                    true => Ec2Error::NotFound {
                        code: kind.codes[1],
                        kind: kind.name,
                        id,
                    },
                    false => Ec2Error::Malformed {
                        code: kind.codes[0],
                        id,
                        expected: kind.prefix,
                    },
                },
            );
        }
        let filters = filters(&self.members, kind.filters)?;
        let mut chosen: Vec<Described> = all
            .into_iter()
            .filter(|resource| ids.is_empty() || ids.contains(&resource.id.as_str()))
            .filter(|resource| passes(&filters, resource))
            .collect();
        let token = self.page(&mut chosen)?;
        let items = chosen
            .into_iter()
            .map(|resource| Node::Members(resource.members));
        let mut answer = vec![(kind.list, Node::Items(items.collect()))];
        answer.extend(token.map(|token| ("nextToken", Node::Text(token))));
        Ok(answer)
    }

    /// Leaves a page of them; gives the token of the next one.
    fn page(&self, chosen: &mut Vec<Described>) -> Result<Option<String>, Ec2Error> {
        if let Some(token) = self
            .members
            .value("NextToken")
            .filter(|token| !token.is_empty())
        {
            let next = chosen.iter().position(|resource| resource.id == token);
            let next = next.ok_or_else(|| {
                Ec2Error::Invalid("The token is not of a page of these results".to_owned())
            })?;
            chosen.drain(..next);
        }
        let Some(most) = self.members.value("MaxResults") else {
            return Ok(None);
        };
        let fewest = *limits::PAGE.start();
        let refused = || {
            let greatest = limits::PAGE.end();
            Ec2Error::Invalid(format!(
                "Value ( {} ) for parameter maxResults is invalid. Expecting a value between \
                 {fewest} and {greatest}.",
                shown(most)
            ))
        };
        let most: usize = most.parse().map_err(|_| refused())?;
        if !limits::PAGE.contains(&most) {
            return Err(refused());
        }
        let token = chosen.get(most).map(|next| next.id.clone());
        chosen.truncate(most);
        Ok(token)
    }

    /// The tags that a request gives to what it makes: those of the `TagSpecification` of that
    /// type.
    ///
    /// # Errors
    ///
    /// One is for something else, or a tag can't be.
    pub(crate) fn tag_specification(&self, kind: &str) -> Result<Tags, Ec2Error> {
        let mut tags = Tags::new();
        for specification in self.members.numbered_structures("TagSpecification")? {
            let named = specification.value("ResourceType");
            if named != Some(kind) {
                return Err(Ec2Error::Invalid(format!(
                    "'{}' is not a valid taggable resource type for this operation.",
                    shown(named.unwrap_or(""))
                )));
            }
            tags.extend(read_tags(&specification)?);
        }
        check_count(&tags)?;
        Ok(tags)
    }
}

/// The tags of the list `Tag`.
///
/// # Errors
///
/// One can't be.
pub(crate) fn read_tags(members: &Members<'_>) -> Result<Tags, Ec2Error> {
    let mut tags = Tags::new();
    for tag in members.numbered_structures("Tag")? {
        let key = tag.value("Key").ok_or(Ec2Error::Missing("Tag.Key"))?;
        let value = tag.value("Value").unwrap_or("");
        if key.is_empty() || key.chars().count() > limits::TAG_KEY {
            let words = "Tag key exceeds the maximum length of 128 characters or is empty";
            return Err(Ec2Error::Invalid(words.to_owned()));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            let words = "Tag keys starting with 'aws:' are reserved for internal use";
            return Err(Ec2Error::Invalid(words.to_owned()));
        }
        if value.chars().count() > limits::TAG_VALUE {
            let words = "Tag value exceeds the maximum length of 256 characters";
            return Err(Ec2Error::Invalid(words.to_owned()));
        }
        tags.insert(key.to_owned(), value.to_owned());
    }
    Ok(tags)
}

/// Are there no more than a resource may have?
pub(crate) fn check_count(tags: &Tags) -> Result<(), Ec2Error> {
    match tags.len() > limits::TAGS {
        true => Err(Ec2Error::Limit {
            code: "TagLimitExceeded",
            message: format!("More than {} tags specified", limits::TAGS),
        }),
        false => Ok(()),
    }
}

/// The answer of an operation that says nothing but that it was done.
pub(crate) fn done() -> Answer {
    vec![("return", text(true))]
}

/// The document of an answer.
pub(crate) fn document(row: &Row, request_id: &str, answer: &Answer) -> bytes::Bytes {
    let root = format!("{}Response", row.name);
    let mut writer = XmlWriter::document(root, aws::query::EC2.namespace);
    writer.value("requestId", request_id);
    write_members(answer, &mut writer);
    writer.finish()
}
