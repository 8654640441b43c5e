//! The conflict ledgers of all Regions as one: listed page by page, one row looked up, one
//! restored.
//!
//! A row that several Regions have stands where its latest detection puts it. Each Region lists
//! its own rows in that order; what is not known to be complete (rows older than the last of a
//! Region that has more) waits for the next page.

use std::collections::{BTreeMap, BTreeSet};

use runtime::CallError;
use serde_json::{Value, json};
use tables::{ConflictCursor, ConflictId};
use types::{SiteName, Timestamp};

use super::Supervisor;
use super::execute::QUESTION_WAIT;
use crate::failure::Failure;
use crate::listing::PageStart;
use crate::protocol::{LedgerPage, Question, SiteCommand};

/// The greatest number of rows that one page may be asked to have.
const MAXIMUM_LIMIT: u32 = 10_000;

/// Bytes of rows beyond which a page ends early: images are large, and an answer is held whole.
const PAGE_BYTES: usize = 32 << 20;

/// When a row was found, and its id: rows are listed from the greatest to the least.
type Position = (u64, ConflictId);

/// A row of the ledger where it belongs.
type Row = (Position, Value);

/// When each Region that answered found each row.
type Detections = BTreeMap<SiteName, BTreeMap<String, u64>>;

impl Supervisor {
    /// A page of the ledgers as one, the latest found first. A conflict that several Regions have
    /// found is one row, with all of them in `regions`.
    pub(super) async fn conflicts(
        &self,
        table: Option<String>,
        start: Option<PageStart>,
        limit: u32,
    ) -> Result<Value, Failure> {
        if !(1..=MAXIMUM_LIMIT).contains(&limit) {
            return Err(Failure::wrong_use(format!(
                "a page has from 1 to {MAXIMUM_LIMIT} rows"
            )));
        }
        let limit_of_rows = limit as usize;
        let mut listing = Listing::new(start);
        let mut rows: Vec<Row> = Vec::new();
        let mut bytes = 0;
        let more = loop {
            let question = Question::Conflicts {
                table: table.clone(),
                after: listing.after.map(|cursor| cursor.to_string()),
                limit,
            };
            let pages = self.hear(&question, &mut listing.silent).await;
            if pages.is_empty() {
                return Err(listing.nobody());
            }
            let (candidates, boundary) = listing.merge(pages)?;
            let ids = candidates.iter().map(|((_, id), _)| id.to_string());
            let question = Question::Detections { ids: ids.collect() };
            let detections = self.hear(&question, &mut listing.silent).await;
            let kept = listing.keep(candidates, &detections.into_iter().collect());
            bytes += kept
                .iter()
                .map(|(_, row)| row.to_string().len())
                .sum::<usize>();
            rows.extend(kept);
            let is_full = rows.len() >= limit_of_rows || bytes >= PAGE_BYTES;
            match boundary {
                Some(boundary) if !is_full => listing.after = Some(cursor(boundary)),
                Some(_) => break true,
                None => break rows.len() > limit_of_rows,
            }
        };
        rows.truncate(limit_of_rows);
        let last = rows.last().map(|(at, _)| *at);
        Ok(listing.answer(rows, last.filter(|_| more)))
    }

    /// The answers of the Regions, read; who gave none is noted with the reason.
    async fn hear<T: serde::de::DeserializeOwned>(
        &self,
        question: &Question,
        silent: &mut BTreeMap<SiteName, String>,
    ) -> Vec<(SiteName, T)> {
        let mut heard = Vec::new();
        for (region, answer) in self.ask_regions(question, QUESTION_WAIT).await {
            let answer = answer.map_err(|cause| cause.to_string());
            match answer.and_then(|a| serde_json::from_value(a).map_err(|c| c.to_string())) {
                Ok(answer) => heard.push((region, answer)),
                Err(reason) => drop(silent.insert(region, reason)),
            }
        }
        heard
    }

    /// One row, with the Region that has it.
    pub(super) async fn conflict(&self, id: &str) -> Result<Value, Failure> {
        let id = parse(id)?;
        let question = Question::Conflict { id: id.to_string() };
        self.find(id, question).await
    }

    /// Writes once more what lost there.
    pub(super) async fn restore(&self, id: &str) -> Result<Value, Failure> {
        let id = parse(id)?;
        let question = Question::Restore { id: id.to_string() };
        self.find(id, question).await
    }

