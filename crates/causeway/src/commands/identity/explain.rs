//! `causeway identity explain`: may a principal do something, and which statement decides it?

use identity::{ExplainedLayer, ExplainedStatement, LayerResult};
use region::{Access, AccessExplained, OperatorQuestion};
use types::Region;

use super::super::RunningLab;
use super::{question, read};
use crate::cli::IdentityExplain;
use crate::failure::Failure;
use crate::output::{self, printable};

/// Services without a home: their requests are made to us-east-1, as conditions see it.
const GLOBAL_SERVICES: [&str; 2] = ["iam", "route53"];

/// Prints it. Fails with exit code 1 where it is denied.
pub(super) fn explain(command: &IdentityExplain) -> Result<(), Failure> {
    let lab = &command.query.lab;
    let region = match command.region {
        Some(region) => region,
        None => match region_of(&command.action, &command.resource) {
            Some(region) => region,
            None => RunningLab::find(lab)?.region,
        },
    };
    let access = Access {
        principal: command.principal.clone(),
        account: command.account.number,
        action: command.action.clone(),
        resource: command.resource.clone(),
        region,
        context: command.context.clone(),
    };
    let answer = question(lab, OperatorQuestion::Explain { access })?;
    let explained: AccessExplained = read(answer.clone())?;
    match command.query.json {
        true => output::print_json(&answer)?,
        false => output::print(render(&explained))?,
    }
    let told = &explained.explained;
    match told.allowed {
        true => Ok(()),
        false => Err(Failure::did_not_hold(format!(
            "{} may not {}: denied {}",
            told.principal, told.action, told.reason
        ))),
    }
}

/// The Region that an ARN names, or that its service has.
fn region_of(action: &str, resource: &str) -> Option<Region> {
    let (service, _) = action.split_once(':')?;
    if GLOBAL_SERVICES
        .iter()
        .any(|global| global.eq_ignore_ascii_case(service))
    {
        return "us-east-1".parse().ok();
    }
    resource.split(':').nth(3)?.parse().ok()
}

fn render(explained: &AccessExplained) -> String {
    let told = &explained.explained;
    // Names, conditions and resources are what users wrote.
    let reason = printable(&told.reason);
    let verdict = match told.allowed {
        true => format!("ALLOWED {reason}"),
        false => format!("DENIED {reason}"),
    };
    let mut text = format!(
        "{verdict}\n\n  principal  {}\n  action     {}\n  resource   {}\n  owner      {}\n  \
         Region     {}\n\nWhat each kind of policy says, in the order in which they are asked:\n",
        printable(&told.principal),
        printable(&told.action),
        printable(&told.resource),
        told.resource_account,
        explained.region
    );
    let (absent, present): (Vec<_>, Vec<_>) = told
        .layers
        .iter()
        .partition(|layer| layer.result == LayerResult::Absent);
    for layer in present {
        text.push_str(&layer_words(layer));
    }
    if !absent.is_empty() {
        let names = absent.iter().map(|layer| name_of(layer));
        let names = names.collect::<Vec<_>>().join(", ");
        text.push_str(&format!("\n  none: {names}\n"));
    }
    for note in &explained.notes {
        let note = printable(note);
        text.push_str(&format!("\nNot taken into account: {note}.\n"));
    }
    text
}

fn name_of(layer: &ExplainedLayer) -> &str {
    match layer.layer.as_str() {
        "identity" => "identity-based policies",
        "boundary" => "permissions boundary",
        "session" => "session policies",
        "resource" => "resource-based policy",
        "trust" => "trust policy of the role",
        "service-control" => "service control policies",
        "resource-control" => "resource control policies",
        other => other,
    }
}

fn layer_words(layer: &ExplainedLayer) -> String {
    let result = match layer.result {
        LayerResult::Denies => "denied",
        LayerResult::Allows => "allowed",
        LayerResult::SaysNothing => "nothing is said of it",
        LayerResult::Absent => "none",
    };
    let mut text = format!("\n  {}: {result}\n", name_of(layer));
    for statement in &layer.statements {
        text.push_str(&statement_words(statement));
    }
    text
}

