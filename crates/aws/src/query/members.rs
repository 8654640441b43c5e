//! What a form's parameters say of one structure: scalars, lists (`Tags.member.1.Key`),
//! structures and maps (`Attributes.entry.1.key`). Parameters that nobody asks for are left
//! alone, as AWS does.

use std::collections::BTreeSet;
use std::fmt::Debug;

use super::{Form, QueryFault};

/// The members of one structure of a request. Its path is what the parameters' names begin with.
#[derive(Clone)]
pub struct Members<'f> {
    form: &'f Form,
    path: String,
}

impl Debug for Members<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Members({:?})", self.path)
    }
}

/// An entry of a map: its key and value.
pub type MapEntry<'f> = (&'f str, &'f str);

impl<'f> Members<'f> {
    pub(super) fn root(form: &'f Form) -> Members<'f> {
        Members {
            form,
            path: String::new(),
        }
    }

    /// The text of a scalar; `None`: it isn't there.
    pub fn value(&self, name: &str) -> Option<&'f str> {
        self.at(&format!("{}{name}", self.path))
    }

    /// The members of a list of scalars. A list that isn't there has none, and neither has one
    /// that is there as a scalar without text, which is how clients write an empty list.
    ///
    /// # Errors
    ///
    /// [`QueryFault::Numbering`]: they aren't numbered from 1 without gaps, or are no scalars.
    pub fn values(&self, name: &str) -> Result<Vec<&'f str>, QueryFault> {
        let list = format!("{}{name}.member", self.path);
        let count = self.count(&list, name)?;
        let members = (1..=count).map(|number| self.at(&format!("{list}.{number}")));
        members
            .map(|member| member.ok_or_else(|| QueryFault::Numbering(name.to_owned())))
            .collect()
    }

    /// The members of a list of structures.
    ///
    /// # Errors
    ///
    /// [`QueryFault::Numbering`]: they aren't numbered from 1 without gaps.
    pub fn structures(&self, name: &str) -> Result<Vec<Members<'f>>, QueryFault> {
        let list = format!("{}{name}.member", self.path);
        let count = self.count(&list, name)?;
        let members = (1..=count).map(|number| Members {
            form: self.form,
            path: format!("{list}.{number}."),
        });
        Ok(members.collect())
    }

    /// The members of a list of scalars as EC2 has lists: `VpcId.1`.
    ///
    /// # Errors
    ///
    /// [`QueryFault::Numbering`]: they aren't numbered from 1 without gaps, or are no scalars.
    pub fn numbered(&self, name: &str) -> Result<Vec<&'f str>, QueryFault> {
        let list = format!("{}{name}", self.path);
        let count = self.count(&list, name)?;
        let members = (1..=count).map(|number| self.at(&format!("{list}.{number}")));
        members
            .map(|member| member.ok_or_else(|| QueryFault::Numbering(name.to_owned())))
            .collect()
    }

    /// The members of a list of structures as EC2 has lists: `Filter.1.Name`.
    ///
    /// # Errors
    ///
    /// [`QueryFault::Numbering`]: they aren't numbered from 1 without gaps.
    pub fn numbered_structures(&self, name: &str) -> Result<Vec<Members<'f>>, QueryFault> {
        let list = format!("{}{name}", self.path);
        let count = self.count(&list, name)?;
        let members = (1..=count).map(|number| Members {
            form: self.form,
            path: format!("{list}.{number}."),
        });
        Ok(members.collect())
    }

    /// The members of a structure; `None`: it has none.
    pub fn structure(&self, name: &str) -> Option<Members<'f>> {
        let path = format!("{}{name}.", self.path);
        let (found, _) = self.form.0.range(path.clone()..).next()?;
        found.starts_with(&path).then_some(Members {
            form: self.form,
            path,
        })
    }

    /// The entries of a map of scalars, in the order of their numbers.
    ///
    /// # Errors
    ///
    /// [`QueryFault`]: they aren't numbered from 1 without gaps, or aren't whole.
    pub fn map(&self, name: &str) -> Result<Vec<MapEntry<'f>>, QueryFault> {
        let list = format!("{}{name}.entry", self.path);
        let fault = || QueryFault::Entry(name.to_owned());
        let mut keys = BTreeSet::new();
        let mut entries = Vec::new();
        for number in 1..=self.count(&list, name)? {
            let half = |half: &str| self.at(&format!("{list}.{number}.{half}"));
            let entry = half("key").zip(half("value")).ok_or_else(fault)?;
            if !keys.insert(entry.0) {
                return Err(fault());
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    fn at(&self, name: &str) -> Option<&'f str> {
        self.form.0.get(name).map(String::as_str)
    }

    /// How many members a list has; `name` is it in the refusal.
    fn count(&self, list: &str, name: &str) -> Result<usize, QueryFault> {
        let fault = || QueryFault::Numbering(name.to_owned());
        let prefix = format!("{list}.");
        let mut numbers = BTreeSet::new();
        let parameters = self.form.0.range(prefix.clone()..);
        for (parameter, _) in parameters.take_while(|(name, _)| name.starts_with(&prefix)) {
            let rest = &parameter[prefix.len()..];
            let number = rest.split('.').next().unwrap_or("");
            let plain = number.bytes().all(|byte| byte.is_ascii_digit());
            let plain = plain && !number.starts_with('0');
            let number = plain.then(|| number.parse::<usize>().ok()).flatten();
            numbers.insert(number.ok_or_else(fault)?);
        }
        let count = numbers.len();
        if numbers.last().is_some_and(|last| *last != count) {
            return Err(fault());
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Form {
        Form::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn lists_of_ec2_are_numbered_without_more() {
        let text = b"VpcId.2=b&VpcId.1=a&Filter.1.Name=x&Filter.1.Value.1=y&Gap.2=z&Deep.1.A=1";
        let form = Form::parse(text).unwrap();
        let members = form.members();
        assert_eq!(members.numbered("VpcId"), Ok(vec!["a", "b"]));
        assert_eq!(members.numbered("SubnetId"), Ok(Vec::new()));
        let filters = members.numbered_structures("Filter").unwrap();
        assert_eq!(filters[0].value("Name"), Some("x"));
        assert_eq!(filters[0].numbered("Value"), Ok(vec!["y"]));
        for list in ["Gap", "Deep"] {
            let fault = QueryFault::Numbering(list.to_owned());
            assert_eq!(members.numbered(list), Err(fault));
        }
    }

    #[test]
    fn lists_are_in_the_order_of_their_numbers() {
        let members: Vec<String> = (1..=12).map(|n| format!("A.member.{n}=v{n}")).collect();
        let form = form(&format!(
            "{}&B=&AB.member.1=x&A.memberx=1",
            members.join("&")
        ));
        let values = form.members().values("A").unwrap();
        assert_eq!(values.len(), 12);
        assert_eq!((values[0], values[1], values[11]), ("v1", "v2", "v12"));
        assert_eq!(form.members().values("B"), Ok(vec![]));
        assert_eq!(form.members().values("C"), Ok(vec![]));
    }

    #[test]
    fn lists_with_gaps_and_other_numbers_are_refused() {
        for text in [
            "A.member.2=x",
            "A.member.1=x&A.member.3=y",
            "A.member.0=x",
            "A.member.01=x",
            "A.member.x=y",
            "A.member.=y",
            "A.member.+1=y",
            "A.member.99999999999999999999999=y",
        ] {
            let expected = QueryFault::Numbering("A".to_owned());
            assert_eq!(form(text).members().values("A"), Err(expected), "{text}");
            assert!(form(text).members().structures("A").is_err(), "{text}");
        }
        assert!(form("A.member.1.Key=x").members().values("A").is_err());
    }

    #[test]
    fn structures_lists_and_maps_nest() {
        let form = form(
            "Tags.member.1.Key=k&Tags.member.1.Value=v&Tags.member.2.Key=l&S.T.U=1\
             &C.member.1.Values.member.1=a&C.member.1.Values.member.2=b\
             &M.entry.1.key=x&M.entry.1.value=1&M.entry.2.key=y&M.entry.2.value=",
        );
        let members = form.members();
        let tags = members.structures("Tags").unwrap();
        assert_eq!(tags[0].value("Key"), Some("k"));
        assert_eq!(tags[1].value("Value"), None);
        let inner = members.structure("S").unwrap().structure("T").unwrap();
        assert_eq!(inner.value("U"), Some("1"));
        assert!(members.structure("None").is_none());
        let entries = members.structures("C").unwrap();
        assert_eq!(entries[0].values("Values"), Ok(vec!["a", "b"]));
        assert_eq!(members.map("M"), Ok(vec![("x", "1"), ("y", "")]));
    }

    #[test]
    fn maps_that_are_not_whole_are_refused() {
        for text in [
            "M.entry.1.key=x",
            "M.entry.1.value=x",
            "M.entry.1.key=x&M.entry.1.value=1&M.entry.2.key=x&M.entry.2.value=2",
        ] {
            let expected = QueryFault::Entry("M".to_owned());
            assert_eq!(form(text).members().map("M"), Err(expected), "{text}");
        }
    }
}
