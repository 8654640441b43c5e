//! Load balancers and target groups as they stand in the configuration: found, visited, and
//! written back. It judges no change.

use std::net::Ipv4Addr;
use std::str::FromStr;

use types::{AccountId, ConfigurationEdit, ConfigurationExpected, ConfigurationView};

use crate::arn::{LoadBalancerArn, TargetGroupArn};
use crate::codec::{CodecError, decode, encode};
use crate::keys;
use crate::model::{LoadBalancer, LoadBalancerKind, TargetGroup};

/// A row, and the revision that wrote it.
pub type Row<T> = (u64, T);

/// The load balancer of that name, and the revision that wrote it.
///
/// # Errors
///
/// It can't be read.
pub fn balancer(
    view: &dyn ConfigurationView,
    arn: &LoadBalancerArn,
) -> Result<Option<Row<LoadBalancer>>, CodecError> {
    let Some((revision, bytes)) = view.get(&keys::balancer(arn)) else {
        return Ok(None);
    };
    let balancer: LoadBalancer = decode(&bytes)?;
    Ok((balancer.arn == *arn).then_some((revision, balancer)))
}

/// The target group of that name, and the revision that wrote it.
///
/// # Errors
///
/// It can't be read.
pub fn group(
    view: &dyn ConfigurationView,
    arn: &TargetGroupArn,
) -> Result<Option<Row<TargetGroup>>, CodecError> {
    let Some((revision, bytes)) = view.get(&keys::group(arn)) else {
        return Ok(None);
    };
    let group: TargetGroup = decode(&bytes)?;
    Ok((group.arn == *arn).then_some((revision, group)))
}

/// The load balancer that an account has under that name.
///
/// # Errors
///
/// It can't be read.
pub(crate) fn balancer_named(
    view: &dyn ConfigurationView,
    account: AccountId,
    name: &str,
) -> Result<Option<Row<LoadBalancer>>, CodecError> {
    match arn_at::<LoadBalancerArn>(view, &keys::balancer_name(account, name))? {
        Some(arn) => balancer(view, &arn),
        None => Ok(None),
    }
}

/// The target group that an account has under that name.
///
/// # Errors
///
/// It can't be read.
pub(crate) fn group_named(
    view: &dyn ConfigurationView,
    account: AccountId,
    name: &str,
) -> Result<Option<Row<TargetGroup>>, CodecError> {
    match arn_at::<TargetGroupArn>(view, &keys::group_name(account, name))? {
        Some(arn) => group(view, &arn),
        None => Ok(None),
    }
}

/// What a name stands for.
fn arn_at<T: FromStr>(view: &dyn ConfigurationView, key: &str) -> Result<Option<T>, CodecError> {
    let Some((_, bytes)) = view.get(key) else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&bytes).ok();
    let arn = text.and_then(|text| text.parse().ok());
    let malformed = || CodecError::Malformed("name", format!("{key} stands for nothing"));
    arn.map(Some).ok_or_else(malformed)
}

/// How many load balancers of that kind an account has. Their rows aren't read.
pub(crate) fn count_balancers(
    view: &dyn ConfigurationView,
    account: AccountId,
    kind: LoadBalancerKind,
) -> usize {
    let path = format!(":loadbalancer/{}/", kind.path());
    let mut count = 0;
    view.visit(&keys::balancer_name(account, ""), &mut |_, _, arn| {
        let is_of_kind = std::str::from_utf8(arn).is_ok_and(|arn| arn.contains(&path));
        count += usize::from(is_of_kind);
    });
    count
}

/// How many target groups an account has. Their rows aren't read.
pub(crate) fn count_groups(view: &dyn ConfigurationView, account: AccountId) -> usize {
    let mut count = 0;
    view.visit(&keys::group_name(account, ""), &mut |_, _, _| count += 1);
    count
}

/// Visits every load balancer, whosever it is, in the order of their ids, with the revision that
/// wrote it; one that can't be read as its error.
pub fn visit_balancers(
    view: &dyn ConfigurationView,
    visitor: &mut dyn FnMut(u64, Result<LoadBalancer, CodecError>),
) {
    view.visit(keys::BALANCERS, &mut |_, revision, bytes| {
        visitor(revision, decode(bytes));
    });
}

/// Visits every target group, whosever it is, in the order of their ids, with the revision that
/// wrote it; one that can't be read as its error.
pub fn visit_groups(
    view: &dyn ConfigurationView,
    visitor: &mut dyn FnMut(u64, Result<TargetGroup, CodecError>),
) {
    view.visit(keys::GROUPS, &mut |_, revision, bytes| {
        visitor(revision, decode(bytes));
    });
}

/// The load balancers of an account, with the revisions that wrote them, in the order of their
/// ids.
///
/// # Errors
///
/// One, perhaps another account's, can't be read: then nobody can tell how many there are.
pub(crate) fn balancers_of(
    view: &dyn ConfigurationView,
    account: AccountId,
) -> Result<Vec<Row<LoadBalancer>>, CodecError> {
    let mut found = Ok(Vec::new());
    visit_balancers(view, &mut |revision, balancer| {
        let own = |balancer: &LoadBalancer| balancer.arn.account == account;
        gather(&mut found, revision, balancer, own);
    });
    found
}

