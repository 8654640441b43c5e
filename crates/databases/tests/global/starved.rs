//! Switchovers whose target loses its stream before it has all that the old writer had, or whose
//! Region is cut off: they are called off soon, and the old writer goes on. Waiting would bring
//! nothing but a minute without a writer.

use databases::plan::{Next, Observed, Wanted, next_step};
use types::Now;

use crate::world::{Flaw, Planner, World};
use crate::{seeds, settle};

/// Moments until somebody must write again: 10 s, where a switchover's patience is 60.
const SOON: usize = 100;

/// What becomes of the target's stream once the switchover was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Loss {
    /// The link to it is cut.
    Cut,
    /// Its Region's process dies, and is back once the old writer has stopped.
    Restart,
    /// Its Region is cut off, also from the council: it doesn't even hear of the switchover.
    Region,
}

/// After how many moments the role was nobody's to wait for any more, and who writes then.
fn switched_over(seed: u64, planner: Planner, loss: Loss) -> Result<(usize, bool), String> {
    let mut world = World::new(seed, planner, Flaw::None);
    settle(&mut world)?;
    let from = world.writer();
    let to = (from + 1) % 3;
    // So that the writer's Region has heard of it as well.
    world.tick()?;
    world.ask(from, to, false);
    assert!(world.row().moving.is_some(), "seed {seed}: it isn't asked");
    match loss {
        Loss::Cut => world.part(to),
        Loss::Restart => world.kill(to),
        Loss::Region => world.isolate(to),
    }
    for moment in 0..1000 {
        world.tick()?;
        if loss == Loss::Restart && world.is_drained() {
            world.revive(to);
        }
        if world.row().moving.is_none() && world.serves(from) {
            world.heal();
            settle(&mut world)?;
            let lost = world.judge()?;
            assert!(lost.is_empty(), "seed {seed}: {lost:?}");
            return Ok((moment, world.writer() == from));
        }
    }
    Err(format!("nobody writes:\n{}", world.told()))
}

/// A planner that has a starved target wait, and the writer for a silent one, as long as a
/// switchover may take.
fn patient(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let mut seen = observed.clone();
    if let Some(server) = &mut seen.server {
        server.log.starved_since = None;
    }
    seen.head.silent_since = None;
    next_step(wanted, &seen, now)
}

#[test]
fn a_target_that_loses_its_stream_or_its_region_leaves_the_role_to_the_old_writer_soon() {
    let (mut count, mut longest) = (0, 0);
    for seed in seeds(12_000, 8) {
        for loss in [Loss::Cut, Loss::Restart, Loss::Region] {
            let (moments, is_back) = switched_over(seed, next_step, loss)
                .unwrap_or_else(|fault| panic!("seed {seed}, {loss:?}: {fault}"));
            assert!(is_back, "seed {seed}, {loss:?}: another writes");
            assert!(moments < SOON, "seed {seed}, {loss:?}: {moments} moments");
            (count, longest) = (count + 1, longest.max(moments));
        }
    }
    println!("{count} switchovers, {longest} moments at most");
    // Else the model starves nobody.
    for loss in [Loss::Cut, Loss::Restart, Loss::Region] {
        let (moments, _) = switched_over(12_000, patient, loss).unwrap();
        assert!(
            moments > 500,
            "{loss:?}: {moments} moments without the mend"
        );
    }
}
