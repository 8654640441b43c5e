//! Whether a site announces its addresses: what it sees of itself and of others goes in, what is to
//! be told to the router comes out. Pure: no clock, no socket.
//!
//! A site withdraws only because it can't serve itself or its edge is drained, never because it
//! hears nobody else, and not while fewer than so many others are seen to serve: when all fail the
//! same check, they all stay.

use types::{Monotonic, Span};

/// By what it is decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// So many failures in a row are an inability to serve.
    pub failures: u32,
    /// So many other sites must be seen to serve for this one to withdraw.
    pub minimum_others: usize,
    /// How long it must have served since it was withdrawn to be announced again; with each further
    /// withdrawal twice as long ...
    pub settle: Span,
    /// ... but no longer than this ...
    pub settle_most: Span,
    /// ... until it was announced for so long without another.
    pub calm: Span,
}

/// What is seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// This site serves.
    pub serving: bool,
    /// So many others do.
    pub others: usize,
    /// Its edge shall be given nothing new, if that is so.
    pub drain: Option<Drain>,
}

/// How an edge is drained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Drain {
    /// If others are there.
    Asked,
    /// Also with nobody else there.
    Forced,
}

/// What the router is to be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// Clients may come here.
    Announced,
    /// They may not.
    Withdrawn,
}

/// Why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// It serves.
    Serves,
    /// It failed so often in a row, which may be nothing.
    Failing(u32),
    /// It doesn't serve, but only so many others do: it stays as it is.
    TooFewOthers(usize),
    /// It doesn't serve.
    Fails,
    /// It serves again, and must do so for that long yet.
    Settles(Span),
    /// Its edge is drained.
    Drains,
    /// Its edge shall be drained, but only so many others serve: it stays as it is.
    DrainsAlone(usize),
}

/// What is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// What the router is to be told; nothing as long as too little was seen since the start.
    pub wanted: Option<Wanted>,
    /// Why.
    pub why: Why,
}

/// Decides for one site.
#[derive(Clone, Debug)]
pub struct Decider {
    rules: Rules,
    wanted: Option<Wanted>,
    /// It was withdrawn for the drain that there is: it stays so, whatever becomes of others.
    drained: bool,
    failed: u32,
    serving_since: Option<Monotonic>,
    withdrawals: u32,
    withdrawn: Monotonic,
}

impl Decider {
    /// One that has seen nothing.
    pub fn new(rules: Rules) -> Decider {
        Decider {
            rules,
            wanted: None,
            drained: false,
            failed: 0,
            serving_since: None,
            withdrawals: 0,
            withdrawn: Monotonic(0),
        }
    }

    /// Before anything was seen: it stands beside an edge that it had withdrawn for its drain.
    pub fn found_drained(&mut self) {
        self.drained = true;
    }

    /// What is to be after this was seen.
    pub fn step(&mut self, now: Monotonic, seen: Seen) -> Verdict {
        if now - self.withdrawn >= self.rules.calm {
            let is_withdrawn = self.wanted == Some(Wanted::Withdrawn);
            self.withdrawals = self.withdrawals.min(u32::from(is_withdrawn));
        }
        let may_drain = seen.others >= self.rules.minimum_others;
        self.drained = match seen.drain {
            Some(Drain::Forced) => true,
            Some(Drain::Asked) => self.drained || may_drain,
            None => false,
        };
        let why = match seen.serving {
            _ if self.drained => self.drains(now, seen.serving),
            true => self.serves(now, seen.others),
            false => self.fails(now, seen.others),
        };
        let why = match seen.drain {
            Some(_) if !self.drained => Why::DrainsAlone(seen.others),
            _ => why,
        };
        let wanted = self.wanted;
        Verdict { wanted, why }
    }

    fn serves(&mut self, now: Monotonic, others: usize) -> Why {
        self.failed = 0;
        let since = *self.serving_since.get_or_insert(now);
        let settled = since + self.settle();
        // Where others serve meanwhile there is no haste.
        let must_settle = others >= self.rules.minimum_others;
        if self.wanted == Some(Wanted::Withdrawn) && must_settle && now < settled {
            return Why::Settles(settled - now);
        }
        self.wanted = Some(Wanted::Announced);
        Why::Serves
    }

