//! `DescribeEvents` and `DescribeEventCategories`.

use aws::query::Reply;
use types::Timestamp;
use types::calendar::{SECONDS_PER_DAY, days_before, days_in};

use crate::error::DatabasesError;
use crate::events;
use crate::model::SourceType;
use crate::request::{DatabasesRequest, Filters, Paging, list, shown};
use crate::service::Service;
use crate::shapes;

/// Minutes that are shown if a request names no time.
const DEFAULT_MINUTES: u32 = 60;

/// Minutes of the days that events are shown for.
const MAX_MINUTES: u32 = 14 * 1440;

/// Kinds of sources that RDS has events of and that don't happen here.
const OTHER_SOURCES: &[&str] = &[
    "db-security-group",
    "db-cluster-snapshot",
    "custom-engine-version",
    "db-proxy",
    "blue-green-deployment",
    "db-shard-group",
    "zero-etl",
];

/// What a request says of the kind of source; `Some(None)`: one of which nothing happens here.
fn source_type(
    request: &DatabasesRequest<'_>,
) -> Result<Option<Option<SourceType>>, DatabasesError> {
    let Some(text) = request.text("SourceType") else {
        return Ok(None);
    };
    match SourceType::of_name(text) {
        Some(source) => Ok(Some(Some(source))),
        None if OTHER_SOURCES.contains(&text) => Ok(Some(None)),
        None => {
            let text = format!("Invalid source type: {}", shown(text));
            Err(DatabasesError::value(text))
        }
    }
}

/// A time that a request gives, as ISO 8601 has it: `2026-11-28T10:42:38Z`, fractions of a second
/// cut off.
pub(super) fn time(
    request: &DatabasesRequest<'_>,
    name: &str,
) -> Result<Option<Timestamp>, DatabasesError> {
    let Some(text) = request.text(name) else {
        return Ok(None);
    };
    let read = parse(text).map(Some);
    read.ok_or_else(|| {
        let text = format!(
            "Invalid value {} for {name}. It must be ISO 8601",
            shown(text)
        );
        DatabasesError::value(text)
    })
}

fn parse(text: &str) -> Option<Timestamp> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let number = |part: &str| {
        let is_plain = part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u64>().ok().filter(|_| is_plain)
    };
    let date: Vec<&str> = date.split('-').collect();
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    // Three digits of it are milliseconds; what is finer is left out.
    let fraction = format!("{fraction:0<3}");
    let milliseconds = fraction.get(..3).and_then(number)?;
    let time: Vec<&str> = time.split(':').collect();
    let ([year, month, day], [hour, minute, rest @ ..]) = (&date[..], &time[..]) else {
        return None;
    };
    let (year, month, day) = (number(year)?, number(month)?, number(day)?);
    let (hour, minute) = (number(hour)?, number(minute)?);
    let second = match rest {
        [] => 0,
        [second] => number(second)?,
        _ => return None,
    };
    let is_real = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    let seconds = |days: u64| days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
    let days = days_before(year, month, day);
    is_real.then(|| Timestamp(seconds(days) * 1000 + milliseconds))
}

/// `DescribeEvents`: of the last hour, or of the time that is asked for.
pub(crate) async fn describe(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    Filters::of(request, &[])?;
    let paging = Paging::of(request)?;
    let source_type = source_type(request)?;
    let source = request
        .text("SourceIdentifier")
        .map(str::to_ascii_lowercase);
    if source.is_some() && source_type.is_none() {
        let text = "The parameter SourceType must be provided with SourceIdentifier.";
        return Err(DatabasesError::combination(text));
    }
    let categories = list(&request.members(), "EventCategories", "EventCategory")?;
    let now = service.now();
    let minutes = request
        .number("Duration", (1, MAX_MINUTES))?
        .unwrap_or(DEFAULT_MINUTES);
    let span = u64::from(minutes) * 60_000;
    let (start, end) = (time(request, "StartTime")?, time(request, "EndTime")?);
    let (start, end) = match (start, end) {
        (Some(start), Some(end)) => (start, end),
        (Some(start), None) => (start, now),
        (None, end) => {
            let end = end.unwrap_or(now);
            (Timestamp(end.0.saturating_sub(span)), end)
        }
    };
    if start > end {
        let text = "StartTime must not be after EndTime.";
        return Err(DatabasesError::combination(text));
    }
    let mut held = events::held(&*service.view(), now)?;
    held.retain(|(_, event)| {
        event.account == request.account()
            && (start..=end).contains(&event.date)
            && source_type.is_none_or(|asked| asked == Some(event.source_type))
            && source.as_ref().is_none_or(|name| *name == event.source)
            && (categories.is_empty()
                || event
                    .categories
                    .iter()
                    .any(|it| categories.contains(&it.as_str())))
    });
    let mut reply = request.reply();
    let list = ("Events", "Event");
    paging.write(reply.writer(), list, held, |writer, event| {
        events::write(writer, &event)
    });
    Ok(reply)
}

/// `DescribeEventCategories`: of those kinds of sources that things happen to here.
pub(crate) async fn describe_categories(
    _: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    Filters::of(request, &[])?;
    let asked = source_type(request)?;
    let mut reply = request.reply();
    let writer = reply.writer();
    writer.open("EventCategoriesMapList");
    for source in SourceType::ALL {
        if asked.is_some_and(|asked| asked != Some(*source)) {
            continue;
        }
        writer
            .open("EventCategoriesMap")
            .value("SourceType", source);
        let categories = events::categories(*source);
        shapes::texts(writer, "EventCategories", "EventCategory", categories);
        writer.close();
    }
    writer.close();
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_clients_write_them() {
        let read = |text| parse(text).map(|time| time.0);
        assert_eq!(read("1970-01-01T00:00:01Z"), Some(1000));
        assert_eq!(read("2016-03-25T21:26:30.120Z"), Some(1_458_941_190_120));
        assert_eq!(read("2016-03-25T21:26:30.1Z"), Some(1_458_941_190_100));
        assert_eq!(read("2016-03-25T21:26:30.123456Z"), Some(1_458_941_190_123));
        assert_eq!(read("2016-03-25T21:26:30.x2Z"), None);
        assert_eq!(read("2009-07-08T18:00Z"), Some(1_247_076_000_000));
        for text in [
            "",
            "2016-02-30T00:00:00Z",
            "2016-03-25",
            "2016-03-25T24:00Z",
            "1T1Z",
            "é",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
