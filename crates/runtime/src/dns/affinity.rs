//! Which processor a thread runs on. Only of use where there is more than one.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The processors that this process may use.
pub(super) fn allowed() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(None) else {
        return Vec::new();
    };
    (0..CpuSet::MAX_CPU)
        .filter(|cpu| set.is_set(*cpu))
        .collect()
}

/// Keeps the calling thread on the `turn`-th of these processors, going round. It runs anywhere
/// if there is but one, or the system refuses.
pub(super) fn pin(allowed: &[usize], turn: usize) {
    if allowed.len() < 2 {
        return;
    }
    let mut set = CpuSet::new();
    set.set(allowed[turn % allowed.len()]);
    if let Err(cause) = sched_setaffinity(None, &set) {
        tracing::warn!(%cause, turn, "a DNS thread can't be kept on one processor");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_stays_on_its_processor() {
        let before = allowed();
        assert!(!before.is_empty());
        let wanted = before[1 % before.len()];
        let after = std::thread::spawn(move || {
            pin(&before, 1);
            allowed()
        });
        assert_eq!(after.join().unwrap()[..1], [wanted]);
    }
}
