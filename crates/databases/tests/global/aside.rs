//! Tails that don't have room for all that a home alone holds: the home is put aside whole, and
//! nothing that was acknowledged is anywhere else alone when that is done.

use databases::plan::{Next, Observed, Removal, Step, StepKind, Wanted, next_step};
use types::Now;

use crate::world::{Flaw, Planner, World};
use crate::{run_in, seeds};

/// A run in which a tail has room for so few transactions.
fn run_short(seed: u64, planner: Planner) -> Result<World, String> {
    let mut world = World::new(seed, planner, Flaw::None);
    world.room = seed as usize % 4;
    run_in(&mut world, true)?;
    Ok(world)
}

#[test]
fn what_a_tail_has_no_room_for_is_put_aside_with_its_home_and_nothing_is_lost() {
    let (mut aside, mut rewinds) = (0, 0);
    for seed in seeds(12_000, 16) {
        let world = run_short(seed, next_step);
        let world = world.unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
        let steps = |kind| world.steps.get(&kind).copied().unwrap_or_default();
        aside += steps(StepKind::SetAside);
        rewinds += steps(StepKind::Rewind);
    }
    assert!(aside > 10, "{aside} homes were put aside");
    assert!(rewinds > 0, "what fits is rewound as ever");
}

/// A planner that goes by there being a tail, whatever is in it.
fn trusting(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    match next_step(wanted, observed, now) {
        Next::Step(Step::SetAside { upstream, .. }) => {
            Next::Step(Step::RemoveHome(Removal::Diverged(upstream)))
        }
        next => next,
    }
}

#[test]
fn a_planted_bug_is_found_that_removes_what_a_tail_has_no_room_for() {
    let fault = (12_000..12_100).find_map(|seed| run_short(seed, trusting).err());
    let fault = fault.expect("the planted bug isn't found");
    assert!(fault.contains("was thrown away"), "{fault}");
}
