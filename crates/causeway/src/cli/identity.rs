//! The command line of `causeway identity`: accounts, keys, and why something is allowed or not.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use types::{AccountId, Region};

use super::{Query, whole};

#[derive(Subcommand, Debug)]
pub enum IdentityCommand {
    /// List accounts, users, roles and their access keys; never a secret
    #[command(
        after_help = "If there are more principals than --limit, the last line says so.\n\n\
        Examples:\n  causeway identity list\n  causeway identity list --account 444455556666 --json"
    )]
    List {
        /// Only that account's
        #[arg(long, value_name = "NUMBER", value_parser = account)]
        account: Option<AccountId>,
        /// How many users and roles at most
        #[arg(
            long,
            value_name = "N",
            default_value = "1000",
            value_parser = limit,
            allow_negative_numbers = true
        )]
        limit: u32,
        #[command(flatten)]
        query: Query,
    },
    /// Make an account, and print its root key: this once, nobody can read it again
    #[command(
        name = "create-account",
        after_help = "The root key is printed as `export` lines for a POSIX shell, or as JSON with \
        --json. It may do everything in the account. The deployment's first account, 111122223333, \
        exists already: its root key is the operator's, which `causeway env` prints.\n\n\
        Examples:\n  causeway identity create-account\n  \
        eval \"$(causeway identity create-account 444455556666)\""
    )]
    CreateAccount {
        /// Its number, 12 digits [default: one drawn at random]
        #[arg(value_name = "NUMBER", value_parser = account)]
        account: Option<AccountId>,
        #[command(flatten)]
        query: Query,
    },
    /// Make an access key for a user, and print it: this once, nobody can read it again
    #[command(
        name = "create-key",
        after_help = "The user must exist (`aws iam create-user --user-name alice` makes one); a \
        user has two keys at most.\n\nExamples:\n  eval \"$(causeway identity create-key alice)\"\n  \
        causeway identity create-key alice --account 444455556666 --json"
    )]
    CreateKey {
        /// The user's name
        #[arg(value_name = "USER")]
        user: String,
        #[command(flatten)]
        account: AccountArgument,
        #[command(flatten)]
        query: Query,
    },
    /// End an access key for good, and wait until every Region that lives refuses it
    #[command(
        after_help = "The key is deleted: it can't be made valid again. A Region that is down or \
        cut off is named: it accepts the key until it has heard the others, also once it runs \
        again. Sessions that were begun with the key last until they expire, unless a policy of \
        the user denies what is older by aws:TokenIssueTime.\n\nExit code 0: every Region refuses \
        the key. Exit code 1: it is deleted, but not every Region is known to refuse it yet; or \
        it could not be deleted.\n\n\
        Example:\n  causeway identity revoke AKIAIOSFODNN7EXAMPLE"
    )]
    Revoke {
        /// The key's id, from the list
        #[arg(value_name = "KEY_ID")]
        key: String,
        #[command(flatten)]
        query: Query,
    },
    /// Say whether a principal may do something, and which statement decides it
    #[command(
        after_help = "Condition keys that a request would bring are given with --context; those \
        that aren't are absent, but for the time, aws:RequestedRegion, aws:SecureTransport (false) \
        and what is known of the principal and of the resource's account. For a table of DynamoDB \
        its resource policy is looked up in --region. Nothing is carried out.\n\nExit code 0: \
        allowed. Exit code 1: denied. Exit code 2: wrong use.\n\nExamples:\n  \
        causeway identity explain dynamodb:PutItem \
        arn:aws:dynamodb:us-east-1:111122223333:table/Orders --as user/alice\n  \
        causeway identity explain s3:GetObject 'arn:aws:s3:::logs/*' --as role/reader \
        --context aws:SourceIp=192.0.2.1 --json"
    )]
    Explain(Explain),
    /// Set, remove or list the policies that an organisation puts over an account
    #[command(
        subcommand,
        after_help = "Examples:\n  causeway identity policy set only-europe --service-control \
        only-europe.json --account 444455556666\n  causeway identity policy list\n  \
        causeway identity policy remove only-europe --account 444455556666"
    )]
    Policy(PolicyCommand),
}

