//! Why somebody may or may not: the decision that a call would get, the statement that made it, and
//! what every layer of policies says. It is for the operator: it tells of all policies.

use aws::access::{PolicyKind, Question};
use serde::{Deserialize, Serialize};
use types::AccountId;

use crate::context::RequestKeys;
use crate::holder::HolderKind;
use crate::judge::Gathered;
use crate::policy::{
    Attached, Considered, Effect, Inquiry, Layer, Layers, Source, WhyNot, explain,
};
use crate::{Caller, Identity, RequestContext};

/// The name of the session of a role that is explained without one.
const SESSION: &str = "explained";

/// What is to be explained.
pub struct Explain<'a> {
    /// Who would call: a user's name, or the ARN of a user, a role, a role's session or an
    /// account's root; `user/alice`, `role/Admin` and `root` of the account below.
    pub principal: &'a str,
    /// The account where the principal doesn't say one.
    pub account: AccountId,
    /// What would be asked. Its account is that of the resource's owner; see [`owner`].
    pub question: Question<'a>,
    /// How it would be asked.
    pub context: RequestContext,
}

/// There is no such principal.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("there is no principal '{0}'; name a user, or give the ARN of a user, a role or a root")]
pub struct NoSuchPrincipal(pub String);

/// A decision and what made it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Explained {
    /// The ARN of who would call.
    pub principal: String,
    /// What would be done.
    pub action: String,
    /// To what.
    pub resource: String,
    /// Whose that is.
    pub resource_account: AccountId,
    /// May it be done?
    pub allowed: bool,
    /// In words: by which statement it is allowed, or as the denial would end.
    pub reason: String,
    /// The statement that decided; none of an implicit denial, and where none was needed.
    pub statement: Option<DecidingStatement>,
    /// What each layer says, in the order in which they are asked.
    pub layers: Vec<ExplainedLayer>,
}

/// The statement that decided.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct DecidingStatement {
    /// Its layer: `identity`.
    pub layer: String,
    /// Its policy: an ARN, or a name and whose it is.
    pub policy: String,
    /// Its place in the policy, from 0.
    pub index: usize,
    /// Its Sid, if it has one.
    pub sid: Option<String>,
}

/// A layer of policies.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct ExplainedLayer {
    /// `identity`, `boundary`, `session`, `resource`, `trust`, `service-control`,
    /// `resource-control`.
    pub layer: String,
    /// What it says.
    pub result: LayerResult,
    /// Its statements.
    pub statements: Vec<ExplainedStatement>,
}

/// What a layer says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerResult {
    /// A statement denies it.
    Denies,
    /// A statement allows it, none denies it.
    Allows,
    /// No statement is about it.
    SaysNothing,
    /// There is no such layer: it limits nothing.
    Absent,
}

/// A statement that was considered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct ExplainedStatement {
    /// Its policy.
    pub policy: String,
    /// Its place in the policy, from 0.
    pub index: usize,
    /// Its Sid, if it has one.
    pub sid: Option<String>,
    /// `Allow` or `Deny`.
    pub effect: String,
    /// Does it apply?
    pub applies: bool,
    /// If not, what of it doesn't.
    pub mismatch: Option<String>,
    /// Is it the one that decided?
    pub decided: bool,
}

/// The account that owns a resource by its ARN; that of the principal where the ARN names none.
pub fn owner(resource: &str, otherwise: AccountId) -> AccountId {
    let account = resource.split(':').nth(4);
    account
        .and_then(|account| account.parse().ok())
        .unwrap_or(otherwise)
}

impl Identity {
    /// What a call would be answered, and why.
    ///
    /// # Errors
    ///
    /// There is no such principal.
    pub fn explain(&self, asked: &Explain<'_>) -> Result<Explained, NoSuchPrincipal> {
        let caller = self.principal(asked.principal, asked.account)?;
        let question = &asked.question;
        let trust = self.trust_of(question);
        let given = question
            .policy
            .map(|text| self.compiled(PolicyKind::Resource, text));
        let resource = trust.or(given);
        let resource = resource.as_deref().map(|policy| Attached {
            source: Source::Resource(&question.resource),
            policy,
        });
        let keys = RequestKeys {
            caller: Some(&caller),
            context: &asked.context,
            question,
        };
        let gathered = Gathered::new(self, &caller, question.account, resource);
        let inquiry = Inquiry {
            action: &question.action,
            resource: &question.resource,
            account: question.account,
            principal: caller.view(),
            keys: &keys,
        };
        let layers = gathered.layers();
        Ok(told(&caller, question, &inquiry, &layers))
    }

    /// The principal of that name, as whom nobody has signed.
    pub(crate) fn principal(
        &self,
        name: &str,
        account: AccountId,
    ) -> Result<Caller, NoSuchPrincipal> {
        let found = self.find_principal(name, account);
        found.ok_or_else(|| NoSuchPrincipal(name.to_owned()))
    }

