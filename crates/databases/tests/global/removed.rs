//! A member that has another head by order, whose writer is lost with its Region before that head
//! has all that the old one had, and that is removed from its global cluster then: what the old
//! head alone still has is kept, and a reader that has more than the new head follows it all the
//! same, copied anew.

use databases::plan::{StepKind, next_step};

use crate::world::{Planner, World};
use crate::{CALM, seeds, settle};

/// The member: it has two readers.
const MEMBER: usize = 0;

/// The world once all of the member follow its head, which stands on its own.
fn removed(seed: u64, planner: Planner) -> Result<World, String> {
    let mut world = World::with_readers(seed, planner);
    settle(&mut world)?;
    let writer = 1;
    world.ask(writer, writer, false);
    settle(&mut world)?;
    // What the member has is nowhere else.
    world.part(2);
    let before = world.handed;
    for moment in 0..CALM {
        if moment % 20 == 0 {
            world.hand_over(MEMBER);
        }
        world.tick()?;
        if world.handed > before {
            break;
        }
    }
    assert!(world.handed > before, "seed {seed}: it has another head");
    world.lose_region(writer);
    world.remove(MEMBER);
    assert!(world.removed.contains(&MEMBER), "seed {seed}");
    world.steps.clear();
    for _ in 0..CALM {
        world.tick()?;
        if world.stands_alone(MEMBER) {
            return Ok(world);
        }
    }
    Err(format!("they never follow:\n{}", world.told()))
}

#[test]
fn what_a_removed_member_s_old_head_alone_has_is_kept_and_all_follow_the_new_one() {
    let (mut kept, mut given_up) = (0, 0);
    for seed in seeds(13_000, 40) {
        let world = removed(seed, next_step).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        kept += usize::from(world.has_kept_all(MEMBER));
        let reseeds = world.steps.get(&StepKind::Reseed).copied();
        given_up += reseeds.unwrap_or_default();
    }
    println!("{kept} old heads kept what they had, {given_up} readers were given up");
    assert!(kept > 10 && given_up > 2, "{kept}, {given_up}");
}
