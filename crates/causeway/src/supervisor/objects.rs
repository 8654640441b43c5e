//! What all Regions say of their objects, as one answer: versions that lost, and figures.

use std::collections::BTreeMap;

use region::LostObjects;
use serde_json::{Value, json};

use super::Supervisor;
use super::execute::no_answer;
use crate::failure::Failure;
use crate::protocol::Question;

/// The greatest number of rows that may be asked of a Region.
const MAXIMUM_LIMIT: u32 = 10_000;

impl Supervisor {
    /// Versions that lost, Region by Region; a conflict that several have found is there as often.
    pub(super) async fn lost_objects(&self, limit: u32) -> Result<Value, Failure> {
        if !(1..=MAXIMUM_LIMIT).contains(&limit) {
            return Err(Failure::wrong_use(format!(
                "from 1 to {MAXIMUM_LIMIT} rows can be asked for"
            )));
        }
        let question = Question::LostObjects { after: None, limit };
        let (answers, silent) = self.heard(&question).await;
        if answers.is_empty() {
            return Err(no_answer());
        }
        let (mut rows, mut more) = (Vec::new(), false);
        for (_, answer) in answers {
            let page: LostObjects =
                serde_json::from_value(answer).map_err(Failure::did_not_hold)?;
            more |= page.next.is_some();
            rows.extend(page.rows);
        }
        Ok(json!({ "objects": rows, "more": more, "silent": silent }))
    }

    /// The Regions' and the edges' figures in Prometheus' text format, as `text`.
    pub(super) async fn metrics(&self) -> Result<Value, Failure> {
        let (mut answers, mut silent) = self.heard(&Question::Metrics).await;
        if answers.is_empty() {
            return Err(no_answer());
        }
        let (edges, unheard) = self.heard_of_edges(&Question::Metrics).await;
        answers.extend(edges);
        silent.extend(unheard);
        let texts = answers.iter().filter_map(|(_, answer)| answer.as_str());
        Ok(json!({ "text": merged(texts), "silent": silent }))
    }
}

/// Several texts as one: a metric's lines stand together, below its description, which is told
/// once.
fn merged<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut families: BTreeMap<&str, (Vec<&str>, Vec<&str>)> = BTreeMap::new();
    for text in texts {
        let mut is_known = false;
        for line in text.lines() {
            let rest = line
                .strip_prefix("# HELP ")
                .or(line.strip_prefix("# TYPE "));
            let name = match rest {
                Some(rest) => rest.split(' ').next().unwrap_or_default(),
                None => line.split(['{', ' ']).next().unwrap_or_default(),
            };
            if line.starts_with("# HELP ") {
                is_known = families.contains_key(name);
            }
            let (described, samples) = families.entry(name).or_default();
            match rest {
                Some(_) if is_known => {}
                Some(_) => described.push(line),
                None => samples.push(line),
            }
        }
    }
    let mut text = String::new();
    for (described, samples) in families.into_values() {
        for line in described.into_iter().chain(samples) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_of_several_regions_is_described_once() {
        let text = |bucket: &str| {
            format!(
                "# HELP b Later.\n# TYPE b gauge\nb{{x=\"{bucket}\"}} 1\n\
                 # HELP a First.\n# TYPE a counter\na 2\n"
            )
        };
        let texts = [text("one"), text("two")];
        let expected = "# HELP a First.\n# TYPE a counter\na 2\na 2\n\
                        # HELP b Later.\n# TYPE b gauge\nb{x=\"one\"} 1\nb{x=\"two\"} 1\n";
        assert_eq!(merged(texts.iter().map(String::as_str)), expected);
    }
}
