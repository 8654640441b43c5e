//! One request while it is carried out: who calls, and what its form says, read by the kinds of
//! parameters that the API has and failed in the service's words. It looks nothing up.

use std::str::FromStr;

use aws::access::{Access, Authorizer};
use aws::query::{ELASTIC_LOAD_BALANCING, Form, Members, Reply};
use aws::xml::XmlWriter;
use types::{AccountId, ConfigurationView, Region};

use crate::arn::{ListenerArn, LoadBalancerArn, RuleArn, TargetGroupArn};
use crate::error::BalancerError;
use crate::limits::MAX_PAGE;
use crate::operation_table::Row;
use crate::service::{no_balancer, no_group, no_listener, no_rule};

/// Characters of a bad value that an error repeats.
const MAX_SHOWN: usize = 256;

/// What an operation was asked.
#[derive(Clone, Copy)]
pub(crate) struct BalancerRequest<'a> {
    row: &'static Row,
    form: &'a Form,
    caller: &'a dyn Authorizer,
    region: Region,
}

/// A name that operations ask for by a parameter of its own.
pub(crate) trait Named: FromStr {
    /// The parameter.
    const PARAMETER: &'static str;
    /// What refusals call it.
    const NOUN: &'static str;

    /// Whose is what it names?
    fn account(&self) -> AccountId;

    /// What is said if there is nothing of that name.
    fn missing(&self) -> BalancerError;
}

impl Named for LoadBalancerArn {
    const PARAMETER: &'static str = "LoadBalancerArn";
    const NOUN: &'static str = "load balancer";

    fn account(&self) -> AccountId {
        self.account
    }

    fn missing(&self) -> BalancerError {
        no_balancer(self)
    }
}

impl Named for ListenerArn {
    const PARAMETER: &'static str = "ListenerArn";
    const NOUN: &'static str = "listener";

    fn account(&self) -> AccountId {
        self.balancer.account
    }

    fn missing(&self) -> BalancerError {
        no_listener()
    }
}

impl Named for RuleArn {
    const PARAMETER: &'static str = "RuleArn";
    const NOUN: &'static str = "listener rule";

    fn account(&self) -> AccountId {
        self.listener.balancer.account
    }

    fn missing(&self) -> BalancerError {
        no_rule()
    }
}

impl Named for TargetGroupArn {
    const PARAMETER: &'static str = "TargetGroupArn";
    const NOUN: &'static str = "target group";

    fn account(&self) -> AccountId {
        self.account
    }

    fn missing(&self) -> BalancerError {
        no_group(self)
    }
}

impl<'a> BalancerRequest<'a> {
    pub(crate) fn new(
        row: &'static Row,
        form: &'a Form,
        caller: &'a dyn Authorizer,
        region: Region,
    ) -> BalancerRequest<'a> {
        BalancerRequest {
            row,
            form,
            caller,
            region,
        }
    }

    /// May the caller have it carried out?
    ///
    /// # Errors
    ///
    /// The caller may not, or the request doesn't say what it is about.
    pub(crate) fn authorize(&self, view: &dyn ConfigurationView) -> Result<(), BalancerError> {
        let Access::Judged { action, resources } = self.row.access else {
            return Ok(());
        };
        let questions = resources(self, view, action)?;
        // A row that asks nothing would let everyone in.
        if questions.is_empty() {
            return Err(BalancerError::invalid("The request is about nothing."));
        }
        for question in questions {
            self.caller.authorize(&question)?;
        }
        Ok(())
    }

    /// The operation's name.
    pub(crate) fn operation(&self) -> &'static str {
        self.row.name
    }

    /// The caller's account, which is the one whose things it is about.
    pub(crate) fn account(&self) -> AccountId {
        self.caller.account()
    }

    /// The Region that it came to.
    pub(crate) fn region(&self) -> Region {
        self.region
    }

    /// The request's parameters.
    pub(crate) fn members(&self) -> Members<'a> {
        self.form.members()
    }

    /// An answer with a result, to be written.
    pub(crate) fn reply(&self) -> Reply {
        Reply::with_result(&ELASTIC_LOAD_BALANCING, self.row.name)
    }

    /// The answer of an operation whose result has no members.
    pub(crate) fn done(&self) -> Reply {
        self.reply()
    }

    /// The name that the operation asks for. What isn't the caller's own isn't there.
    pub(crate) fn arn<T: Named>(&self) -> Result<T, BalancerError> {
        let found = self.optional_arn()?;
        found.ok_or_else(|| {
            let article = if T::NOUN.starts_with(['a', 'e', 'i', 'o', 'u']) {
                "An"
            } else {
                "A"
            };
            BalancerError::invalid(format!("{article} {} ARN must be specified", T::NOUN))
        })
    }

    /// The name that the operation may be given.
    pub(crate) fn optional_arn<T: Named>(&self) -> Result<Option<T>, BalancerError> {
        let text = self.members().value(T::PARAMETER);
        text.filter(|text| !text.is_empty())
            .map(|text| self.own(text))
            .transpose()
    }

    /// A list of names.
    pub(crate) fn arns<T: Named>(&self, list: &str) -> Result<Vec<T>, BalancerError> {
        let texts = self.members().values(list)?;
        texts.into_iter().map(|text| self.own(text)).collect()
    }

    /// A name of something of the caller's own.
    pub(crate) fn own<T: Named>(&self, text: &str) -> Result<T, BalancerError> {
        let arn: T = parse_arn(text)?;
        match arn.account() == self.account() {
            true => Ok(arn),
            false => Err(arn.missing()),
        }
    }

    /// A list of texts.
    pub(crate) fn texts(&self, list: &str) -> Result<Vec<&'a str>, BalancerError> {
        Ok(self.members().values(list)?)
    }
}

