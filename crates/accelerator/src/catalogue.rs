//! Accelerators as they stand in the configuration: found, visited, and written back. It judges
//! no change.

use std::net::IpAddr;

use bytes::Bytes;
use types::{AccountId, ConfigurationEdit, ConfigurationExpected, ConfigurationView};

use crate::arn::AcceleratorArn;
use crate::codec::{CodecError, decode, encode};
use crate::keys;
use crate::model::Accelerator;

/// The account's accelerator of that ARN, and the revision that wrote it; another account's isn't
/// there.
///
/// # Errors
///
/// It can't be read.
pub fn find(
    view: &dyn ConfigurationView,
    arn: &AcceleratorArn,
) -> Result<Option<(u64, Accelerator)>, CodecError> {
    let Some((revision, bytes)) = view.get(&keys::accelerator(&arn.accelerator)) else {
        return Ok(None);
    };
    let accelerator = decode(&bytes)?;
    let own = accelerator.account == arn.account && accelerator.id == arn.accelerator;
    Ok(own.then_some((revision, accelerator)))
}

/// Visits every accelerator, whosever it is, in the order of their ids, with the revision that
/// wrote it; one that can't be read as its error.
pub fn visit(
    view: &dyn ConfigurationView,
    visitor: &mut dyn FnMut(u64, Result<Accelerator, CodecError>),
) {
    view.visit(keys::ACCELERATORS, &mut |_, revision, bytes| {
        visitor(revision, decode(bytes));
    });
}

/// The accelerators of an account, in the order of their ids, with the revisions that wrote them.
///
/// # Errors
///
/// One, perhaps another account's, can't be read: then nobody can tell how many there are.
pub(crate) fn of_account(
    view: &dyn ConfigurationView,
    account: AccountId,
) -> Result<Vec<(u64, Accelerator)>, CodecError> {
    let mut found = Ok(Vec::new());
    visit(view, &mut |revision, accelerator| {
        let Ok(list) = &mut found else { return };
        match accelerator {
            Ok(accelerator) if accelerator.account == account => list.push((revision, accelerator)),
            Ok(_) => {}
            Err(error) => found = Err(error),
        }
    });
    found
}

/// The edits that make an accelerator, take its addresses, and raise its account's count.
pub(crate) fn create(
    view: &dyn ConfigurationView,
    accelerator: &Accelerator,
) -> Vec<ConfigurationEdit> {
    let made = keys::made(accelerator.account);
    let (expected, count) = match view.get(&made) {
        Some((revision, bytes)) => {
            let text = std::str::from_utf8(&bytes).unwrap_or_default();
            let count: u64 = text.parse().unwrap_or_default();
            (ConfigurationExpected::Revision(revision), count)
        }
        None => (ConfigurationExpected::Absent, 0),
    };
    let mut edits = vec![
        addition(keys::accelerator(&accelerator.id), encode(accelerator)),
        ConfigurationEdit {
            key: made,
            expected,
            value: Some(count.saturating_add(1).to_string().into()),
        },
    ];
    edits.extend(take(accelerator, &[]));
    edits
}

/// The edits that replace an accelerator as that revision wrote it: what it has of addresses that
/// it hadn't is taken, what it had and hasn't is given back.
pub(crate) fn replace(
    (revision, before): (u64, &Accelerator),
    accelerator: &Accelerator,
) -> Vec<ConfigurationEdit> {
    let mut edits = vec![ConfigurationEdit {
        key: keys::accelerator(&accelerator.id),
        expected: ConfigurationExpected::Revision(revision),
        value: Some(encode(accelerator)),
    }];
    edits.extend(take(accelerator, &before.addresses));
    edits.extend(give(before, &accelerator.addresses));
    edits
}

/// The edits that remove an accelerator which that revision wrote, and give its addresses back.
pub(crate) fn remove(revision: u64, accelerator: &Accelerator) -> Vec<ConfigurationEdit> {
    let mut edits = vec![ConfigurationEdit {
        key: keys::accelerator(&accelerator.id),
        expected: ConfigurationExpected::Revision(revision),
        value: None,
    }];
    edits.extend(give(accelerator, &[]));
    edits
}

/// The edits that take an accelerator's addresses but for these.
fn take<'a>(
    accelerator: &'a Accelerator,
    but: &'a [IpAddr],
) -> impl Iterator<Item = ConfigurationEdit> + 'a {
    let addresses = accelerator.addresses.iter();
    let addresses = addresses.filter(|address| !but.contains(address));
    addresses.map(|address| {
        let id = Bytes::from(accelerator.id.0.clone());
        addition(keys::address(*address), id)
    })
}

/// The edits that give an accelerator's addresses back but for these.
fn give<'a>(
    accelerator: &'a Accelerator,
    but: &'a [IpAddr],
) -> impl Iterator<Item = ConfigurationEdit> + 'a {
    let addresses = accelerator.addresses.iter();
    let addresses = addresses.filter(|address| !but.contains(address));
    addresses.map(|address| ConfigurationEdit {
        key: keys::address(*address),
        expected: ConfigurationExpected::Any,
        value: None,
    })
}

fn addition(key: String, value: Bytes) -> ConfigurationEdit {
    ConfigurationEdit {
        key,
        expected: ConfigurationExpected::Absent,
        value: Some(value),
    }
}
