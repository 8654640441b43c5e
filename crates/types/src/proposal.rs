//! The one loop by which a service changes the global configuration: read a view, propose, and
//! repeat on a fresh view when another change came first; and how what a view lacks is asked for.
//! It neither waits nor decides what is to be changed.

use crate::{
    Configuration, ConfigurationEdit, ConfigurationError, ConfigurationExpected, ConfigurationView,
};

/// How often a change is tried while others' changes of the same keys come first.
pub const MAX_PROPOSALS: usize = 8;

/// Has the edits made that `attempt` asks for on a view; on a fresh one when others' changes came
/// first, [`MAX_PROPOSALS`] times at most. Returns what it said beside them, and the revision that
/// made them; none if there were no edits, for then nothing is proposed.
///
/// # Errors
///
/// What `attempt` says, or what `refuse` makes of a change that wasn't made.
pub async fn propose<T, E>(
    configuration: &dyn Configuration,
    refuse: impl FnOnce(ConfigurationError) -> E,
    mut attempt: impl FnMut(&dyn ConfigurationView) -> Result<(Vec<ConfigurationEdit>, T), E>,
) -> Result<(T, Option<u64>), E> {
    for _ in 0..MAX_PROPOSALS {
        let (edits, outcome) = attempt(&*configuration.view())?;
        if edits.is_empty() {
            return Ok((outcome, None));
        }
        match configuration.propose(edits).await {
            Ok(revision) => return Ok((outcome, Some(revision))),
            Err(ConfigurationError::Conflict) => {}
            Err(error) => return Err(refuse(error)),
        }
    }
    Err(refuse(ConfigurationError::Conflict))
}

/// Returns when this site's view has that key, if anybody had set it before the call. A site learns
/// of what was set elsewhere a moment after whoever set it, so a key that it lacks is asked for, by
/// a change that changes nothing and is made only if there is no such key.
///
/// # Errors
///
/// Whether there is such a key can't be known now.
pub async fn look_for(
    configuration: &dyn Configuration,
    key: &str,
) -> Result<(), ConfigurationError> {
    if configuration.view().get(key).is_some() {
        return Ok(());
    }
    let absent = ConfigurationEdit {
        key: key.to_owned(),
        expected: ConfigurationExpected::Absent,
        value: None,
    };
    match configuration.propose(vec![absent]).await {
        Ok(_) | Err(ConfigurationError::Conflict) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::pin::pin;
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll, Waker};

    use bytes::Bytes;

    use super::*;
    use crate::Proposal;

    /// A configuration whose proposals are answered as was said, and whose views count.
    #[derive(Default)]
    struct Scripted {
        answers: Mutex<Vec<Result<u64, ConfigurationError>>>,
        views: Mutex<u64>,
    }

    struct View(u64);

    impl ConfigurationView for View {
        fn revision(&self) -> u64 {
            self.0
        }

        fn get(&self, _: &str) -> Option<(u64, Bytes)> {
            None
        }

        fn visit(&self, _: &str, _: &mut dyn FnMut(&str, u64, &Bytes)) {}
    }

    impl Configuration for Scripted {
        fn view(&self) -> Arc<dyn ConfigurationView> {
            let mut views = self.views.lock().unwrap();
            *views += 1;
            Arc::new(View(*views))
        }

        fn propose(&self, _: Vec<ConfigurationEdit>) -> Proposal<'_> {
            Box::pin(ready(self.answers.lock().unwrap().pop().unwrap()))
        }
    }

    fn proposed(
        mut answers: Vec<Result<u64, ConfigurationError>>,
        edits: usize,
    ) -> Result<(u64, Option<u64>), ConfigurationError> {
        answers.reverse();
        let configuration = Scripted {
            answers: Mutex::new(answers),
            ..Scripted::default()
        };
        let edit = ConfigurationEdit {
            key: "a/b".to_owned(),
            expected: ConfigurationExpected::Any,
            value: None,
        };
        let made = propose(
            &configuration,
            |error| error,
            |view| Ok((vec![edit.clone(); edits], view.revision())),
        );
        match pin!(made).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(made) => made,
            Poll::Pending => panic!("it is answered at once"),
        }
    }

    #[test]
    fn a_change_is_made_anew_when_another_came_first() {
        let conflict = Err(ConfigurationError::Conflict);
        assert_eq!(proposed(vec![Ok(7)], 1), Ok((1, Some(7))));
        assert_eq!(
            proposed(vec![conflict, conflict, Ok(9)], 1),
            Ok((3, Some(9)))
        );
        assert_eq!(proposed(vec![], 0), Ok((1, None)), "nothing is proposed");
        let busy = Err(ConfigurationError::Busy);
        assert_eq!(
            proposed(vec![conflict, busy], 1),
            Err(ConfigurationError::Busy)
        );
        let always = vec![conflict; MAX_PROPOSALS];
        assert_eq!(proposed(always, 1), Err(ConfigurationError::Conflict));
    }

    #[test]
    fn a_key_that_a_view_lacks_is_asked_for() {
        let asked = |answer| {
            let configuration = Scripted {
                answers: Mutex::new(vec![answer]),
                ..Scripted::default()
            };
            let known = look_for(&configuration, "a/b");
            let known = pin!(known).poll(&mut Context::from_waker(Waker::noop()));
            assert!(configuration.answers.lock().unwrap().is_empty());
            known
        };
        assert_eq!(asked(Ok(7)), Poll::Ready(Ok(())), "there is none");
        let learned = asked(Err(ConfigurationError::Conflict));
        assert_eq!(learned, Poll::Ready(Ok(())), "there is one");
        let alone = Err(ConfigurationError::NoMajority);
        assert_eq!(asked(alone), Poll::Ready(alone.map(|_: u64| ())));
    }
}
