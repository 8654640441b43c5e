//! What of EC2's part is kept in the Region's own configuration: security groups, and the tags of
//! what is always there. A row each, with the version of its form before it.

use aws::access::Authorizer;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use types::network::default_security_group;
use types::{AccountId, ConfigurationEdit, ConfigurationExpected, ConfigurationView, Region};

use crate::described::Tags;
use crate::error::Ec2Error;
use crate::model::{Group, Peer, Rule, What};

/// The version of rows: their first byte.
const FORMAT: u8 = 1;

/// What of which account is read and changed.
#[derive(Clone, Copy)]
pub(crate) struct Settings<'a> {
    pub(crate) view: &'a dyn ConfigurationView,
    pub(crate) account: AccountId,
    pub(crate) region: Region,
}

/// Has that account a security group of that id in that Region?
pub fn is_security_group(
    view: &dyn ConfigurationView,
    account: AccountId,
    region: Region,
    id: &str,
) -> bool {
    let settings = Settings {
        view,
        account,
        region,
    };
    id == default_security_group(region) || view.get(&settings.group_key(id)).is_some()
}

impl<'a> Settings<'a> {
    /// Those of the caller's account.
    pub(crate) fn of(
        view: &'a dyn ConfigurationView,
        caller: &dyn Authorizer,
        region: Region,
    ) -> Settings<'a> {
        Settings {
            view,
            account: caller.account(),
            region,
        }
    }

    fn group_key(&self, id: &str) -> String {
        format!("ec2/{}/security-group/{id}", self.account)
    }

    fn tags_key(&self, id: &str) -> String {
        format!("ec2/{}/tags/{id}", self.account)
    }

    /// All security groups, the default one among them, in the order of their ids.
    ///
    /// # Errors
    ///
    /// A row makes no sense.
    pub(crate) fn groups(&self) -> Result<Vec<Group>, Ec2Error> {
        let (mut groups, mut fault) = (Vec::new(), None);
        let prefix = self.group_key("");
        self.view.visit(
            &prefix,
            &mut |key, _, row| match decode::<Group>(key, row) {
                Ok(group) => groups.push(group),
                Err(error) => fault = Some(error),
            },
        );
        if let Some(fault) = fault {
            return Err(fault);
        }
        let default = default_security_group(self.region);
        if !groups.iter().any(|group| group.id == default) {
            groups.push(self.default_group());
        }
        groups.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(groups)
    }

    /// The group of that id, and what must hold of its row when it is changed.
    ///
    /// # Errors
    ///
    /// There is none, or its row makes no sense.
    pub(crate) fn group(&self, id: &str) -> Result<(ConfigurationExpected, Group), Ec2Error> {
        let key = self.group_key(id);
        match self.view.get(&key) {
            Some((revision, row)) => Ok((
                ConfigurationExpected::Revision(revision),
                decode(&key, &row)?,
            )),
            None if id == default_security_group(self.region) => {
                Ok((ConfigurationExpected::Absent, self.default_group()))
            }
            None if !is_id(id, "sg-") => Err(Ec2Error::Malformed {
                code: "InvalidGroupId.Malformed",
                id: crate::filter::shown(id),
                expected: "sg",
            }),
            None => Err(Ec2Error::NotFound {
                code: "InvalidGroup.NotFound",
                kind: "security group",
                id: crate::filter::shown(id),
            }),
        }
    }

    /// The default group as nobody has changed it (Amazon VPC User Guide, "Default security
    /// groups for your VPCs").
    fn default_group(&self) -> Group {
        let id = default_security_group(self.region);
        let digits = id.trim_start_matches("sg-").to_owned();
        let rule = |is_egress, peer| Rule {
            id: format!("sgr-{}{}", &digits[..16], u8::from(is_egress)),
            is_egress,
            what: What::all(peer),
            description: None,
            tags: Tags::new(),
        };
        Group {
            name: "default".to_owned(),
            description: "default VPC security group".to_owned(),
            rules: vec![
                rule(false, Peer::Group(id.clone())),
                rule(true, Peer::V4("0.0.0.0/0".to_owned())),
            ],
            tags: Tags::new(),
            id,
        }
    }

    /// The change that keeps a group so.
    pub(crate) fn put(&self, expected: ConfigurationExpected, group: &Group) -> ConfigurationEdit {
        ConfigurationEdit {
            key: self.group_key(&group.id),
            expected,
            value: Some(encode(group)),
        }
    }

    /// The change that removes a group.
    pub(crate) fn remove(&self, expected: ConfigurationExpected, id: &str) -> ConfigurationEdit {
        ConfigurationEdit {
            key: self.group_key(id),
            expected,
            value: None,
        }
    }

    /// The tags of something that is always there.
    ///
    /// # Errors
    ///
    /// The row makes no sense.
    pub(crate) fn tags(&self, id: &str) -> Result<(ConfigurationExpected, Tags), Ec2Error> {
        let key = self.tags_key(id);
        match self.view.get(&key) {
            Some((revision, row)) => Ok((
                ConfigurationExpected::Revision(revision),
                decode(&key, &row)?,
            )),
            None => Ok((ConfigurationExpected::Absent, Tags::new())),
        }
    }

    /// The change that makes those its tags.
    pub(crate) fn put_tags(
        &self,
        expected: ConfigurationExpected,
        id: &str,
        tags: &Tags,
    ) -> ConfigurationEdit {
        ConfigurationEdit {
            key: self.tags_key(id),
            expected,
            value: (!tags.is_empty()).then(|| encode(tags)),
        }
    }
}

