//! Lists in pages: how many at once, and from where on. A marker is opaque: it says after which
//! entry of which operation's list the next page begins, so that a page stays what it is while
//! others change the list.

use aws::xml::XmlWriter;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::IamError;
use super::request::IamRequest;
use crate::entries::{self, Entry};

/// How many a page has where the request doesn't say (API reference, every `List…`).
const DEFAULT_ITEMS: u32 = 100;

/// The most that a request may ask for.
const MOST_ITEMS: u32 = 1_000;

/// The longest marker, in characters.
const LONGEST_MARKER: usize = 320;

/// Which page is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Paging {
    operation: &'static str,
    most: usize,
    after: Option<String>,
}

/// One page of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Page<T> {
    /// What is on it.
    pub(crate) items: Vec<T>,
    /// The marker of the next page, if there is one.
    pub(crate) next: Option<String>,
}

impl Paging {
    /// The page that a request asks for by `MaxItems` and `Marker`.
    ///
    /// # Errors
    ///
    /// `ValidationError`: there can't be such a page.
    pub(crate) fn of(request: &IamRequest<'_>) -> Result<Paging, IamError> {
        let most = request.number("MaxItems", "maxItems", 1, MOST_ITEMS)?;
        let marker = request.members().value("Marker");
        Ok(Paging {
            operation: request.operation(),
            most: usize::try_from(most.unwrap_or(DEFAULT_ITEMS)).unwrap_or(1),
            after: marker
                .map(|marker| position(request.operation(), marker))
                .transpose()?,
        })
    }

    /// The same page with fewer on it where it would have more than that; one at least.
    pub(crate) fn at_most(self, most: usize) -> Paging {
        Paging {
            most: self.most.min(most.max(1)),
            ..self
        }
    }

    /// The page, to be filled with items in the order of their keys.
    pub(crate) fn walk<T>(&self) -> PageUnderWay<'_, T> {
        PageUnderWay::new(self)
    }

    /// The page of a list whose items come with the keys that they are sorted by, in that order.
    pub(crate) fn page<T>(&self, items: impl IntoIterator<Item = (String, T)>) -> Page<T> {
        let mut page = PageUnderWay::new(self);
        for (key, item) in items {
            if page.wants(&key) {
                page.take(key, item);
            }
        }
        page.finish()
    }

    /// The page of all entries of that kind in the caller's account that `keep` keeps, in the
    /// order of their names. Entries of other pages aren't decoded.
    ///
    /// # Errors
    ///
    /// One of them can't be read.
    pub(crate) fn entries<T: Entry>(
        &self,
        request: &IamRequest<'_>,
        keep: impl Fn(&T) -> bool,
    ) -> Result<Page<T>, IamError> {
        self.entries_with(request, |_| true, keep)
    }

    /// The same of entries whose bytes `may_keep` thinks worth decoding.
    pub(crate) fn entries_with<T: Entry>(
        &self,
        request: &IamRequest<'_>,
        may_keep: impl Fn(&[u8]) -> bool,
        keep: impl Fn(&T) -> bool,
    ) -> Result<Page<T>, IamError> {
        let prefix = entries::prefix::<T>(request.account());
        let (mut page, mut failed) = (PageUnderWay::new(self), None);
        request.view().visit(&prefix, &mut |key, _, bytes| {
            let name = &key[prefix.len()..];
            if failed.is_some() || !page.wants(name) || !may_keep(bytes) {
                return;
            }
            match entries::decode::<T>(key, bytes) {
                Ok(item) if keep(&item) => page.take(name.to_owned(), item),
                Ok(_) => {}
                Err(error) => failed = Some(error),
            }
        });
        failed.map_or_else(|| Ok(page.finish()), |error| Err(error.into()))
    }
}

impl<T> Page<T> {
    /// Writes the list, whether there is more, and where that begins.
    pub(crate) fn write(
        &self,
        writer: &mut XmlWriter,
        list: &'static str,
        mut member: impl FnMut(&mut XmlWriter, &T),
    ) {
        writer.open(list);
        for item in &self.items {
            member(writer, item);
        }
        writer.close();
        self.write_end(writer);
    }

