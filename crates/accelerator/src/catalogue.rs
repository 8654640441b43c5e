//! Accelerators as they stand in the configuration: found, visited, and written back. It judges
//! no change.

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
    let absent = |key: String, value: Bytes| ConfigurationEdit {
        key,
        expected: ConfigurationExpected::Absent,
        value: Some(value),
    };
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
        absent(keys::accelerator(&accelerator.id), encode(accelerator)),
        ConfigurationEdit {
            key: made,
            expected,
            value: Some(count.saturating_add(1).to_string().into()),
        },
    ];
    for address in &accelerator.addresses {
        let id = Bytes::from(accelerator.id.0.clone());
        edits.push(absent(keys::address(*address), id));
    }
    edits
}

/// The edit that replaces an accelerator which that revision wrote.
pub(crate) fn replace(revision: u64, accelerator: &Accelerator) -> ConfigurationEdit {
    ConfigurationEdit {
        key: keys::accelerator(&accelerator.id),
        expected: ConfigurationExpected::Revision(revision),
        value: Some(encode(accelerator)),
    }
}

/// The edits that remove an accelerator which that revision wrote, and give its addresses back.
pub(crate) fn remove(revision: u64, accelerator: &Accelerator) -> Vec<ConfigurationEdit> {
    let removal = |key, expected| ConfigurationEdit {
        key,
        expected,
        value: None,
    };
    let row = keys::accelerator(&accelerator.id);
    let mut edits = vec![removal(row, ConfigurationExpected::Revision(revision))];
    for address in &accelerator.addresses {
        edits.push(removal(keys::address(*address), ConfigurationExpected::Any));
    }
    edits
}
