//! The one loop by which a service changes the global configuration: read a view, propose, and
//! repeat on a fresh view when another change came first; and what is refused by a view that may be
//! old, confirmed. It neither waits nor decides what is to be changed.

use crate::{Configuration, ConfigurationEdit, ConfigurationError, ConfigurationView};

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
    attempt: impl FnMut(&dyn ConfigurationView) -> Result<(Vec<ConfigurationEdit>, T), E>,
) -> Result<(T, Option<u64>), E> {
    repeat(configuration, refuse, attempt, true).await
}

/// As [`propose`]; but what `attempt` refuses it is asked once more, on a view that has all that
/// was decided before the call ([`Configuration::catch_up`]): none is refused by what a site knew a
/// moment ago. That costs one round to the majority at most; so what a request is refused for
/// whatever stands there is to be refused before.
///
/// # Errors
///
/// As of [`propose`]; and what `refuse` makes of it if what was decided can't be known now.
pub async fn propose_confirmed<T, E>(
    configuration: &dyn Configuration,
    refuse: impl FnOnce(ConfigurationError) -> E,
    attempt: impl FnMut(&dyn ConfigurationView) -> Result<(Vec<ConfigurationEdit>, T), E>,
) -> Result<(T, Option<u64>), E> {
    repeat(configuration, refuse, attempt, false).await
}

/// `is_fresh`: a refusal is final, for the view is as new as it must be.
async fn repeat<T, E>(
    configuration: &dyn Configuration,
    refuse: impl FnOnce(ConfigurationError) -> E,
    mut attempt: impl FnMut(&dyn ConfigurationView) -> Result<(Vec<ConfigurationEdit>, T), E>,
    mut is_fresh: bool,
) -> Result<(T, Option<u64>), E> {
    for _ in 0..MAX_PROPOSALS {
        let mut judged = attempt(&*configuration.view());
        if judged.is_err() && !is_fresh {
            if let Err(error) = configuration.catch_up().await {
                return Err(refuse(error));
            }
            judged = attempt(&*configuration.view());
        }
        let (edits, outcome) = judged?;
        if edits.is_empty() {
            return Ok((outcome, None));
        }
        match configuration.propose(edits).await {
            Ok(revision) => return Ok((outcome, Some(revision))),
            // It was decided after the call, and this site has what was decided before it.
            Err(ConfigurationError::Conflict) => is_fresh = true,
            Err(error) => return Err(refuse(error)),
        }
    }
    Err(refuse(ConfigurationError::Conflict))
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::pin::pin;
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll, Waker};

    use bytes::Bytes;

    use super::*;
    use crate::{ConfigurationExpected, Proposal};

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

    /// What a change is answered that is refused on the first so many views, and the views and the
    /// answers that it took.
    fn confirmed(
        mut answers: Vec<Result<u64, ConfigurationError>>,
        refused_before: u64,
    ) -> (Result<u64, ConfigurationError>, u64, usize) {
        answers.reverse();
        let count = answers.len();
        let configuration = Scripted {
            answers: Mutex::new(answers),
            ..Scripted::default()
        };
        let edit = ConfigurationEdit {
            key: "a/b".to_owned(),
            expected: ConfigurationExpected::Any,
            value: None,
        };
        let made = propose_confirmed(
            &configuration,
            |error| error,
            |view| match view.revision() <= refused_before {
                true => Err(ConfigurationError::TooLarge),
                false => Ok((vec![edit.clone()], ())),
            },
        );
        let Poll::Ready(made) = pin!(made).poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("it is answered at once");
        };
        let left = configuration.answers.lock().unwrap().len();
        let views = *configuration.views.lock().unwrap();
        (made.map(|(_, at)| at.unwrap_or(0)), views, count - left)
    }

    #[test]
    fn what_a_view_lacks_is_asked_for_before_it_is_refused() {
        let (never, refused) = (
            Err(ConfigurationError::Conflict),
            Err(ConfigurationError::TooLarge),
        );
        let made = Ok(9);
        assert_eq!(confirmed(vec![made], 0), (Ok(9), 1, 1), "it is just made");
        assert_eq!(confirmed(vec![never, made], 1), (Ok(9), 2, 2));
        let asked_once = vec![never, made, made];
        assert_eq!(confirmed(asked_once, 9), (refused, 2, 1));
        let alone = Err(ConfigurationError::NoMajority);
        assert_eq!(confirmed(vec![alone], 9), (alone, 1, 1), "nobody can know");
    }

    #[test]
    fn what_is_refused_after_a_conflict_is_refused_by_a_fresh_view() {
        let configuration = Scripted {
            answers: Mutex::new(vec![Err(ConfigurationError::Conflict)]),
            ..Scripted::default()
        };
        let edit = ConfigurationEdit::never_made();
        let made = propose_confirmed(
            &configuration,
            |error| error,
            |view| match view.revision() {
                1 => Ok((vec![edit.clone()], ())),
                _ => Err(ConfigurationError::TooLarge),
            },
        );
        let refused = Poll::Ready(Err(ConfigurationError::TooLarge));
        assert_eq!(
            pin!(made).poll(&mut Context::from_waker(Waker::noop())),
            refused,
            "nothing more is asked"
        );
    }
}
