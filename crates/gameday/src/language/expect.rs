//! `[expect]`: lines such as `rto_s.honours_ttl <= 10`.

use super::problem::nearest;
use super::reading::{Constant, Part, Section};
use super::steps::Placed;
use super::value::{Value, variable_name};
use crate::expectation::{Bound, Comparison, Expectation};
use crate::limits;
use crate::metric::{Metric, MetricName, Vocabulary};
use crate::scenario::{Act, Lab, Load};

/// Reads `[expect]`.
pub(super) fn read(
    root: &Section<'_, '_>,
    lab: Option<&Lab>,
    loads: &[Load],
    steps: &[Placed],
) -> Vec<Expectation> {
    let Some(section) = root.section("expect", "[expect]") else {
        return Vec::new();
    };
    let value = section.required("that", "that = [\"lost_for_good == 0\"]");
    section.check_unknown();
    let Some(items) = value.and_then(|value| value.list(limits::EXPECTATIONS)) else {
        return Vec::new();
    };
    let vocabulary = vocabulary(lab, loads, steps);
    let read = items
        .iter()
        .filter_map(|item| expectation(item, root, &vocabulary));
    read.collect()
}

fn vocabulary(lab: Option<&Lab>, loads: &[Load], steps: &[Placed]) -> Vocabulary {
    let moves = steps.iter().map(|(step, _)| step);
    let moves = moves.filter(|step| matches!(step.act, Act::MoveWriter(_)));
    let mut clients: Vec<String> = loads.iter().map(|load| load.client.label.clone()).collect();
    clients.sort();
    clients.dedup();
    Vocabulary {
        clients,
        loads: loads.iter().map(|load| load.name.clone()).collect(),
        regions: lab.map(|lab| lab.regions.clone()).unwrap_or_default(),
        takeovers: moves.filter_map(|step| step.name.clone()).collect(),
    }
}

const FORM: &str = "write a metric, a comparison and a number: \"rto_s.honours_ttl <= 10\"";

fn expectation(
    item: &Value<'_, '_>,
    root: &Section<'_, '_>,
    known: &Vocabulary,
) -> Option<Expectation> {
    let text = item.text()?;
    let signs = Comparison::ALL.into_iter();
    // The first sign in the text; of two that begin at one place the longer, listed first.
    let found =
        signs.filter_map(|(sign, comparison)| text.find(sign).map(|at| (at, sign, comparison)));
    let Some((at, sign, comparison)) = found.min_by_key(|(at, _, _)| *at) else {
        item.problem(format!("`{text}` compares nothing"), FORM);
        return None;
    };
    let spoilt = [Part::Lab, Part::Loads, Part::Steps]
        .into_iter()
        .any(|part| root.reader.is_spoilt(part));
    let word = text[..at].trim().split('.').next().unwrap_or_default();
    let is_known = MetricName::all().any(|name| name.word() == word);
    let metric = match Metric::parse(text[..at].trim(), known) {
        Ok(metric) => metric,
        Err(_) if is_known && spoilt => return None,
        Err((message, help)) => {
            item.problem(message, help);
            return None;
        }
    };
    let bound = bound(item, text[at + sign.len()..].trim(), root, &metric)?;
    refuse_foregone(item, comparison, bound)?;
    let text = format!("{metric} {comparison} {bound}");
    let line = root.reader.line(&item.place);
    Some(Expectation {
        text,
        metric,
        comparison,
        bound,
        line,
    })
}

/// Refuses what holds, or doesn't, whatever happens: `never` is the greatest value there is.
fn refuse_foregone(item: &Value<'_, '_>, comparison: Comparison, bound: Bound) -> Option<()> {
    let foregone = match (comparison, bound) {
        (Comparison::AtMost, Bound::Never) => "always holds",
        (Comparison::Above, Bound::Never) => "can't hold",
        _ => return Some(()),
    };
    let message = format!("`{comparison} {bound}` {foregone}, whatever happens");
    let help = "write `< never` for what must happen, `== never` for what must not";
    item.problem(message, help);
    None
}

fn bound(
    item: &Value<'_, '_>,
    text: &str,
    root: &Section<'_, '_>,
    metric: &Metric,
) -> Option<Bound> {
    if let Some(name) = variable_name(text) {
        return match root.reader.variable(name, &item.place)? {
            Constant::Whole(number) => Some(Bound::Number(number as f64)),
            Constant::Decimal(number) => Some(Bound::Number(number)),
            Constant::Text(text) if text == "never" => Some(Bound::Never),
            _ => {
                item.problem(format!("`${name}` is no number"), FORM);
                None
            }
        };
    }
    if text == "never" {
        return Some(Bound::Never);
    }
    if let Some(number) = text.parse::<f64>().ok().filter(|number| number.is_finite()) {
        return Some(Bound::Number(number));
    }
    let digits = text.trim_end_matches(|c: char| c.is_alphabetic() || c == '%');
    let help = match (digits.parse::<f64>(), nearest(text, ["never"])) {
        (Ok(_), _) => format!("write {digits}: the unit is in the name of the metric"),
        (_, Some(near)) => format!("did you mean `{near}`?"),
        _ => FORM.to_owned(),
    };
    item.problem(format!("`{metric}` can't be compared with `{text}`"), help);
    None
}