/// Has it the form of an id: that prefix and 8 or 17 hexadecimal digits?
pub(crate) fn is_id(id: &str, prefix: &str) -> bool {
    id.strip_prefix(prefix).is_some_and(|digits| {
        [8, 17].contains(&digits.len())
            && digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn encode(value: &impl Serialize) -> Bytes {
    let mut row = vec![FORMAT];
    serde_json::to_writer(&mut row, value).expect("plain values have a JSON form");
    row.into()
}

fn decode<T: DeserializeOwned>(key: &str, row: &[u8]) -> Result<T, Ec2Error> {
    let fault = |why: String| Ec2Error::Internal(format!("the setting {key} {why}"));
    match row.split_first() {
        Some((&FORMAT, rest)) => {
            serde_json::from_slice(rest).map_err(|_| fault("is corrupt".to_owned()))
        }
        Some((format, _)) => Err(fault(format!(
            "has format {format}; this binary understands up to {FORMAT}"
        ))),
        None => Err(fault("is empty".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_golden_bytes_and_newer_ones_are_refused() {
        let group = Group {
            id: "sg-0123456789abcdef0".to_owned(),
            name: "web".to_owned(),
            description: "Web".to_owned(),
            rules: vec![Rule {
                id: "sgr-0123456789abcdef0".to_owned(),
                is_egress: false,
                what: What {
                    protocol: "tcp".to_owned(),
                    from: Some(80),
                    to: Some(81),
                    peer: Peer::V4("0.0.0.0/0".to_owned()),
                },
                description: None,
                tags: Tags::new(),
            }],
            tags: Tags::from([("a".to_owned(), "b".to_owned())]),
        };
        let golden = "\u{1}{\"id\":\"sg-0123456789abcdef0\",\"name\":\"web\",\
            \"description\":\"Web\",\"rules\":[{\"id\":\"sgr-0123456789abcdef0\",\
            \"is_egress\":false,\"what\":{\"protocol\":\"tcp\",\"from\":80,\"to\":81,\
            \"peer\":{\"V4\":\"0.0.0.0/0\"}},\"description\":null,\"tags\":{}}],\
            \"tags\":{\"a\":\"b\"}}";
        assert_eq!(encode(&group), golden.as_bytes());
        assert_eq!(decode::<Group>("k", golden.as_bytes()), Ok(group));
        for wrong in [b"" as &[u8], b"\x02{}", b"\x01{"] {
            let refused = decode::<Group>("k", wrong);
            assert!(matches!(refused, Err(Ec2Error::Internal(_))), "{wrong:?}");
        }
    }
}