/// A name of that kind.
pub(crate) fn parse_arn<T: Named>(text: &str) -> Result<T, BalancerError> {
    text.parse().map_err(|_| {
        let text = shown(text);
        BalancerError::invalid(format!("'{text}' is not a valid {} ARN", T::NOUN))
    })
}

/// As much of a refused value as a refusal repeats.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}

/// A rule of the API's model, in the words of AWS's validator, that a value fails. `at` is the
/// member's name with a small letter at its beginning, as the validator has it.
pub(crate) fn failed(at: &str, value: &str, rule: &str) -> BalancerError {
    BalancerError::invalid(format!(
        "1 validation error detected: Value '{}' at '{at}' failed to satisfy constraint: {rule}",
        shown(value)
    ))
}

/// A member's name as the validator writes it.
fn member(name: &str) -> String {
    let mut characters = name.chars();
    let first = characters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(characters).collect()
}

/// A parameter that must be there.
pub(crate) fn required<'f>(of: &Members<'f>, name: &str) -> Result<&'f str, BalancerError> {
    of.value(name).ok_or_else(|| {
        BalancerError::invalid(format!(
            "1 validation error detected: Value null at '{}' failed to satisfy constraint: Member \
             must not be null",
            member(name)
        ))
    })
}

/// A number within those bounds, both included.
pub(crate) fn number(
    of: &Members<'_>,
    name: &str,
    least: u32,
    most: u32,
) -> Result<Option<u32>, BalancerError> {
    let Some(text) = of.value(name) else {
        return Ok(None);
    };
    let refuse = |rule: &str| Err(failed(&member(name), text, rule));
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

/// A port: 1 to 65,535.
pub(crate) fn port(of: &Members<'_>, name: &str) -> Result<Option<u16>, BalancerError> {
    let port = number(of, name, 1, u16::MAX.into())?;
    Ok(port.and_then(|port| u16::try_from(port).ok()))
}

/// True or false.
pub(crate) fn flag(of: &Members<'_>, name: &str) -> Result<Option<bool>, BalancerError> {
    match of.value(name) {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(other) => Err(failed(&member(name), other, "Member must be true or false")),
    }
}

/// One of the API's words; clients write the one that they don't choose as a text without letters.
/// `not_built` are those of the model that mean something which isn't built here.
pub(crate) fn word<T>(
    of: &Members<'_>,
    name: &str,
    all: &[T],
    spelled: fn(T) -> &'static str,
    not_built: &[&str],
) -> Result<Option<T>, BalancerError>
where
    T: Copy,
{
    let Some(text) = of.value(name).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    if let Some(found) = all.iter().find(|one| spelled(**one) == text) {
        return Ok(Some(*found));
    }
    if not_built.contains(&text) {
        return Err(BalancerError::not_built(format!("The {name} '{text}'")));
    }
    let mut words: Vec<&str> = all.iter().map(|one| spelled(*one)).collect();
    words.extend(not_built);
    let rule = format!("Member must satisfy enum value set: [{}]", words.join(", "));
    Err(failed(&member(name), text, &rule))
}

/// A text of so many characters.
pub(crate) fn length(
    name: &str,
    text: &str,
    least: usize,
    most: usize,
) -> Result<(), BalancerError> {
    let count = text.chars().count();
    if count < least {
        let rule = format!("Member must have length greater than or equal to {least}");
        return Err(failed(&member(name), text, &rule));
    }
    if count > most {
        let rule = format!("Member must have length less than or equal to {most}");
        return Err(failed(&member(name), text, &rule));
    }
    Ok(())
}

/// Which page of a list is asked for.
pub(crate) struct Paging {
    most: usize,
    after: Option<String>,
}

impl Paging {
    /// The page that a request asks for by `PageSize` and `Marker`.
    pub(crate) fn of(request: &BalancerRequest<'_>) -> Result<Paging, BalancerError> {
        let members = request.members();
        let most = number(&members, "PageSize", 1, MAX_PAGE)?.unwrap_or(MAX_PAGE);
        let marker = members.value("Marker").filter(|marker| !marker.is_empty());
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/:".contains(&byte);
        if let Some(marker) = marker
            && (marker.len() > 256 || !marker.bytes().all(allowed))
        {
            let text = format!("'{}' is not a valid marker", shown(marker));
            return Err(BalancerError::invalid(text));
        }
        Ok(Paging {
            most: usize::try_from(most).unwrap_or(1),
            after: marker.map(str::to_owned),
        })
    }

    /// Writes the page, a list of that name, and the marker of the next: of items that come with
    /// the keys that they are to be sorted by. A marker is the key of the last item of the page
    /// before, so that pages stay whole whatever is made or deleted between them.
    pub(crate) fn write<T>(
        &self,
        writer: &mut XmlWriter,
        list: &'static str,
        mut items: Vec<(String, T)>,
        mut shape: impl FnMut(&mut XmlWriter, T),
    ) {
        items.sort_by(|(one, _), (other, _)| one.cmp(other));
        if let Some(after) = &self.after {
            items.retain(|(key, _)| key > after);
        }
        let next = (items.len() > self.most).then(|| items[self.most - 1].0.clone());
        items.truncate(self.most);
        writer.open(list);
        for (_, item) in items {
            writer.open("member");
            shape(writer, item);
            writer.close();
        }
        writer.close();
        writer.optional("NextMarker", next);
    }
}