    /// Writes whether there is more, and where that begins.
    pub(crate) fn write_end(&self, writer: &mut XmlWriter) {
        writer
            .value("IsTruncated", self.next.is_some())
            .optional("Marker", self.next.as_ref());
    }
}

/// A page while its list is walked through.
pub(crate) struct PageUnderWay<'a, T> {
    paging: &'a Paging,
    items: Vec<T>,
    last: Option<String>,
    more: bool,
}

impl<'a, T> PageUnderWay<'a, T> {
    fn new(paging: &'a Paging) -> PageUnderWay<'a, T> {
        PageUnderWay {
            paging,
            items: Vec::new(),
            last: None,
            more: false,
        }
    }

    /// Could an entry of that key be on the page, or show that there is more?
    pub(crate) fn wants(&self, key: &str) -> bool {
        !self.more && self.paging.after.as_deref().is_none_or(|after| key > after)
    }

    /// Is it full, and known that there is more?
    pub(crate) fn is_done(&self) -> bool {
        self.more
    }

    /// Takes an item that is wanted.
    pub(crate) fn take(&mut self, key: String, item: T) {
        if self.items.len() == self.paging.most {
            self.more = true;
            return;
        }
        self.items.push(item);
        self.last = Some(key);
    }

    /// Ends it before it is full: the next one begins after what is on it.
    pub(crate) fn end(&mut self) {
        self.more = true;
    }

    /// The page as it was filled.
    pub(crate) fn finish(self) -> Page<T> {
        let last = self.last.filter(|_| self.more);
        Page {
            items: self.items,
            next: last.map(|last| marker(self.paging.operation, &last)),
        }
    }
}

fn marker(operation: &str, last: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{operation}\n{last}"))
}

/// After which key a marker's page begins.
fn position(operation: &str, marker: &str) -> Result<String, IamError> {
    let invalid = || IamError::Validation("The specified marker is invalid.".to_owned());
    if marker.len() > LONGEST_MARKER {
        return Err(invalid());
    }
    let bytes = URL_SAFE_NO_PAD.decode(marker).map_err(|_| invalid())?;
    let text = String::from_utf8(bytes).map_err(|_| invalid())?;
    match text.split_once('\n') {
        Some((of, key)) if of == operation => Ok(key.to_owned()),
        _ => Err(invalid()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paging(most: usize, after: Option<&str>) -> Paging {
        Paging {
            operation: "ListUsers",
            most,
            after: after.map(str::to_owned),
        }
    }

    fn page(paging: &Paging, keys: &[&str]) -> (Vec<usize>, Option<String>) {
        let items = keys.iter().enumerate();
        let page = paging.page(items.map(|(index, key)| ((*key).to_owned(), index)));
        (page.items, page.next)
    }

    #[test]
    fn pages_follow_each_other_whatever_was_deleted_between() {
        let keys = ["a", "b", "c", "d"];
        let (items, next) = page(&paging(2, None), &keys);
        assert_eq!(items, [0, 1]);
        let after = position("ListUsers", &next.unwrap()).unwrap();
        assert_eq!(after, "b");
        let next = paging(2, Some(&after));
        assert_eq!(page(&next, &keys), (vec![2, 3], None));
        assert_eq!(page(&next, &["a", "d", "e"]), (vec![1, 2], None));
        assert_eq!(page(&next, &[]), (vec![], None));
        assert_eq!(page(&paging(4, None), &keys), (vec![0, 1, 2, 3], None));
    }

    #[test]
    fn markers_of_other_lists_and_rubbish_are_refused() {
        let marker = marker("ListGroups", "a");
        assert!(position("ListUsers", &marker).is_err());
        assert_eq!(position("ListGroups", &marker).unwrap(), "a");
        for marker in ["", "x", "_w", "YQ", "é", &"A".repeat(321)] {
            assert!(position("ListUsers", marker).is_err(), "{marker}");
        }
    }
}
