//! What this site would answer, asked from within: the addresses of an endpoint that a health
//! check has by name alone, `TestDNSAnswer`, and explanations. Only the deployment's own zones are
//! looked into and nobody outside is asked, so a health check can't be used to look up other
//! networks' names.

use std::net::Ipv4Addr;

use routing::{
    AnswerContext, Explanation, Inquiry, Name, RecordKind, SmallRandom, TestAnswer, TestQuestion,
};
use store::Engine;
use types::Place;

use crate::steering::Steering;

impl<E: Engine> Steering<E> {
    /// Every step of the answer to that question.
    pub fn explain(&self, inquiry: &Inquiry) -> Explanation {
        let snapshot = self.node.snapshot();
        let context = AnswerContext {
            board: self.node.board(),
            locator: self.node.locator(),
        };
        let mut random = SmallRandom::new(self.environment.random());
        snapshot.explain(inquiry, &context, &mut random)
    }

    /// What a DNS node would answer.
    pub fn test_answer(&self, question: &TestQuestion) -> TestAnswer {
        TestAnswer::of(question, &self.explain(&question.inquiry()))
    }

    /// The IPv4 addresses of that name, as this site's own neighbours would be told; none if no
    /// zone has any.
    pub(crate) fn addresses_of(&self, name: &str) -> Vec<Ipv4Addr> {
        let Ok(name) = Name::parse(name) else {
            return Vec::new();
        };
        let explanation = self.explain(&Inquiry {
            name,
            kind: RecordKind::A,
            source: Place(self.site.place).address(1).into(),
            subnet: None,
        });
        let records = explanation.answer.into_iter();
        let records = records.filter(|record| record.kind == RecordKind::A);
        records
            .filter_map(|record| record.value.parse().ok())
            .collect()
    }
}
