//! The report as JUnit XML, for what collects test results: one suite, a test case for each
//! expectation and for the steps.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report as Xml, TestCase, TestCaseStatus, TestSuite};

use super::Report;

pub(super) fn write(report: &Report<'_>) -> String {
    let scenario = &report.plan.scenario;
    let mut suite = TestSuite::new(scenario.name.as_str());
    suite.add_property(("seed", scenario.seed.to_string().as_str()));
    suite.add_property(("digest", scenario.digest.as_str()));
    suite.add_property(("version", report.seen.version.as_str()));
    let ended = Duration::from(report.seen.ended);
    suite.set_time(ended);
    let failed = report.failed_steps();
    let status = match failed.is_empty() {
        true => TestCaseStatus::success(),
        false => failure(failed.join("; ")),
    };
    suite.add_test_case(case(scenario, "every step was carried out", status));
    for outcome in &report.outcomes {
        let expectation = &outcome.expectation;
        let measured = outcome.measured.show(expectation.metric.name.unit());
        let status = match outcome.holds {
            true => TestCaseStatus::success(),
            false => failure(format!(
                "expected {}, measured {measured}",
                expectation.text
            )),
        };
        let mut case = case(scenario, &expectation.text, status);
        case.set_system_out(format!("measured {measured}"));
        suite.add_test_case(case);
    }
    suite.set_system_out(report.story().join("\n"));
    let mut xml = Xml::new("causeway gameday");
    xml.set_time(ended);
    xml.add_test_suite(suite);
    xml.to_string()
        .expect("a report in memory can always be written")
}

fn case(scenario: &crate::Scenario, name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(format!("gameday.{}", scenario.name));
    case
}

fn failure(message: String) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(message);
    status
}