    /// Nobody's failure: nothing is damped afterwards, if it has served meanwhile.
    fn drains(&mut self, now: Monotonic, is_serving: bool) -> Why {
        self.wanted = Some(Wanted::Withdrawn);
        match is_serving {
            true => {
                self.failed = 0;
                self.serving_since.get_or_insert(now);
            }
            false => {
                self.failed = self.failed.saturating_add(1);
                self.serving_since = None;
            }
        }
        Why::Drains
    }

    fn fails(&mut self, now: Monotonic, others: usize) -> Why {
        self.serving_since = None;
        self.failed = self.failed.saturating_add(1);
        if self.wanted == Some(Wanted::Withdrawn) {
            return Why::Fails;
        }
        if self.failed < self.rules.failures {
            return Why::Failing(self.failed);
        }
        if others < self.rules.minimum_others {
            return Why::TooFewOthers(others);
        }
        // Before it has ever served there is nothing to be damped.
        if self.wanted == Some(Wanted::Announced) {
            self.withdrawals = self.withdrawals.saturating_add(1);
            self.withdrawn = now;
        }
        self.wanted = Some(Wanted::Withdrawn);
        Why::Fails
    }

    fn settle(&self) -> Span {
        let Some(doublings) = self.withdrawals.checked_sub(1) else {
            return Span::ZERO;
        };
        let factor = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
        let span = Span(self.rules.settle.0.saturating_mul(factor));
        span.min(self.rules.settle_most)
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Why::Serves => f.write_str("it serves"),
            Why::Failing(times) => write!(f, "it failed {times} times in a row"),
            Why::TooFewOthers(others) => write!(
                f,
                "it doesn't serve, but only {others} other sites are seen to: it stays"
            ),
            Why::Fails => f.write_str("it doesn't serve"),
            Why::Settles(left) => {
                let seconds = left.as_milliseconds() / 1000.0;
                write!(f, "it serves again, and must for {seconds:.1} s yet")
            }
            Why::Drains => f.write_str("its edge is drained"),
            Why::DrainsAlone(others) => write!(
                f,
                "its edge shall be drained, but only {others} other sites are seen to serve: it \
                 stays"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        failures: 3,
        minimum_others: 1,
        settle: Span::seconds(5),
        settle_most: Span::seconds(60),
        calm: Span::seconds(600),
    };

    const SERVES: Seen = Seen {
        serving: true,
        others: 2,
        drain: None,
    };

    const FAILS: Seen = Seen {
        serving: false,
        others: 2,
        drain: None,
    };

    /// A decider and its clock.
    struct Stand(Decider, u64);

    impl Stand {
        fn new() -> Stand {
            Stand(Decider::new(RULES), 1_000_000_000)
        }

        /// Sees that, so often, a second apart.
        fn see(&mut self, times: usize, seen: Seen) -> Verdict {
            let mut last = None;
            for _ in 0..times {
                self.1 += 1_000_000;
                last = Some(self.0.step(Monotonic(self.1), seen));
            }
            last.unwrap()
        }
    }

    #[test]
    fn it_is_announced_once_it_serves_and_withdrawn_after_so_many_failures_in_a_row() {
        let mut stand = Stand::new();
        assert_eq!(stand.see(1, FAILS).wanted, None);
        assert_eq!(stand.see(1, SERVES).wanted, Some(Wanted::Announced));
        for _ in 0..5 {
            assert_eq!(stand.see(2, FAILS).why, Why::Failing(2));
            assert_eq!(stand.see(1, SERVES).wanted, Some(Wanted::Announced));
        }
        assert_eq!(stand.see(3, FAILS).wanted, Some(Wanted::Withdrawn));
    }

    #[test]
    fn before_it_has_served_it_is_withdrawn_and_then_announced_at_once() {
        let mut stand = Stand::new();
        assert_eq!(stand.see(3, FAILS).wanted, Some(Wanted::Withdrawn));
        assert_eq!(stand.see(1, SERVES).wanted, Some(Wanted::Announced));
    }

    #[test]
    fn it_stays_while_too_few_others_are_seen_to_serve() {
        let alone = Seen { others: 0, ..FAILS };
        let mut stand = Stand::new();
        stand.see(1, SERVES);
        let verdict = stand.see(100, alone);
        assert_eq!(verdict.wanted, Some(Wanted::Announced));
        assert_eq!(verdict.why, Why::TooFewOthers(0));
        assert_eq!(stand.see(1, FAILS).wanted, Some(Wanted::Withdrawn));
        // What is withdrawn, and is all that's left, waits for nothing once it serves.
        let alone = Seen {
            others: 0,
            ..SERVES
        };
        assert_eq!(stand.see(1, alone).wanted, Some(Wanted::Announced));
    }

    #[test]
    fn hearing_nobody_is_no_reason_to_withdraw() {
        let mut stand = Stand::new();
        let alone = Seen {
            others: 0,
            ..SERVES
        };
        assert_eq!(stand.see(1000, alone).wanted, Some(Wanted::Announced));
    }

    #[test]
    fn each_further_withdrawal_takes_twice_as_long_to_settle_until_it_is_calm() {
        let mut stand = Stand::new();
        stand.see(1, SERVES);
        for seconds in [5, 10, 20, 40, 60, 60] {
            stand.see(3, FAILS);
            let first = stand.see(1, SERVES);
            assert_eq!(first.why, Why::Settles(Span::seconds(seconds)));
            // A failure meanwhile begins it anew.
            stand.see(1, FAILS);
            let settling = stand.see(seconds as usize, SERVES);
            assert_eq!(settling.wanted, Some(Wanted::Withdrawn));
            assert_eq!(stand.see(1, SERVES).wanted, Some(Wanted::Announced));
        }
        stand.see(700, SERVES);
        stand.see(3, FAILS);
        assert_eq!(stand.see(1, SERVES).why, Why::Settles(Span::seconds(5)));
    }

    #[test]
    fn one_that_flaps_is_announced_ever_more_rarely() {
        let mut stand = Stand::new();
        let mut announced = 0;
        let mut before = None;
        for second in 0..600 {
            let seen = if second / 6 % 2 == 0 { SERVES } else { FAILS };
            let wanted = stand.see(1, seen).wanted;
            announced += usize::from(wanted == Some(Wanted::Announced) && wanted != before);
            before = wanted;
        }
        assert_eq!(announced, 2, "the first, and after five seconds once more");
    }

    #[test]
    fn a_drained_edge_is_withdrawn_at_once_and_announced_at_once_when_that_is_over() {
        let drains = Seen {
            drain: Some(Drain::Asked),
            ..SERVES
        };
        let mut stand = Stand::new();
        stand.see(1, SERVES);
        let verdict = stand.see(1, drains);
        assert_eq!(verdict.wanted, Some(Wanted::Withdrawn));
        assert_eq!(verdict.why, Why::Drains);
        // It stays so though others fail, and itself.
        let alone = Seen {
            others: 0,
            ..drains
        };
        assert_eq!(stand.see(50, alone).wanted, Some(Wanted::Withdrawn));
        let fails = Seen {
            drain: drains.drain,
            ..FAILS
        };
        assert_eq!(stand.see(9, fails).why, Why::Drains);
        // After it, one that fails isn't announced, and one that serves is, with nothing damped.
        assert_eq!(stand.see(1, FAILS).wanted, Some(Wanted::Withdrawn));
        assert_eq!(stand.see(1, SERVES).wanted, Some(Wanted::Announced));
    }

    #[test]
    fn with_too_few_others_only_a_forced_drain_withdraws() {
        let asked = Seen {
            others: 0,
            drain: Some(Drain::Asked),
            ..SERVES
        };
        let mut stand = Stand::new();
        stand.see(1, SERVES);
        let verdict = stand.see(20, asked);
        assert_eq!(verdict.wanted, Some(Wanted::Announced));
        assert_eq!(verdict.why, Why::DrainsAlone(0));
        let forced = Seen {
            drain: Some(Drain::Forced),
            ..asked
        };
        assert_eq!(stand.see(1, forced).wanted, Some(Wanted::Withdrawn));
        // An announcer that starts beside a drained edge announces nothing.
        let mut stand = Stand::new();
        assert_eq!(stand.see(1, forced).wanted, Some(Wanted::Withdrawn));
        // Neither beside one that it had withdrawn, though fewer are in sight now.
        let mut stand = Stand::new();
        stand.0.found_drained();
        assert_eq!(stand.see(9, asked).wanted, Some(Wanted::Withdrawn));
        let alone = Seen {
            drain: None,
            ..asked
        };
        assert_eq!(stand.see(1, alone).wanted, Some(Wanted::Announced));
    }
}