    fn find_principal(&self, name: &str, account: AccountId) -> Option<Caller> {
        let (account, path) = match name.strip_prefix("arn:aws:") {
            None => (account, name),
            Some(rest) => {
                let rest = rest.strip_prefix("iam::").or(rest.strip_prefix("sts::"))?;
                let (account, path) = rest.split_once(':')?;
                (account.parse().ok()?, path)
            }
        };
        let last = path.rsplit('/').next()?;
        let of_kind = |kind| {
            let holder = self.holder(kind, account, last)?;
            // An ARN has the whole path.
            let same = !name.starts_with("arn:") || holder.arn == name;
            same.then_some(holder)
        };
        match path.split_once('/') {
            None if path == "root" => self.accounts.has(account).then(|| Caller::root(account)),
            None => Some(Caller::user(
                account,
                self.holder(HolderKind::User, account, path)?,
            )),
            Some(("user", _)) => Some(Caller::user(account, of_kind(HolderKind::User)?)),
            Some(("role", _)) => Some(Caller::role(account, of_kind(HolderKind::Role)?, SESSION)),
            Some(("assumed-role", rest)) => {
                let (role, session) = rest.split_once('/')?;
                let holder = self.holder(HolderKind::Role, account, role)?;
                Some(Caller::role(account, holder, session))
            }
            Some(_) => None,
        }
    }

    /// The trust policy of the role that is to be assumed, if that is asked.
    fn trust_of(&self, question: &Question<'_>) -> Option<std::sync::Arc<crate::policy::Policy>> {
        let action = question.action.to_ascii_lowercase();
        let assumes = ["sts:assumerole", "sts:tagsession", "sts:setsourceidentity"];
        if !assumes.contains(&action.as_str()) {
            return None;
        }
        let (_, path) = question.resource.split_once(":role/")?;
        let name = path.rsplit('/').next()?;
        let holder = self.holder(HolderKind::Role, question.account, name)?;
        let trust = &holder.role.as_ref()?.trust;
        (holder.arn == question.resource).then(|| trust.clone())
    }
}

fn told(
    caller: &Caller,
    question: &Question<'_>,
    inquiry: &Inquiry<'_>,
    layers: &Layers<'_>,
) -> Explained {
    let explanation = explain(inquiry, layers);
    let decision = &explanation.decision;
    let allowed = decision.effect == Effect::Allowed;
    let statement = decision.statement.map(|deciding| DecidingStatement {
        layer: name_of(decision.layer),
        policy: deciding.source.to_string(),
        index: deciding.index,
        sid: deciding.sid.map(str::to_owned),
    });
    let reason = match (&statement, allowed) {
        (_, false) => decision.because(),
        (Some(by), true) => format!("by statement {} of {}", by.index, by.policy),
        (None, true) => "an account's root may do everything to what the account owns".to_owned(),
    };
    let resource = match layers.resource {
        Some(attached) if attached.policy.kind() == PolicyKind::Trust => Layer::Trust,
        _ => Layer::Resource,
    };
    let all = [
        (Layer::ResourceControl, !layers.resource_control.is_empty()),
        (Layer::ServiceControl, layers.service_control.is_some()),
        (resource, layers.resource.is_some()),
        (Layer::Identity, caller.holder.is_some()),
        (Layer::Boundary, layers.boundary.is_some()),
        (Layer::Session, layers.session.is_some()),
    ];
    let layers = all.into_iter().map(|(layer, is_there)| {
        let own = explanation.statements.iter();
        let own: Vec<&Considered<'_>> = own.filter(|one| one.layer == layer).collect();
        let applies = |allows| own.iter().any(|one| one.matched() && one.allows == allows);
        let result = match (is_there, applies(false), applies(true)) {
            (false, _, _) => LayerResult::Absent,
            (_, true, _) => LayerResult::Denies,
            (_, _, true) => LayerResult::Allows,
            _ => LayerResult::SaysNothing,
        };
        ExplainedLayer {
            layer: name_of(layer),
            result,
            statements: own.into_iter().map(statement_told).collect(),
        }
    });
    Explained {
        principal: caller.arn.clone(),
        action: question.action.to_string(),
        resource: question.resource.to_string(),
        resource_account: question.account,
        allowed,
        reason,
        statement,
        layers: layers.collect(),
    }
}

fn statement_told(considered: &Considered<'_>) -> ExplainedStatement {
    let mismatch = considered.mismatch.as_ref().map(|why| match why {
        WhyNot::Action => "it is about other actions".to_owned(),
        WhyNot::Resource => "it is about other resources".to_owned(),
        WhyNot::Principal => "it is about other principals".to_owned(),
        WhyNot::Condition {
            operator,
            key,
            values,
        } => match values {
            Some(values) => {
                let values = values.join("', '");
                format!("{operator} of {key} doesn't hold: the request has '{values}'")
            }
            None => format!("{operator} of {key} doesn't hold: the request has no such key"),
        },
    });
    ExplainedStatement {
        policy: considered.source.to_string(),
        index: considered.index,
        sid: considered.sid.map(str::to_owned),
        effect: if considered.allows { "Allow" } else { "Deny" }.to_owned(),
        applies: considered.matched(),
        mismatch,
        decided: considered.decided,
    }
}

/// A layer's name as its JSON has it: `service-control`.
fn name_of(layer: Layer) -> String {
    let name = serde_json::to_value(layer).ok();
    let name = name.and_then(|name| name.as_str().map(str::to_owned));
    name.unwrap_or_default()
}
