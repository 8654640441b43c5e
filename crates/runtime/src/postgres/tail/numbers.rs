//! A set of transactions' numbers, a bit a number, and the question that finds rows by it: a server
//! looks at each row once, and keeps nothing but the bits. It takes as much memory as the numbers
//! lie apart: 1 MiB for 8 million.

use std::collections::BTreeMap;
use std::io::{self, Write};

/// Bytes of a page.
const PAGE: usize = 8192;

/// Numbers of a page.
const BITS: u32 = PAGE as u32 * 8;

/// How many numbers there are: they begin anew at their end.
const ALL: u64 = 1 << 32;

/// The set.
#[derive(Default)]
pub(super) struct Numbers {
    /// The first that was put in, which stands amid all others: they begin anew at their end.
    origin: Option<u32>,
    pages: BTreeMap<u32, Box<[u8; PAGE]>>,
}

impl Numbers {
    /// Puts a number in.
    pub(super) fn insert(&mut self, number: u32) {
        let origin = *self.origin.get_or_insert(number);
        let place = number.wrapping_sub(origin).wrapping_add(1 << 31);
        let page = self.pages.entry(place / BITS);
        let page = page.or_insert_with(|| Box::new([0; PAGE]));
        let bit = place % BITS;
        page[bit as usize / 8] |= 1 << (bit % 8);
    }

    /// The pages from the first to the last.
    fn span(&self) -> Option<(u32, u32)> {
        let (first, _) = self.pages.first_key_value()?;
        let (last, _) = self.pages.last_key_value()?;
        Some((*first, *last))
    }

    /// Writes the bits from the first page to the last.
    ///
    /// # Errors
    /// It can't be written.
    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let Some((first, last)) = self.span() else {
            return Ok(());
        };
        let none = [0; PAGE];
        for page in first..=last {
            to.write_all(self.pages.get(&page).map_or(&none, |it| &**it))?;
        }
        Ok(())
    }

    /// What holds of a row of a set number, in SQL, where the written bits are in the file that
    /// this literal names. A row's number is read by its own type's output function.
    pub(super) fn condition(&self, file: &str) -> String {
        let (Some((first, last)), Some(origin)) = (self.span(), self.origin) else {
            return "false".to_owned();
        };
        let begin = origin.wrapping_add(first * BITS).wrapping_sub(1 << 31);
        let count = u64::from(last - first + 1) * u64::from(BITS);
        let place = format!("((xmin::text::bigint - {begin} + {ALL}) % {ALL})");
        format!(
            "CASE WHEN {place} < {count} THEN \
             get_bit((SELECT pg_read_binary_file({file})), {place}) = 1 ELSE false END"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers that the bits say, as a server reads them.
    fn read(numbers: &Numbers) -> Vec<u32> {
        let mut bits = Vec::new();
        numbers.write(&mut bits).unwrap();
        let condition = numbers.condition("'f'");
        let begin = condition.split_once("bigint - ").unwrap().1;
        let begin: u64 = begin.split(' ').next().unwrap().parse().unwrap();
        let is_set = |bit: &usize| bits[bit / 8] >> (bit % 8) & 1 == 1;
        let set = (0..bits.len() * 8).filter(is_set);
        set.map(|bit| ((begin + bit as u64) % ALL) as u32).collect()
    }

    #[test]
    fn what_was_put_in_is_read_also_where_numbers_begin_anew() {
        for given in [
            vec![731],
            vec![5, 3, 8, 70_000, 200_000],
            vec![u32::MAX - 70_000, u32::MAX, 3, 99_999],
            vec![7, u32::MAX],
        ] {
            let mut numbers = Numbers::default();
            for number in &given {
                numbers.insert(*number);
                numbers.insert(*number);
            }
            let mut read = read(&numbers);
            let mut given = given;
            read.sort_unstable();
            given.sort_unstable();
            assert_eq!(read, given);
        }
        assert_eq!(Numbers::default().condition("'f'"), "false");
    }

    #[test]
    fn millions_of_numbers_take_a_bit_each() {
        let mut numbers = Numbers::default();
        (3..8_000_003).for_each(|number| numbers.insert(number));
        assert!(numbers.pages.len() * PAGE <= 1024 * 1024 + 2 * PAGE);
    }
}
