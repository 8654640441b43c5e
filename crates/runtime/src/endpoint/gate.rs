//! What holds back a server's answers: while it is shut nothing that the server says is passed on,
//! an acknowledged commit say, and no session begins. What waits is what sockets hold: the server
//! itself waits when they are full. Who shuts and opens it decides elsewhere.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;

use tokio::sync::watch;

/// A gate that answers pass, of all the endpoints of one server. It is open at first.
#[derive(Debug, Default)]
pub struct AnswerGate {
    shut: watch::Sender<bool>,
}

impl AnswerGate {
    /// Shuts or opens it; true: it wasn't that before.
    pub fn set(&self, shut: bool) -> bool {
        self.shut
            .send_if_modified(|is| std::mem::replace(is, shut) != shut)
    }

    /// Is it shut now?
    pub fn is_shut(&self) -> bool {
        *self.shut.borrow()
    }

    /// Waits until it is open.
    pub(super) async fn opened(&self) {
        let mut news = self.shut.subscribe();
        let opened = news.wait_for(|shut| !shut).await;
        opened.expect("the sender is this gate's own");
    }
}

/// A session that asks a gate at each of its turns.
pub(super) struct Held<'g> {
    gate: Option<&'g AnswerGate>,
    /// That it opens, while it is waited for.
    opening: Option<Pin<Box<dyn Future<Output = ()> + Send + 'g>>>,
}

impl<'g> Held<'g> {
    /// By that gate, if there is one.
    pub(super) fn new(gate: Option<&'g AnswerGate>) -> Held<'g> {
        Held {
            gate,
            opening: None,
        }
    }

    /// Are answers held back now? If so the task is woken when they no longer are.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(gate) = self.gate else {
            return false;
        };
        loop {
            if self.opening.is_none() && !gate.is_shut() {
                return false;
            }
            let opening = self.opening.get_or_insert_with(|| Box::pin(gate.opened()));
            if opening.as_mut().poll(cx).is_pending() {
                return true;
            }
            // It may be shut again by now.
            self.opening = None;
        }
    }
}
