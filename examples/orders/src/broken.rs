//! Errors on demand, for rehearsals: `POST /broken` has the service answer some requests, or all,
//! by 503 for a while. Each such order has a name and an end; it refuses more than sixteen.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;

/// Orders at once.
const MOST: usize = 16;

/// The longest: a day.
const LONGEST: u64 = 24 * 3600 * 1000;

/// What answers by errors now.
#[derive(Default)]
pub struct Broken(Mutex<Vec<(Instant, Break)>>);

/// An order to fail.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct Break {
    /// Another order of that name takes this one's place.
    name: String,
    /// For how long; 0 ends it.
    milliseconds: u64,
    /// Only requests for that path.
    path: Option<String>,
    /// Only requests whose `User-Agent` has one of these in it; none: all.
    #[serde(default)]
    agents: Vec<String>,
}

impl Broken {
    /// Takes an order. The error is for the sender.
    pub fn take(&self, body: &[u8], now: Instant) -> Result<(), String> {
        let order: Break = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if order.milliseconds > LONGEST {
            return Err(format!("at most {LONGEST} milliseconds"));
        }
        let mut all = self.lock();
        all.retain(|(until, other)| *until > now && other.name != order.name);
        if order.milliseconds == 0 {
            return Ok(());
        }
        if all.len() >= MOST {
            return Err(format!("at most {MOST} at once"));
        }
        all.push((now + Duration::from_millis(order.milliseconds), order));
        Ok(())
    }

    /// Is a request for that path to fail, from whoever says to be that?
    pub fn strikes(&self, path: &str, agent: &str, now: Instant) -> bool {
        let all = self.lock();
        all.iter().any(|(until, order)| {
            let agents = &order.agents;
            *until > now
                && order.path.as_ref().is_none_or(|only| only == path)
                && (agents.is_empty() || agents.iter().any(|word| agent.contains(word.as_str())))
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Instant, Break)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_fail_as_ordered_and_until_then() {
        let broken = Broken::default();
        let begun = Instant::now();
        let after = |milliseconds| begun + Duration::from_millis(milliseconds);
        assert!(!broken.strikes("/orders", "x", begun));
        broken
            .take(
                br#"{"name": "a", "milliseconds": 500, "path": "/health"}"#,
                begun,
            )
            .unwrap();
        assert!(broken.strikes("/health", "x", after(499)));
        assert!(!broken.strikes("/orders", "x", after(10)));
        assert!(!broken.strikes("/health", "x", after(500)));
        let of = br#"{"name": "a", "milliseconds": 500, "agents": ["from b)"]}"#;
        broken.take(of, begun).unwrap();
        assert!(broken.strikes("/orders", "probe (from b)", begun));
        assert!(!broken.strikes("/health", "probe (from a)", begun));
        let end = br#"{"name": "a", "milliseconds": 0}"#;
        broken.take(end, begun).unwrap();
        assert!(!broken.strikes("/orders", "probe (from b)", begun));
    }

    #[test]
    fn what_is_no_order_to_fail_is_refused() {
        let broken = Broken::default();
        let now = Instant::now();
        for wrong in [
            "",
            "[]",
            r#"{"name": "a"}"#,
            r#"{"name": "a", "milliseconds": 86400001}"#,
        ] {
            assert!(broken.take(wrong.as_bytes(), now).is_err(), "{wrong}");
        }
        for number in 0..MOST {
            let order = format!(r#"{{"name": "{number}", "milliseconds": 1000}}"#);
            broken.take(order.as_bytes(), now).unwrap();
        }
        let more = br#"{"name": "more", "milliseconds": 1000}"#;
        assert!(broken.take(more, now).is_err());
    }
}
