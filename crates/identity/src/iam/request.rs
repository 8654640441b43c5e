//! One request of IAM while it is carried out: who calls, what the form says, and the view of the
//! configuration that it is judged on. It changes nothing.

use std::collections::BTreeSet;

use aws::access::{Access, Authorizer};
use aws::query::{Form, IAM, Members, Reply};
use types::{AccountId, ConfigurationView};

use super::error::IamError;
use super::limits;
use super::operation_table::Row;
use super::parameters::{self, Parameter, USER_NAME};
use super::questions::Gives;
use crate::model::Tags;

/// What an operation was asked, and what it is judged on.
#[derive(Clone, Copy)]
pub(crate) struct IamRequest<'a> {
    row: &'static Row,
    form: &'a Form,
    caller: &'a dyn Authorizer,
    view: &'a dyn ConfigurationView,
}

impl<'a> IamRequest<'a> {
    pub(super) fn new(
        row: &'static Row,
        form: &'a Form,
        caller: &'a dyn Authorizer,
        view: &'a dyn ConfigurationView,
    ) -> IamRequest<'a> {
        IamRequest {
            row,
            form,
            caller,
            view,
        }
    }

    /// The same request, judged on another view.
    pub(super) fn on<'b>(&self, view: &'b dyn ConfigurationView) -> IamRequest<'b>
    where
        'a: 'b,
    {
        IamRequest {
            row: self.row,
            form: self.form,
            caller: self.caller,
            view,
        }
    }

    /// May the caller have it carried out, as things are in this view?
    ///
    /// # Errors
    ///
    /// The caller may not, or the request doesn't say what it is about.
    pub(super) fn authorize(&self) -> Result<(), IamError> {
        let Access::Judged { action, resources } = self.row.access else {
            return Ok(());
        };
        let questions = (resources.find)(self, action)?;
        // A row that asks nothing would let everyone in.
        if questions.is_empty() {
            return Err(IamError::Validation(
                "The request is about nothing.".to_owned(),
            ));
        }
        for question in questions {
            self.caller.authorize(&question)?;
        }
        Ok(())
    }

    /// Is that condition key given by the operation's own parameters? Those of other operations
    /// say nothing, whatever is sent.
    pub(super) fn gives(&self, key: Gives) -> bool {
        match &self.row.access {
            Access::Judged { resources, .. } => resources.gives.contains(&key),
            _ => false,
        }
    }

    /// The operation's name.
    pub(crate) fn operation(&self) -> &'static str {
        self.row.name
    }

    /// The configuration that the request is judged on.
    pub(crate) fn view(&self) -> &'a dyn ConfigurationView {
        self.view
    }

    /// Who calls.
    pub(crate) fn caller(&self) -> &'a dyn Authorizer {
        self.caller
    }

    /// The caller's account, which is the one whose things it is about.
    pub(crate) fn account(&self) -> AccountId {
        self.caller.account()
    }

    /// The request's parameters, where [`IamRequest::optional`] and the others aren't enough.
    pub(crate) fn members(&self) -> Members<'a> {
        self.form.members()
    }

    /// An answer with a result, to be written.
    pub(crate) fn reply(&self) -> Reply {
        Reply::with_result(&IAM, self.row.name)
    }

    /// An answer without a result.
    pub(crate) fn done(&self) -> Reply {
        Reply::empty(&IAM, self.row.name)
    }

    /// A parameter that may be there.
    pub(crate) fn optional(&self, parameter: &Parameter) -> Result<Option<&'a str>, IamError> {
        let value = self.form.members().value(parameter.name);
        value.map_or(Ok(()), |value| parameter.check(value))?;
        Ok(value)
    }

    /// A parameter that must be there.
    pub(crate) fn required(&self, parameter: &Parameter) -> Result<&'a str, IamError> {
        self.optional(parameter)?.ok_or_else(|| parameter.missing())
    }

    /// A parameter that is true or false.
    pub(crate) fn flag(&self, name: &'static str) -> Result<Option<bool>, IamError> {
        const WORDS: &[&str] = &["true", "false"];
        let word = self.optional(&parameters::one_of(name, WORDS))?;
        Ok(word.map(|word| word == "true"))
    }

    /// A parameter that is a number within those bounds, both included. `member` is its name in
    /// refusals: `maxItems`.
    pub(crate) fn number(
        &self,
        name: &str,
        member: &str,
        least: u32,
        most: u32,
    ) -> Result<Option<u32>, IamError> {
        let Some(text) = self.form.members().value(name) else {
            return Ok(None);
        };
        let refuse = |rule: &str| Err(parameters::constraint(member, Some(text), rule));
        match text.parse::<i64>() {
            Ok(number) if number < i64::from(least) => refuse(&format!(
                "Member must have value greater than or equal to {least}"
            )),
            Ok(number) if number > i64::from(most) => refuse(&format!(
                "Member must have value less than or equal to {most}"
            )),
            Ok(number) => Ok(u32::try_from(number).ok()),
            Err(_) => refuse("Member must be a number"),
        }
    }

    /// The name of the user who calls; `None`: the account's root, or a session, calls.
    pub(crate) fn calling_user(&self) -> Option<&'a str> {
        let account = self.account();
        let rest = self.caller.arn().strip_prefix("arn:aws:iam::")?;
        let rest = rest.strip_prefix(&account.to_string())?;
        let path = rest.strip_prefix(":user/")?;
        path.rsplit('/').next().filter(|name| !name.is_empty())
    }

    /// Does the account's root call?
    pub(crate) fn is_root(&self) -> bool {
        self.caller.arn() == format!("arn:aws:iam::{}:root", self.account())
    }

    /// The user that the request names, or else the one who calls.
    ///
    /// # Errors
    ///
    /// The name can't be one; or there is none, and no user calls.
    pub(crate) fn user_or_caller(&self) -> Result<&'a str, IamError> {
        let named = self.optional(&USER_NAME)?;
        named.or_else(|| self.calling_user()).ok_or_else(|| {
            IamError::Validation(
                "Must specify userName when calling with non-User credentials".to_owned(),
            )
        })
    }

    /// The tags that the request gives: keys and values as IAM takes them.
    ///
    /// # Errors
    ///
    /// `ValidationError` or `InvalidInput`, in IAM's words.
    pub(crate) fn tags(&self) -> Result<Tags, IamError> {
        let members = self.form.members().structures("Tags")?;
        if members.len() > limits::TAGS {
            return Err(too_many("tags", members.len()));
        }
        let (mut tags, mut seen) = (Tags::new(), BTreeSet::new());
        for (index, member) in members.iter().enumerate() {
            let at = |part: &str| format!("tags.{}.member.{part}", index + 1);
            let null = |part: &str| parameters::constraint(&at(part), None, NOT_NULL);
            let key = member.value("Key").ok_or_else(|| null("key"))?;
            let value = member.value("Value").ok_or_else(|| null("value"))?;
            check_tag(&at("key"), key, 1, 128, "+")?;
            check_tag(&at("value"), value, 0, 256, "*")?;
            if key.to_ascii_lowercase().starts_with("aws:") {
                return Err(IamError::InvalidInput(
                    "Tag keys that begin with aws: are reserved for system use.".to_owned(),
                ));
            }
            if !seen.insert(key.to_lowercase()) {
                return Err(IamError::InvalidInput(
                    "Duplicate tag keys found. Please note that Tag keys are case insensitive."
                        .to_owned(),
                ));
            }
            tags.insert(key.to_owned(), value.to_owned());
        }
        Ok(tags)
    }

    /// The same of an operation that can't do without.
    ///
    /// # Errors
    ///
    /// There are none, or as [`IamRequest::tags`] has it.
    pub(crate) fn required_tags(&self) -> Result<Tags, IamError> {
        let tags = self.tags()?;
        if tags.is_empty() && self.form.members().value("Tags").is_none() {
            return Err(parameters::constraint("tags", None, NOT_NULL));
        }
        Ok(tags)
    }

    /// The keys of the tags that the request takes away.
    ///
    /// # Errors
    ///
    /// There are none, or as [`IamRequest::tag_keys`] has it.
    pub(crate) fn required_tag_keys(&self) -> Result<Vec<&'a str>, IamError> {
        let keys = self.tag_keys()?;
        if keys.is_empty() && self.form.members().value("TagKeys").is_none() {
            return Err(parameters::constraint("tagKeys", None, NOT_NULL));
        }
        Ok(keys)
    }

    /// The keys of the tags that the request takes away.
    ///
    /// # Errors
    ///
    /// `ValidationError`, in IAM's words.
    fn tag_keys(&self) -> Result<Vec<&'a str>, IamError> {
        let keys = self.form.members().values("TagKeys")?;
        if keys.len() > limits::TAGS {
            return Err(too_many("tagKeys", keys.len()));
        }
        for (index, key) in keys.iter().enumerate() {
            check_tag(&format!("tagKeys.{}.member", index + 1), key, 1, 128, "+")?;
        }
        Ok(keys)
    }
}

const NOT_NULL: &str = "Member must not be null";

fn too_many(member: &str, count: usize) -> IamError {
    let rule = format!(
        "Member must have length less than or equal to {}",
        limits::TAGS
    );
    parameters::constraint(member, Some(&format!("[{count} members]")), &rule)
}

fn check_tag(
    member: &str,
    text: &str,
    shortest: usize,
    longest: usize,
    repeated: &str,
) -> Result<(), IamError> {
    parameters::check_length(member, text, shortest, longest)?;
    let allowed = |character: char| {
        character.is_alphanumeric()
            || (character.is_whitespace() && !character.is_control())
            || "_.:/=+-@".contains(character)
    };
    if text.chars().all(allowed) {
        return Ok(());
    }
    let rule = format!(
        "Member must satisfy regular expression pattern: [\\p{{L}}\\p{{Z}}\\p{{N}}_.:/=+\\-@]\
         {repeated}"
    );
    Err(parameters::constraint(member, Some(text), &rule))
}
