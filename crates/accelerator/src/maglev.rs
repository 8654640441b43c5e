//! The table by which a group's flows are spread over its endpoints: Maglev's consistent hashing
//! (Eisenbud et al., NSDI 2016, section 3.4), with weights by turns. It knows nothing of health:
//! an endpoint that fails keeps its rows, so that its flows come back to it alone.

use crate::choose::hash::{below, draw};

/// Rows of a table: a prime, as Maglev wants it. Not by the number of members: a table of another
/// size would move nearly every flow. The least share of 256ths has 64 of them.
pub(crate) const ROWS: u32 = 16_381;

/// Rows of a table where memory is short.
pub(crate) const FEW_ROWS: u32 = 4_093;

const OFFSET: u64 = u64::from_be_bytes(*b"offset  ");
const SKIP: u64 = u64::from_be_bytes(*b"skip    ");

/// One that flows are spread over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Member {
    /// What it is known by: equal members have equal rows in every table.
    pub(crate) seed: u64,
    /// Its share; 0: none.
    pub(crate) weight: u8,
}

/// A table: which member has which row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Table {
    rows: Box<[u8]>,
}

/// A member's way through the rows.
struct Way {
    index: u8,
    weight: u32,
    /// What it has saved up towards its next row.
    credit: u32,
    next: u32,
    skip: u32,
}

impl Table {
    /// The table of these members, 256 at most, with so many rows: a prime number.
    pub(crate) fn new(members: &[Member], count: u32) -> Table {
        let mut chosen: Vec<(u64, u8, u32)> = Vec::new();
        for (index, member) in members.iter().enumerate().take(256) {
            if member.weight > 0 {
                // Fits: 256 at most.
                chosen.push((member.seed, index as u8, u32::from(member.weight)));
            }
        }
        match chosen[..] {
            [] => return Table { rows: Box::new([]) },
            [(_, index, _)] => {
                return Table {
                    rows: Box::new([index]),
                };
            }
            _ => {}
        }
        // In which order they were given doesn't matter.
        chosen.sort_unstable();
        Table {
            rows: fill(&chosen, count),
        }
    }

    /// The member that has the row of this draw; none if no member has any weight.
    pub(crate) fn at(&self, draw: u64) -> Option<usize> {
        let count = u32::try_from(self.rows.len()).expect("a table has few rows");
        let row = self.rows.get(below(draw, count) as usize)?;
        Some(usize::from(*row))
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.rows.len()
    }
}

/// The members take rows by turns, each the next free one on its own way.
fn fill(members: &[(u64, u8, u32)], count: u32) -> Box<[u8]> {
    let mut ways: Vec<Way> = Vec::new();
    for (seed, index, weight) in members {
        ways.push(Way {
            index: *index,
            weight: *weight,
            credit: 0,
            next: below(draw(*seed, OFFSET), count),
            skip: below(draw(*seed, SKIP), count - 1) + 1,
        });
    }
    let heaviest = ways.iter().map(|way| way.weight).max().unwrap_or(1);
    let mut rows: Vec<Option<u8>> = vec![None; count as usize];
    let mut free = count;
    while free > 0 {
        for way in &mut ways {
            way.credit += way.weight;
            if way.credit < heaviest || free == 0 {
                continue;
            }
            way.credit -= heaviest;
            // A prime number of rows: every step from 1 on leads through all of them.
            while rows[way.next as usize].is_some() {
                way.next = (way.next + way.skip) % count;
            }
            rows[way.next as usize] = Some(way.index);
            free -= 1;
        }
    }
    rows.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn members(weights: &[u8]) -> Vec<Member> {
        let member = |(number, weight): (usize, &u8)| Member {
            seed: draw(number as u64, 7),
            weight: *weight,
        };
        weights.iter().enumerate().map(member).collect()
    }

    fn shares(table: &Table, count: usize) -> Vec<f64> {
        let mut shares = vec![0.0; count];
        for row in &table.rows {
            shares[usize::from(*row)] += 1.0 / table.rows.len() as f64;
        }
        shares
    }

    #[test]
    fn a_table_of_none_or_one_has_no_rows_to_spare() {
        assert_eq!(Table::new(&[], ROWS).at(7), None);
        assert_eq!(Table::new(&members(&[0, 0]), ROWS).at(7), None);
        let one = Table::new(&members(&[0, 3, 0]), ROWS);
        assert_eq!(
            (one.at(0), one.at(u64::MAX), one.bytes()),
            (Some(1), Some(1), 1)
        );
    }

    #[test]
    fn the_numbers_of_rows_are_prime() {
        for rows in [ROWS, FEW_ROWS] {
            assert!((2..rows).all(|factor| rows % factor != 0), "{rows}");
        }
    }

    #[test]
    fn the_documented_weights_of_1_and_255() {
        let table = Table::new(&members(&[1, 255]), ROWS);
        let share = shares(&table, 2)[0];
        assert!((share * 256.0 - 1.0).abs() < 0.02, "{share}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_member_has_its_share(weights in proptest::collection::vec(0u8..=255, 2..11)) {
            let total: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
            prop_assume!(total > 0.0);
            let table = Table::new(&members(&weights), ROWS);
            for (share, weight) in shares(&table, weights.len()).iter().zip(&weights) {
                let wanted = f64::from(*weight) / total;
                prop_assert!((share - wanted).abs() < 0.01, "{share} for {wanted}");
                prop_assert_eq!(*weight == 0, *share == 0.0);
            }
        }

        /// Of the rows of those that stay, few change hands.
        #[test]
        fn a_removal_moves_little_more_than_what_was_removed(
            count in 2usize..11,
            gone in 0usize..11,
            rows in prop_oneof![Just(ROWS), Just(FEW_ROWS)],
        ) {
            let gone = gone % count;
            let mut weights = vec![128; count];
            let before = Table::new(&members(&weights), rows);
            weights[gone] = 0;
            let after = Table::new(&members(&weights), rows);
            let flows = 20_000u64;
            let moved = (0..flows).filter(|flow| {
                let drawn = draw(*flow, 3);
                before.at(drawn) != after.at(drawn)
            });
            let moved = moved.count() as f64 / flows as f64;
            prop_assert!(moved < 1.0 / count as f64 + 0.03, "{moved} of {count}");
        }

        #[test]
        fn the_order_in_which_members_are_given_does_not_matter(
            weights in proptest::collection::vec(1u8..=255, 2..11),
            drawn in any::<u64>(),
        ) {
            let forth = members(&weights);
            let back: Vec<Member> = forth.iter().rev().copied().collect();
            let found = |members: &[Member]| {
                let index = Table::new(members, FEW_ROWS).at(drawn).expect("they have weights");
                members[index].seed
            };
            prop_assert_eq!(found(&forth), found(&back));
        }
    }
}