    /// The first Region's answer that isn't null, with the Region's name as `region`. One after
    /// the other: a restore is to happen once.
    async fn find(&self, id: ConflictId, question: Question) -> Result<Value, Failure> {
        let is_restore = matches!(question, Question::Restore { .. });
        let mut silent = Vec::new();
        let mut failed = None;
        let sites = self.lab.settings.sites.iter();
        for site in sites.filter(|site| site.name.region().is_some()) {
            let question = question.clone();
            let command = SiteCommand::Ask { question };
            match self.slots[&site.name].call(&command, QUESTION_WAIT).await {
                Ok(Value::Null) => {}
                Ok(mut found) => {
                    if let Value::Object(row) = &mut found {
                        row.insert("region".to_owned(), json!(site.name));
                    }
                    return Ok(found);
                }
                Err(CallError::Failed(why)) => failed = Some(why),
                // Whether it has carried it out is unknown: nobody else may do it as well.
                Err(CallError::TimedOut(_)) if is_restore => {
                    let name = site.name;
                    let failure = Failure::did_not_hold(format!("{name} did not answer in time"));
                    return Err(failure.then(format!("look whether it has restored {id}")));
                }
                Err(cause) => silent.push(format!("{} ({cause})", site.name)),
            }
        }
        if let Some(why) = failed {
            return Err(Failure::did_not_hold(why));
        }
        let mut message = format!("no such conflict: no Region's ledger has {id}");
        if !silent.is_empty() {
            message = format!("{message} (not asked: {})", silent.join(", "));
        }
        Err(Failure::did_not_hold(message).then("`causeway conflicts list` shows those there are"))
    }
}

fn parse(id: &str) -> Result<ConflictId, Failure> {
    id.parse()
        .map_err(|cause: tables::NoConflictId| Failure::wrong_use(cause))
}

fn cursor((detected_at, id): Position) -> ConflictCursor {
    ConflictCursor {
        detected_at: Timestamp(detected_at),
        id,
    }
}

fn position(row: &Value) -> Option<Position> {
    let id = row["id"].as_str()?.parse().ok()?;
    Some((row["detectedAt"].as_u64()?, id))
}

/// A listing that is being put together.
struct Listing {
    after: Option<ConflictCursor>,
    newest: Option<u64>,
    silent: BTreeMap<SiteName, String>,
    /// Rows in each Region's ledger, and rows dropped there.
    ledgers: BTreeMap<SiteName, (u64, u64)>,
}

impl Listing {
    fn new(start: Option<PageStart>) -> Listing {
        Listing {
            after: start.map(|start| start.after),
            newest: start.map(|start| start.newest.0),
            silent: BTreeMap::new(),
            ledgers: BTreeMap::new(),
        }
    }

    /// The rows of the Regions' pages, the latest first, each id once, as far as all of them are
    /// known; and how far that is, if it isn't to the end.
    fn merge(
        &mut self,
        pages: Vec<(SiteName, LedgerPage)>,
    ) -> Result<(Vec<Row>, Option<Position>), Failure> {
        let mut boundary = None;
        let mut rows = Vec::new();
        for (region, page) in pages {
            self.ledgers.insert(region, (page.held, page.dropped));
            let more = page.more;
            let before = rows.len();
            for row in page.rows {
                let at = position(&row).ok_or_else(|| {
                    Failure::did_not_hold(format!("{region} listed a row without id and time"))
                })?;
                rows.push((at, row));
            }
            if let Some((last, _)) = rows[before..].last().filter(|_| more) {
                boundary = boundary.max(Some(*last));
            }
        }
        rows.retain(|(at, _)| boundary.is_none_or(|boundary| *at >= boundary));
        rows.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        let mut seen = BTreeSet::new();
        rows.retain(|((_, id), _)| seen.insert(*id));
        Ok((rows, boundary))
    }

    /// Drops what an earlier page had, since another Region found it later than this one; says
    /// of the rest which Regions have it.
    fn keep(&mut self, candidates: Vec<Row>, detections: &Detections) -> Vec<Row> {
        let first = candidates.first().map(|((at, _), _)| *at);
        self.newest = self.newest.or(first);
        let newest = self.newest.unwrap_or(u64::MAX);
        let mut kept = Vec::new();
        for (at, mut row) in candidates {
            let id = at.1.to_string();
            let found = detections
                .iter()
                .filter_map(|(region, found)| Some((region, *found.get(&id)?)));
            if found.clone().any(|(_, time)| time > at.0 && time <= newest) {
                continue;
            }
            let mut regions: Vec<Value> = found.map(|(region, _)| json!(region)).collect();
            if regions.is_empty() {
                regions.push(row["detectedIn"].clone());
            }
            row["regions"] = Value::Array(regions);
            kept.push((at, row));
        }
        kept
    }

    fn answer(&self, rows: Vec<Row>, goes_on_after: Option<Position>) -> Value {
        let next = goes_on_after
            .zip(self.newest)
            .map(|(last, newest)| PageStart {
                after: cursor(last),
                newest: Timestamp(newest),
            });
        let rows: Vec<Value> = rows.into_iter().map(|(_, row)| row).collect();
        let silent = self.silent.iter();
        let silent = silent.map(|(region, reason)| json!({ "region": region, "reason": reason }));
        let ledgers = self.ledgers.iter().map(|(region, (held, dropped))| {
            json!({ "region": region, "rows": held, "dropped": dropped })
        });
        json!({
            "conflicts": rows,
            "more": next.is_some(),
            "next": next,
            "ledgers": ledgers.collect::<Vec<_>>(),
            "silent": silent.collect::<Vec<_>>(),
        })
    }