/// The target groups of an account, with the revisions that wrote them, in the order of their
/// ids.
///
/// # Errors
///
/// One, perhaps another account's, can't be read.
pub(crate) fn groups_of(
    view: &dyn ConfigurationView,
    account: AccountId,
) -> Result<Vec<Row<TargetGroup>>, CodecError> {
    let mut found = Ok(Vec::new());
    visit_groups(view, &mut |revision, group| {
        gather(&mut found, revision, group, |group| {
            group.arn.account == account
        });
    });
    found
}

fn gather<T>(
    found: &mut Result<Vec<Row<T>>, CodecError>,
    revision: u64,
    row: Result<T, CodecError>,
    is_wanted: impl Fn(&T) -> bool,
) {
    match (found.as_mut(), row) {
        (Ok(list), Ok(row)) if is_wanted(&row) => list.push((revision, row)),
        (Ok(_), Err(error)) => *found = Err(error),
        _ => {}
    }
}

/// Is it the address of one of the load balancer's nodes?
fn has(balancer: &LoadBalancer, address: Ipv4Addr) -> bool {
    balancer.zones.values().any(|node| *node == address)
}

fn edit(
    key: String,
    expected: ConfigurationExpected,
    value: Option<bytes::Bytes>,
) -> ConfigurationEdit {
    ConfigurationEdit {
        key,
        expected,
        value,
    }
}

/// The edit that makes every change wait for the others: see [`keys::CHANGES`].
pub(crate) fn count_change(view: &dyn ConfigurationView) -> ConfigurationEdit {
    let (expected, count) = match view.get(keys::CHANGES) {
        Some((revision, bytes)) => {
            let text = std::str::from_utf8(&bytes).unwrap_or_default();
            let count: u64 = text.parse().unwrap_or_default();
            (ConfigurationExpected::Revision(revision), count)
        }
        None => (ConfigurationExpected::Absent, 0),
    };
    let next = count.saturating_add(1).to_string();
    edit(keys::CHANGES.to_owned(), expected, Some(next.into()))
}

/// The edits that make a load balancer, and take its name and its nodes' addresses.
pub(crate) fn create_balancer(balancer: &LoadBalancer) -> Vec<ConfigurationEdit> {
    let absent = |key, value| edit(key, ConfigurationExpected::Absent, Some(value));
    let arn = &balancer.arn;
    let name = keys::balancer_name(arn.account, &arn.name);
    let mut edits = vec![
        absent(keys::balancer(arn), encode(balancer)),
        absent(name, arn.to_string().into()),
    ];
    for address in balancer.zones.values() {
        edits.push(absent(keys::address(*address), arn.to_string().into()));
    }
    edits
}

/// The edits that replace a load balancer which that revision wrote; addresses that it has no more
/// are given back, those that it has since are taken.
pub(crate) fn replace_balancer(
    (revision, before): &Row<LoadBalancer>,
    after: &LoadBalancer,
) -> Vec<ConfigurationEdit> {
    let expected = ConfigurationExpected::Revision(*revision);
    let mut edits = vec![edit(
        keys::balancer(&after.arn),
        expected,
        Some(encode(after)),
    )];
    for address in before
        .zones
        .values()
        .filter(|address| !has(after, **address))
    {
        edits.push(edit(
            keys::address(*address),
            ConfigurationExpected::Any,
            None,
        ));
    }
    for address in after
        .zones
        .values()
        .filter(|address| !has(before, **address))
    {
        let owner = Some(after.arn.to_string().into());
        edits.push(edit(
            keys::address(*address),
            ConfigurationExpected::Absent,
            owner,
        ));
    }
    edits
}

/// The edits that remove a load balancer which that revision wrote, and all that it took.
pub(crate) fn remove_balancer((revision, balancer): &Row<LoadBalancer>) -> Vec<ConfigurationEdit> {
    let arn = &balancer.arn;
    let name = keys::balancer_name(arn.account, &arn.name);
    let mut edits = vec![
        edit(
            keys::balancer(arn),
            ConfigurationExpected::Revision(*revision),
            None,
        ),
        edit(name, ConfigurationExpected::Any, None),
    ];
    for address in balancer.zones.values() {
        edits.push(edit(
            keys::address(*address),
            ConfigurationExpected::Any,
            None,
        ));
    }
    edits
}

/// The edits that make a target group, and take its name.
pub(crate) fn create_group(group: &TargetGroup) -> Vec<ConfigurationEdit> {
    let absent = |key, value| edit(key, ConfigurationExpected::Absent, Some(value));
    let arn = &group.arn;
    vec![
        absent(keys::group(arn), encode(group)),
        absent(
            keys::group_name(arn.account, &arn.name),
            arn.to_string().into(),
        ),
    ]
}

/// The edit that replaces a target group which that revision wrote.
pub(crate) fn replace_group(revision: u64, group: &TargetGroup) -> ConfigurationEdit {
    let expected = ConfigurationExpected::Revision(revision);
    edit(keys::group(&group.arn), expected, Some(encode(group)))
}

/// The edits that remove a target group which that revision wrote, and its name.
pub(crate) fn remove_group((revision, group): &Row<TargetGroup>) -> Vec<ConfigurationEdit> {
    let arn = &group.arn;
    let name = keys::group_name(arn.account, &arn.name);
    vec![
        edit(
            keys::group(arn),
            ConfigurationExpected::Revision(*revision),
            None,
        ),
        edit(name, ConfigurationExpected::Any, None),
    ]
}
