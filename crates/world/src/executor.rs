//! Runs the sites' tasks in one thread, in an order that depends on nothing but what woke them.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use types::SiteId;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The tasks that were woken and not polled since, by number.
type Woken = Arc<Mutex<BTreeSet<u64>>>;

/// A deterministic executor: of the woken tasks, the oldest is polled first.
#[derive(Default)]
pub struct Executor {
    tasks: BTreeMap<u64, (SiteId, Task, Waker)>,
    next: u64,
    woken: Woken,
}

struct WakeTask {
    task: u64,
    woken: Woken,
}

impl Wake for WakeTask {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.lock().expect("no poll panics").insert(self.task);
    }
}

impl Executor {
    /// Adds a task that belongs to a site and dies with it.
    pub fn spawn(&mut self, site: SiteId, task: impl Future<Output = ()> + Send + 'static) {
        let number = self.next;
        self.next += 1;
        let waker = Waker::from(Arc::new(WakeTask {
            task: number,
            woken: self.woken.clone(),
        }));
        self.tasks.insert(number, (site, Box::pin(task), waker));
        self.woken.lock().expect("no poll panics").insert(number);
    }

    /// Drops every task of a site, wherever it stands: its process was killed.
    pub fn kill(&mut self, site: SiteId) {
        self.tasks.retain(|_, (owner, _, _)| *owner != site);
    }

    /// Was a task woken that wasn't polled since?
    pub fn has_woken(&self) -> bool {
        !self.woken.lock().expect("no poll panics").is_empty()
    }

    /// Polls woken tasks, oldest first, until none is left.
    pub fn run_until_stalled(&mut self) {
        loop {
            let task = self.woken.lock().expect("no poll panics").pop_first();
            let Some(number) = task else { return };
            let Some((_, task, waker)) = self.tasks.get_mut(&number) else {
                continue;
            };
            let waker = waker.clone();
            let polled = task.as_mut().poll(&mut Context::from_waker(&waker));
            if let Poll::Ready(()) = polled {
                self.tasks.remove(&number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_dies_with_its_tasks_and_others_go_on() {
        let mut executor = Executor::default();
        let done = Arc::new(Mutex::new(Vec::new()));
        for site in [1, 2] {
            let done = done.clone();
            executor.spawn(SiteId(site), async move {
                futures_util::future::poll_fn(|_| Poll::<()>::Ready(())).await;
                done.lock().unwrap().push(site);
            });
        }
        executor.kill(SiteId(1));
        executor.run_until_stalled();
        assert_eq!(*done.lock().unwrap(), vec![2]);
    }
}
