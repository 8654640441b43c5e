//! How one of several targets is chosen: in turn, by the fewest requests under way, or at random.
//! Plain functions over members that somebody else found to come into question; none of them knows
//! what a target is. Anomaly mitigation isn't built: at random all weights are alike.

/// The full weight of a member; one that starts slowly has less.
pub const FULL: u32 = 1000;

/// An odd fraction of 2⁶⁴: the golden ratio's, whose multiples are spread most evenly.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Takes the members in turn. `turn` grows by one with every choice; members come with their
/// weights, at most [`FULL`]. Where all are full, each is chosen once in a round; otherwise shares
/// are as the weights are, and evenly spread in time.
pub fn in_turn<M>(members: impl Iterator<Item = (M, u32)> + Clone, turn: u64) -> Option<M> {
    let (mut count, mut total) = (0_u64, 0_u64);
    for (_, weight) in members.clone() {
        count += 1;
        total += u64::from(weight);
    }
    if count == 0 {
        return None;
    }
    if total == count * u64::from(FULL) || total == 0 {
        let at = usize::try_from(turn % count).expect("fewer than there are members");
        return members.map(|(member, _)| member).nth(at);
    }
    at_weight(members, scaled(turn.wrapping_mul(GOLDEN), total))
}

/// Takes one at random, by weight. `random` is drawn for this choice.
pub fn at_random<M>(members: impl Iterator<Item = (M, u32)> + Clone, random: u64) -> Option<M> {
    let total: u64 = members.clone().map(|(_, weight)| u64::from(weight)).sum();
    match total {
        0 => in_turn(members, random >> 32),
        total => at_weight(members, scaled(random, total)),
    }
}

/// Takes the member with the least load; of several the one whose turn it is.
pub fn least<M>(members: impl Iterator<Item = (M, u32)>, turn: u64) -> Option<M> {
    // Loads change while they are read: each is read once.
    let mut alike = Vec::new();
    let mut least = u32::MAX;
    for (member, load) in members {
        if load < least {
            alike.clear();
            least = load;
        }
        if load == least {
            alike.push(member);
        }
    }
    let turn = turn.checked_rem(alike.len() as u64)?;
    let at = usize::try_from(turn).expect("fewer than there are members");
    Some(alike.swap_remove(at))
}

/// The number from 0 to `end` − 1 that a random number stands for; 0 if `end` is 0.
pub fn below(random: u64, end: u32) -> u32 {
    let scaled = scaled(random, u64::from(end));
    u32::try_from(scaled).expect("less than `end`")
}

fn scaled(random: u64, end: u64) -> u64 {
    let product = u128::from(random) * u128::from(end);
    u64::try_from(product >> 64).expect("a product of two numbers below 2⁶⁴ is below 2¹²⁸")
}

fn at_weight<M>(members: impl Iterator<Item = (M, u32)>, at: u64) -> Option<M> {
    let mut rest = at;
    for (member, weight) in members {
        match rest.checked_sub(u64::from(weight)) {
            Some(left) => rest = left,
            None => return Some(member),
        }
    }
    None
}

/// A number of 64 bits that a hash draws for a purpose (the finalizer of SplitMix64: Steele, Lea
/// and Flood, 2014). No good for secrets.
pub(crate) fn draw(hash: u64, purpose: u64) -> u64 {
    let mut mixed = hash ^ purpose.wrapping_mul(GOLDEN);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// What a name is known by where members are drawn. No good for secrets.
pub(crate) fn name(name: &str) -> u64 {
    let start = 0x243f_6a88_85a3_08d3;
    name.bytes()
        .fold(start, |hash, byte| draw(hash, u64::from(byte) + 1))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn counts(
        members: &[(char, u32)],
        choose: impl Fn(std::iter::Copied<std::slice::Iter<'_, (char, u32)>>, u64) -> Option<char>,
    ) -> BTreeMap<char, u32> {
        let mut counts = BTreeMap::new();
        for turn in 0..1000 {
            let chosen = choose(members.iter().copied(), turn).unwrap();
            *counts.entry(chosen).or_insert(0) += 1;
        }
        counts
    }

    #[test]
    fn turns_are_even_and_ramps_are_smooth() {
        let full = [('a', FULL), ('b', FULL), ('c', FULL), ('d', FULL)];
        let even = counts(&full, |members, turn| in_turn(members, turn));
        assert!(even.values().all(|count| *count == 250), "{even:?}");
        let ramp = [('a', FULL), ('b', FULL / 4)];
        let shares = counts(&ramp, |members, turn| in_turn(members, turn));
        assert!((198..=202).contains(&shares[&'b']), "{shares:?}");
        // Evenly spread: `b` comes about every fifth time, never twice in a row.
        let order: Vec<char> = (0..100)
            .map(|turn| in_turn(ramp.iter().copied(), turn).unwrap())
            .collect();
        assert!(order.windows(2).all(|pair| pair != ['b', 'b']), "{order:?}");
        assert!(
            order.windows(9).all(|some| some.contains(&'b')),
            "{order:?}"
        );
    }

    #[test]
    fn nobody_is_chosen_from_nobody() {
        let none: [(char, u32); 0] = [];
        assert_eq!(in_turn(none.into_iter(), 1), None);
        assert_eq!(at_random(none.into_iter(), 1), None);
        assert_eq!(least(none.into_iter(), 1), None);
        assert_eq!((below(u64::MAX, 0), below(u64::MAX, 7)), (0, 6));
        let weightless = [('a', 0), ('b', 0)];
        assert!(in_turn(weightless.into_iter(), 3).is_some());
        assert!(at_random(weightless.into_iter(), 3).is_some());
    }

    #[test]
    fn the_least_loaded_is_chosen_and_equals_take_turns() {
        let loads = [('a', 2), ('b', 1), ('c', 1), ('d', 9)];
        let shares = counts(&loads, |members, turn| least(members, turn));
        assert_eq!(shares, BTreeMap::from([('b', 500), ('c', 500)]));
    }

    #[test]
    fn chance_goes_by_weight() {
        let members = [('a', FULL), ('b', FULL / 2)];
        let shares = counts(&members, |members, turn| at_random(members, draw(turn, 1)));
        assert!((280..=390).contains(&shares[&'b']), "{shares:?}");
    }
}