#[derive(Args, Debug)]
pub struct Explain {
    /// What is done: dynamodb:PutItem
    #[arg(value_name = "ACTION", value_parser = action)]
    pub action: String,
    /// The ARN of what it is done to; `*` where an action has none
    #[arg(value_name = "RESOURCE")]
    pub resource: String,
    /// Who does it: an ARN, or a user's name, role/NAME or root of --account
    #[arg(long = "as", value_name = "PRINCIPAL")]
    pub principal: String,
    #[command(flatten)]
    pub account: AccountArgument,
    /// Where it is done [default: the resource's Region, or the lab's first]
    #[arg(long, value_name = "REGION")]
    pub region: Option<Region>,
    /// A condition key that the request brings, and its value; again for more keys, or more values
    #[arg(long, value_name = "KEY=VALUE", value_parser = context)]
    pub context: Vec<(String, String)>,
    #[command(flatten)]
    pub query: Query,
}

#[derive(Subcommand, Debug)]
pub enum PolicyCommand {
    /// Put a policy over an account, in place of the one of that name
    #[command(
        after_help = "An account over which no service control policy stands is limited by none; \
        with one or more, only what they allow can be allowed. A deny of a resource control policy \
        holds for whoever reaches what the account owns.\n\nExamples:\n  \
        causeway identity policy set only-europe --service-control only-europe.json\n  \
        causeway identity policy set no-strangers --resource-control no-strangers.json \
        --account 444455556666"
    )]
    Set {
        /// The policy's name
        #[arg(value_name = "NAME", value_parser = policy_name)]
        name: String,
        /// A service control policy: the file with its JSON document
        #[arg(
            long,
            value_name = "FILE",
            conflicts_with = "resource_control",
            required_unless_present = "resource_control"
        )]
        service_control: Option<PathBuf>,
        /// A resource control policy: the file with its JSON document
        #[arg(long, value_name = "FILE")]
        resource_control: Option<PathBuf>,
        #[command(flatten)]
        account: AccountArgument,
        #[command(flatten)]
        query: Query,
    },
    /// Take a policy away from an account
    #[command(after_help = "Example:\n  causeway identity policy remove only-europe")]
    Remove {
        /// The policy's name, from the list
        #[arg(value_name = "NAME", value_parser = policy_name)]
        name: String,
        /// The service control policy of that name, where there is one of each kind
        #[arg(long, conflicts_with = "resource_control")]
        service_control: bool,
        /// The resource control policy of that name, where there is one of each kind
        #[arg(long)]
        resource_control: bool,
        #[command(flatten)]
        account: AccountArgument,
        #[command(flatten)]
        query: Query,
    },
    /// List the policies that stand over accounts
    #[command(after_help = "Example:\n  causeway identity policy list --json")]
    List {
        /// Only those over that account
        #[arg(long, value_name = "NUMBER", value_parser = account)]
        account: Option<AccountId>,
        #[command(flatten)]
        query: Query,
    },
}

/// In which account.
#[derive(Args, Debug)]
pub struct AccountArgument {
    /// The account
    #[arg(
        long = "account",
        value_name = "NUMBER",
        default_value = types::LAB_ACCOUNT,
        value_parser = account
    )]
    pub number: AccountId,
}

/// Characters of a policy's name at most (Organizations API, `PolicyName`).
const LONGEST_NAME: usize = 128;

fn account(text: &str) -> Result<AccountId, String> {
    text.parse::<AccountId>()
        .map_err(|cause| format!("{cause}, as 444455556666"))
}

fn limit(text: &str) -> Result<u32, String> {
    whole(text, 1..=100_000, "the limit")
}

/// `aws:SourceIp=192.0.2.1`: the value is all that follows the first equals sign.
fn context(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| name.contains(':'));
    let pair = pair.map(|(name, value)| (name.to_owned(), value.to_owned()));
    pair.ok_or_else(|| "a condition key is written aws:SourceIp=192.0.2.1".to_owned())
}

/// One action of a service, as a policy would name it.
fn action(text: &str) -> Result<String, String> {
    let is_name = |name: &str| {
        let mut letters = name.chars();
        !name.is_empty() && letters.all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let parts = text.split_once(':');
    match parts.is_some_and(|(service, name)| is_name(service) && is_name(name)) {
        true => Ok(text.to_owned()),
        false => Err("an action is a service and an operation, as dynamodb:PutItem".to_owned()),
    }
}

fn policy_name(text: &str) -> Result<String, String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.+=,@".contains(c);
    match !text.is_empty() && text.len() <= LONGEST_NAME && text.chars().all(is_name) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "a policy's name is 1 to {LONGEST_NAME} letters, digits and -_.+=,@"
        )),
    }
}
