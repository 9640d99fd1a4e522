//! Workloads of two processes on one disk, whose steps alternate; for [`check`](super::power::check).

use klog::Engine;
use klog::sys::{Fault, FaultKind, SimDisk, SimRandom};

use super::power::{NOW, Op, Run, Step, World, found, open};
use crate::try_quietly;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// The one who comes first.
    A,
    /// The other.
    B,
}

/// A step of one of them. One who is not there when it is his turn comes first of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Turn {
    /// He does something.
    Does(Who, Op),
    /// He dies at so many calls of the system from the beginning of that, if it takes so many.
    DiesIn(Who, Op, u64),
    /// He dies between two calls.
    Dies(Who),
    /// He closes the directory.
    Closes(Who),
}

impl Turn {
    fn who(self) -> Who {
        match self {
            Turn::Does(who, _) | Turn::DiesIn(who, ..) | Turn::Dies(who) | Turn::Closes(who) => who,
        }
    }
}

struct Process {
    disk: SimDisk,
    engine: Engine,
}

impl Process {
    fn begin(disk: &SimDisk, seed: u64) -> Process {
        let disk = disk.for_another_process();
        let engine = open(&disk, seed).unwrap();
        Process { disk, engine }
    }

    /// Its locks go, and what it does while its memory is given back is undone.
    fn die(self) {
        self.disk.kill();
        drop(self.engine);
        self.disk.bury();
    }
}

/// Runs `turns` on a copy of `base`, from the opening by both to the end of whoever is left.
pub fn run_two(base: &SimDisk, turns: &[Turn]) -> Run {
    let disk = base.duplicate();
    disk.record();
    let mut processes = [Some(Process::begin(&disk, 2)), Some(Process::begin(&disk, 3))];
    let model = processes[0].as_ref().map(|process| found(&process.engine)).unwrap();
    let nobody = Engine::memory().unwrap();
    let mut world = World::new(&nobody, model, NOW - 500_000);
    let mut steps = vec![Step::new(world.model().clone(), world.model().clone())];
    for turn in turns {
        let note = steps.len() as u64 * 2;
        let before = world.model().clone();
        disk.note(note);
        let index = turn.who() as usize;
        let process = processes[index].take().unwrap_or_else(|| Process::begin(&disk, 4 + note));
        let mut left = Some(process);
        match *turn {
            Turn::Does(_, op) => {
                let engine = &left.as_ref().unwrap().engine;
                // A flush is of what a process has open, and here it is to be all.
                if op == Op::Flush {
                    world.open_all(engine);
                }
                world.run_in(engine, op);
            }
            Turn::DiesIn(_, op, calls) => {
                let Process { disk: own, engine } = left.take().unwrap();
                disk.heal();
                disk.fail(Fault { call: disk.calls() + calls, kind: FaultKind::Kill, persistent: false });
                let outcome = try_quietly(|| world.run_in(&engine, op));
                disk.heal();
                match outcome {
                    Err(what) if !own.is_dead() => panic!("{turns:?}: {what}"),
                    Err(_) => {
                        world.leave_pending();
                        Process { disk: own, engine }.die();
                    }
                    // Whatever died behind it, it was done.
                    Ok(()) if own.is_dead() => Process { disk: own, engine }.die(),
                    Ok(()) => left = Some(Process { disk: own, engine }),
                }
            }
            Turn::Dies(_) => left.take().unwrap().die(),
            Turn::Closes(_) => left.take().unwrap().engine.close().unwrap(),
        }
        processes[index] = left;
        disk.note(note + 1);
        steps.push(Step::new(before, world.model().clone()));
    }
    for process in processes.into_iter().flatten() {
        process.engine.close().unwrap();
    }
    Run::new(base, disk.take_record(), steps)
}

/// Turns by chance.
pub fn random_turns(random: &SimRandom, count: usize) -> Vec<Turn> {
    let often = [Op::Append, Op::AppendWritten, Op::AppendLarge, Op::Roll, Op::RollWritten];
    let all = [&Op::DURABLE[..], &[Op::AddPartitions, Op::AlterBoth]].concat();
    let below = |bound: usize| random.next() as usize % bound;
    let who = || if below(2) == 0 { Who::A } else { Who::B };
    let turn = |_| match below(12) {
        0 => Turn::Dies(who()),
        1 => Turn::Closes(who()),
        2 | 3 => Turn::DiesIn(who(), often[below(often.len())], 1 + below(30) as u64),
        4..=7 => Turn::Does(who(), often[below(often.len())]),
        _ => Turn::Does(who(), all[below(all.len())]),
    };
    (0..count).map(turn).collect()
}
