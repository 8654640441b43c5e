//! Policy documents, compiled once for all who have the same text. A bounded number is held; the
//! others are compiled again when they are needed.

use std::sync::Arc;

use aws::access::PolicyKind;

use crate::cache::Cache;
use crate::policy::{Policy, PolicyError};

/// Documents of one kind that are held.
const MOST: usize = 1_024;

/// Bytes of the documents of one kind that are held.
const HEAVIEST: usize = 1024 * 1024;

/// Compiled documents by their text.
pub(crate) struct Documents {
    identity: Cache<Box<str>, Arc<Policy>>,
    resource: Cache<Box<str>, Arc<Policy>>,
    trust: Cache<Box<str>, Arc<Policy>>,
    organization: Cache<Box<str>, Arc<Policy>>,
}

impl Documents {
    pub(crate) fn new() -> Documents {
        let cache = || Cache::new(MOST, HEAVIEST);
        Documents {
            identity: cache(),
            resource: cache(),
            trust: cache(),
            organization: cache(),
        }
    }

    /// The document, compiled.
    pub(crate) fn compiled(
        &self,
        kind: PolicyKind,
        document: &str,
    ) -> Result<Arc<Policy>, PolicyError> {
        let cache = self.of(kind);
        if let Some(known) = cache.get(document) {
            return Ok(known);
        }
        let policy = Arc::new(Policy::parse(kind, document)?);
        cache.put(document.into(), Arc::clone(&policy), document.len());
        Ok(policy)
    }

    /// Is it a policy? One that is held already, or finds room, is not compiled again.
    pub(crate) fn check(&self, kind: PolicyKind, document: &str) -> Result<(), PolicyError> {
        let cache = self.of(kind);
        if cache.get(document).is_none() {
            let policy = Arc::new(Policy::parse(kind, document)?);
            cache.offer(document.into(), policy, document.len());
        }
        Ok(())
    }

    /// The document, compiled; one that can't be read denies everything.
    pub(crate) fn or_denial(&self, kind: PolicyKind, document: &str) -> Arc<Policy> {
        let compiled = self.compiled(kind, document);
        compiled.unwrap_or_else(|_| denial(kind))
    }

    /// The most bytes of text that it ever holds.
    #[cfg(test)]
    pub(crate) fn heaviest(&self) -> usize {
        4 * HEAVIEST
    }

    fn of(&self, kind: PolicyKind) -> &Cache<Box<str>, Arc<Policy>> {
        match kind {
            PolicyKind::Identity => &self.identity,
            PolicyKind::Resource => &self.resource,
            PolicyKind::Trust => &self.trust,
            PolicyKind::Organization => &self.organization,
        }
    }
}

/// What stands for a policy that can't be read: it denies everything.
pub(crate) fn denial(kind: PolicyKind) -> Arc<Policy> {
    Arc::new(Policy::unreadable(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_is_compiled_once_for_each_kind_and_rubbish_denies() {
        let documents = Documents::new();
        let text = r#"{"Version":"2012-10-17","Statement":
            {"Effect":"Allow","Action":"*","Resource":"*"}}"#;
        let compiled = || documents.compiled(PolicyKind::Identity, text).unwrap();
        assert!(Arc::ptr_eq(&compiled(), &compiled()));
        // A resource's policy names principals.
        assert!(documents.compiled(PolicyKind::Resource, text).is_err());
        assert!(documents.check(PolicyKind::Trust, "{").is_err());
        let denial = documents.or_denial(PolicyKind::Identity, "{");
        assert!(!Arc::ptr_eq(&denial, &compiled()));
    }

    #[test]
    fn checking_many_documents_keeps_those_that_are_in_use() {
        let documents = Documents::new();
        let text = |number: usize| {
            let statement =
                format!(r#"{{"Sid":"S{number}","Effect":"Deny","Action":"*","Resource":"*"}}"#);
            format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#)
        };
        for number in 0..MOST * 2 {
            documents
                .check(PolicyKind::Identity, &text(number))
                .unwrap();
        }
        assert_eq!(documents.identity.held().0, MOST);
        assert!(documents.identity.get(text(0).as_str()).is_some());
    }
}