    fn nobody(&self) -> Failure {
        let silent = self.silent.iter();
        let reasons = silent.map(|(region, reason)| format!("{region}: {reason}"));
        let reasons: Vec<String> = reasons.collect();
        Failure::did_not_hold(format!("no Region answered ({})", reasons.join(", ")))
            .then("`causeway status` shows how they are")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(name: &str) -> SiteName {
        name.parse().unwrap()
    }

    /// What the Regions' ledgers have: times and ids, in any order.
    type Ledgers<'a> = [(&'a str, &'a [(u64, u128)])];

    /// One Region's page as it would answer.
    fn page(rows: &[(u64, u128)], after: Option<ConflictCursor>, limit: usize) -> LedgerPage {
        let after = after.map(|after| (after.detected_at.0, u128::from_be_bytes(after.id.0)));
        let mut rows: Vec<_> = rows.to_vec();
        rows.retain(|row| after.is_none_or(|after| *row < after));
        rows.sort_by_key(|row| std::cmp::Reverse(*row));
        let more = rows.len() > limit;
        rows.truncate(limit);
        let rows = rows.into_iter();
        let rows = rows.map(|(at, id)| json!({ "id": format!("{id:032x}"), "detectedAt": at }));
        LedgerPage {
            rows: rows.collect(),
            more,
            held: 0,
            dropped: 0,
        }
    }

    fn detections(ledgers: &Ledgers<'_>) -> Detections {
        let of = |rows: &[(u64, u128)]| {
            rows.iter()
                .map(|(at, id)| (format!("{id:032x}"), *at))
                .collect()
        };
        let ledgers = ledgers.iter().map(|(name, rows)| (site(name), of(rows)));
        ledgers.collect()
    }

    /// All pages of a listing, one after the other: the ids, and the Regions of each.
    fn walk(ledgers: &Ledgers<'_>, limit: usize) -> Vec<(u128, usize)> {
        let mut listing = Listing::new(None);
        let mut listed = Vec::new();
        loop {
            let after = listing.after;
            let pages = ledgers.iter();
            let pages = pages.map(|(name, rows)| (site(name), page(rows, after, limit)));
            let (candidates, boundary) = listing.merge(pages.collect()).unwrap();
            let kept = listing.keep(candidates, &detections(ledgers));
            listed.extend(kept.iter().map(|((_, id), row)| {
                (
                    u128::from_be_bytes(id.0),
                    row["regions"].as_array().unwrap().len(),
                )
            }));
            match boundary {
                Some(boundary) => listing.after = Some(cursor(boundary)),
                None => return listed,
            }
        }
    }

    #[test]
    fn pages_have_every_row_once_where_it_was_found_last() {
        // 5 is found in both, much later in the second; 6 and 7 at one moment.
        let ledgers: &Ledgers<'_> = &[
            ("us-east-1", &[(10, 1), (20, 5), (30, 2), (40, 3), (50, 6)]),
            ("eu-west-1", &[(15, 4), (45, 5), (50, 7), (50, 6), (5, 8)]),
        ];
        let expected = [
            (7, 1),
            (6, 2),
            (5, 2),
            (3, 1),
            (2, 1),
            (4, 1),
            (1, 1),
            (8, 1),
        ];
        for limit in 1..10 {
            assert_eq!(walk(ledgers, limit), expected, "{limit} a page");
        }
        assert_eq!(walk(&[("us-east-1", &[])], 3), []);
    }

    #[test]
    fn what_is_found_during_a_listing_hides_nothing_of_it() {
        let mut listing = Listing::new(None);
        let before: &Ledgers<'_> = &[("us-east-1", &[(10, 1), (20, 2)]), ("eu-west-1", &[])];
        let pages = before
            .iter()
            .map(|(name, rows)| (site(name), page(rows, None, 1)));
        let (candidates, boundary) = listing.merge(pages.collect()).unwrap();
        let kept = listing.keep(candidates, &detections(before));
        assert_eq!(kept.len(), 1);
        let answer = listing.answer(kept, boundary);
        assert_eq!(answer["more"], true);
        let next: PageStart = serde_json::from_value(answer["next"].clone()).unwrap();

        let after: &Ledgers<'_> = &[
            ("us-east-1", &[(10, 1), (20, 2)]),
            ("eu-west-1", &[(30, 1)]),
        ];
        let mut listing = Listing::new(Some(next));
        let start = listing.after;
        let pages = after
            .iter()
            .map(|(name, rows)| (site(name), page(rows, start, 1)));
        let (candidates, boundary) = listing.merge(pages.collect()).unwrap();
        assert_eq!(boundary, None);
        let kept = listing.keep(candidates, &detections(after));
        assert_eq!(
            kept.len(),
            1,
            "the row that is found anew elsewhere is listed all the same"
        );
        let answer = listing.answer(kept, boundary);
        assert_eq!(
            (&answer["more"], &answer["next"]),
            (&json!(false), &Value::Null)
        );
    }
}