fn statement_words(statement: &ExplainedStatement) -> String {
    let mark = if statement.decided { "->" } else { "  " };
    let sid = statement.sid.as_deref();
    let sid = sid.map_or_else(String::new, |sid| format!(" \"{sid}\""));
    let said = match (&statement.mismatch, statement.decided) {
        (Some(mismatch), _) => format!("doesn't apply: {mismatch}"),
        (None, true) => "applies, and decides".to_owned(),
        (None, false) => "applies".to_owned(),
    };
    let (policy, index) = (&statement.policy, statement.index);
    let words = format!(
        "{} of {policy}, statement {index}{sid}: {said}",
        statement.effect
    );
    format!("   {mark} {}\n", printable(&words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use identity::{DecidingStatement, Explained};
    use types::AccountId;

    fn statement(index: usize, mismatch: Option<&str>) -> ExplainedStatement {
        ExplainedStatement {
            policy: "policy own of user alice".to_owned(),
            index,
            sid: (index == 0).then(|| "Tables".to_owned()),
            effect: "Allow".to_owned(),
            applies: mismatch.is_none(),
            mismatch: mismatch.map(str::to_owned),
            decided: mismatch.is_none(),
        }
    }

    #[test]
    fn an_explanation_reads_from_the_verdict_to_each_statement() {
        let layer = |layer: &str, result, statements| ExplainedLayer {
            layer: layer.to_owned(),
            result,
            statements,
        };
        let explained = AccessExplained {
            explained: Explained {
                principal: "arn:aws:iam::111122223333:user/alice".to_owned(),
                action: "dynamodb:PutItem".to_owned(),
                resource: "arn:aws:dynamodb:us-east-1:111122223333:table/Orders".to_owned(),
                resource_account: AccountId::LAB,
                allowed: true,
                reason: "by statement 0 of policy own of user alice".to_owned(),
                statement: Some(DecidingStatement {
                    layer: "identity".to_owned(),
                    policy: "policy own of user alice".to_owned(),
                    index: 0,
                    sid: Some("Tables".to_owned()),
                }),
                layers: vec![
                    layer("service-control", LayerResult::Absent, Vec::new()),
                    layer(
                        "identity",
                        LayerResult::Allows,
                        vec![
                            statement(0, None),
                            statement(1, Some("it is about other actions")),
                        ],
                    ),
                ],
            },
            region: "us-east-1".parse().unwrap(),
            notes: vec!["there is no table Orders".to_owned()],
        };
        let expected = "\
ALLOWED by statement 0 of policy own of user alice

  principal  arn:aws:iam::111122223333:user/alice
  action     dynamodb:PutItem
  resource   arn:aws:dynamodb:us-east-1:111122223333:table/Orders
  owner      111122223333
  Region     us-east-1

What each kind of policy says, in the order in which they are asked:

  identity-based policies: allowed
   -> Allow of policy own of user alice, statement 0 \"Tables\": applies, and decides
      Allow of policy own of user alice, statement 1: doesn't apply: it is about other actions

  none: service control policies

Not taken into account: there is no table Orders.
";
        assert_eq!(render(&explained), expected);
    }

    #[test]
    fn what_a_user_wrote_commands_no_terminal() {
        let mismatch = "the condition StringEquals of aws:RequestTag/\u{1b}[2J\nALLOWED fails";
        let words = statement_words(&statement(1, Some(mismatch)));
        assert!(words.contains("RequestTag/\\u{1b}[2J\\nALLOWED"), "{words}");
        assert_eq!(words.matches(char::is_control).count(), 1, "{words}");
    }

    #[test]
    fn where_something_is_done_follows_from_what_it_is() {
        let of = |action, resource| region_of(action, resource).map(|region| region.name());
        let table = "arn:aws:dynamodb:eu-west-1:111122223333:table/Orders";
        assert_eq!(of("dynamodb:PutItem", table), Some("eu-west-1"));
        assert_eq!(of("IAM:GetUser", "*"), Some("us-east-1"));
        assert_eq!(of("dynamodb:ListTables", "*"), None);
        assert_eq!(of("s3:GetObject", "arn:aws:s3:::bucket/key"), None);
    }
}
