//! Tags as the operations of every kind of thing change and list them. Keys are compared without
//! regard to case; the case that was given last is kept.

use aws::query::Reply;

use super::IamError;
use super::limits::TAGS;
use super::paging::Paging;
use super::request::IamRequest;
use super::shapes;
use crate::model::Tags;

/// Sets those tags beside the ones that are there. `quota` is the limit's name: `TagsPerUser`.
///
/// # Errors
///
/// `LimitExceeded`: there would be too many.
pub(crate) fn set(tags: &mut Tags, given: &Tags, quota: &str) -> Result<(), IamError> {
    for (key, value) in given {
        remove(tags, &[key]);
        tags.insert(key.clone(), value.clone());
    }
    if tags.len() > TAGS {
        return Err(IamError::quota(quota, TAGS));
    }
    Ok(())
}

/// Takes those away that are there.
pub(crate) fn remove(tags: &mut Tags, keys: &[&str]) {
    tags.retain(|known, _| {
        let known = known.to_lowercase();
        keys.iter().all(|key| key.to_lowercase() != known)
    });
}

/// The answer of a list of tags, in pages, in the order of their keys.
///
/// # Errors
///
/// There is no such page.
pub(crate) fn listed(request: &IamRequest<'_>, tags: &Tags) -> Result<Reply, IamError> {
    let items = tags.iter().map(|(key, value)| (key.clone(), (key, value)));
    let page = Paging::of(request)?.page(items);
    let mut reply = request.reply();
    page.write(reply.writer(), "Tags", |writer, (key, value)| {
        shapes::tag(writer, key, value);
    });
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn keys_are_one_whatever_their_case() {
        let mut known = tags(&[("Team", "a"), ("Ünit", "b"), ("c", "d")]);
        set(&mut known, &tags(&[("TEAM", "x"), ("üNIT", "y")]), "Q").unwrap();
        assert_eq!(known, tags(&[("TEAM", "x"), ("üNIT", "y"), ("c", "d")]));
        remove(&mut known, &["C", "team", "none"]);
        assert_eq!(known, tags(&[("üNIT", "y")]));
    }

    #[test]
    fn there_are_fifty_at_most() {
        let many = |from: usize, to: usize| -> Tags {
            (from..to)
                .map(|n| (format!("k{n}"), String::new()))
                .collect()
        };
        let mut known = many(0, 50);
        assert_eq!(set(&mut known, &many(0, 50), "TagsPerUser"), Ok(()));
        let refused = set(&mut known, &many(50, 51), "TagsPerUser").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "Cannot exceed quota for TagsPerUser: 50"
        );
    }
}
