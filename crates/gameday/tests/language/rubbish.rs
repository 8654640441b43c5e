//! Whatever a file holds, it is read or refused: nothing panics, and no reading takes for ever.
//! The shipped scenarios are mutated from fixed seeds, and texts are made of the language's own
//! pieces.

use std::fs;
use std::path::Path;

use gameday::{Plan, Scenario};
use proptest::prelude::*;

/// Mutated files that are read.
const CASES: u32 = 600;

fn shipped() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../gamedays");
    let mut texts = vec![include_str!("base.toml").to_owned()];
    for entry in fs::read_dir(folder).expect("it is shipped") {
        let path = entry.expect("it can be listed").path();
        texts.push(fs::read_to_string(path).expect("it can be read"));
    }
    texts
}

/// Reads it; what is wrong must have a place in the file, and what is right a plan.
fn read(text: &str) {
    match Scenario::parse("rubbish.toml", text, &[]) {
        Ok(scenario) => {
            let plan = Plan::of(scenario);
            assert!(!plan.to_string().is_empty());
            assert!(plan.requests <= gameday::limits::REQUESTS + 32);
        }
        Err(problems) => {
            assert!(!problems.list.is_empty());
            let lines = text.split('\n').count();
            for problem in &problems.list {
                assert!(!problem.message.is_empty());
                if let Some(position) = &problem.position {
                    assert!((1..=lines).contains(&position.line), "{problems}");
                    let length = position.text.chars().count();
                    assert!((1..=length + 1).contains(&position.column), "{problems}");
                }
            }
        }
    }
}

/// Pieces that mean something somewhere.
const PIECES: [&str; 40] = [
    "[lab]",
    "[[load]]",
    "[[step]]",
    "[[record]]",
    "[measure]",
    "[expect]",
    "[variables]",
    "\n",
    "=",
    "\"",
    "$outage",
    "$",
    "+",
    "-",
    "5s",
    "0s",
    "99999999999h",
    "us-east-1",
    "edge-1",
    "true",
    "{",
    "}",
    "[",
    "]",
    ",",
    ".",
    "#",
    "'''",
    "\"\"\"",
    "1e309",
    "-1",
    "0x7fffffffffffffff",
    "nan",
    "inf",
    "\u{0}",
    "\u{feff}",
    "é",
    "🦀",
    "geolocation = { country = \"DE\" }",
    "for = \"1ms\"",
];

#[derive(Clone, Debug)]
enum Mutation {
    Remove {
        at: prop::sample::Index,
        length: usize,
    },
    Insert {
        at: prop::sample::Index,
        piece: usize,
    },
    Copy {
        from: prop::sample::Index,
        to: prop::sample::Index,
        length: usize,
    },
    Byte {
        at: prop::sample::Index,
        byte: u8,
    },
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        (index(), 1..40usize).prop_map(|(at, length)| Mutation::Remove { at, length }),
        (index(), 0..PIECES.len()).prop_map(|(at, piece)| Mutation::Insert { at, piece }),
        (index(), index(), 1..200usize).prop_map(|(from, to, length)| Mutation::Copy {
            from,
            to,
            length
        }),
        (index(), any::<u8>()).prop_map(|(at, byte)| Mutation::Byte { at, byte }),
    ]
}

fn apply(bytes: &mut Vec<u8>, mutation: &Mutation) {
    let end = bytes.len() + 1;
    match mutation {
        Mutation::Remove { at, length } => {
            let at = at.index(end);
            let to = (at + length).min(bytes.len());
            bytes.drain(at..to);
        }
        Mutation::Insert { at, piece } => {
            let at = at.index(end);
            bytes.splice(at..at, PIECES[*piece].bytes());
        }
        Mutation::Copy { from, to, length } => {
            let from = from.index(end);
            let copied = bytes[from..(from + length).min(bytes.len())].to_vec();
            let to = to.index(end);
            bytes.splice(to..to, copied);
        }
        Mutation::Byte { at, byte } => {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        rng_seed: prop::test_runner::RngSeed::Fixed(0x6a_4d_61_79),
        ..ProptestConfig::default()
    })]

    #[test]
    fn mutated_scenarios_are_read_or_refused(
        which in any::<prop::sample::Index>(),
        mutations in prop::collection::vec(mutation(), 1..12),
    ) {
        let texts = shipped();
        let mut bytes = which.get(&texts).clone().into_bytes();
        for mutation in &mutations {
            apply(&mut bytes, mutation);
        }
        read(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn pieces_of_the_language_are_read_or_refused(
        pieces in prop::collection::vec(0..PIECES.len(), 0..60),
    ) {
        let text: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
        read(&text);
    }
}
