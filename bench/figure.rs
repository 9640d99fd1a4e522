//! What is measured, and what it should come to.

use crate::Result;
use crate::options::Side;
use crate::plan::{Pairs, Plan};
use crate::statistics::Spread;

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Records per second of processor time, of all threads.
    PerCpuSecond,
    /// Records per second.
    PerSecond,
    Microseconds,
    Milliseconds,
    /// A part of one.
    Share,
}

impl Unit {
    /// Whether less is better.
    pub(crate) fn is_time(self) -> bool {
        matches!(self, Unit::Microseconds | Unit::Milliseconds)
    }
}

/// What a figure should come to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// So much of the floor's speed at least.
    Speed(f64),
    /// So much at most, in the figure's unit.
    AtMost(f64),
    /// None: it is there to be looked at.
    None,
}

/// A number that each run of a row gives.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: Unit,
    pub(crate) target: Target,
    /// What the floor came to on a 2-core x86-64 machine with nothing else to do.
    pub(crate) known: Option<f64>,
}

/// A figure with its runs.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) figure: Figure,
    pub(crate) floor: Option<Spread>,
    pub(crate) klog: Option<Spread>,
    /// How fast klog is where the floor counts as 1, pair by pair.
    pub(crate) speed: Option<Spread>,
}

impl Outcome {
    /// Whether the target was reached; `None` where there is none.
    pub(crate) fn is_reached(&self) -> Option<bool> {
        match self.figure.target {
            Target::Speed(least) => Some(self.speed?.median >= least),
            Target::AtMost(most) => Some(self.klog?.median <= most),
            Target::None => None,
        }
    }
}

/// One run: a number for each figure.
pub(crate) type Run<'a> = Box<dyn FnMut() -> Result<Vec<f64>> + 'a>;

/// Runs both sides by turns, floor first.
pub(crate) fn compare(
    plan: &Plan,
    Pairs(pairs): Pairs,
    figures: Vec<Figure>,
    mut floor: Option<Run<'_>>,
    mut klog: Run<'_>,
) -> Result<Vec<Outcome>> {
    let (mut floors, mut klogs) = (Vec::new(), Vec::new());
    for _ in 0..pairs {
        if let Some(floor) = floor.as_mut().filter(|_| plan.only != Some(Side::Klog)) {
            floors.push(floor()?);
        }
        if plan.only != Some(Side::Floor) {
            klogs.push(klog()?);
        }
    }
    let outcome = |(index, figure): (usize, Figure)| {
        let of = |runs: &[Vec<f64>]| (!runs.is_empty()).then(|| Spread::of(runs.iter().map(|run| run[index])));
        let speed = |(floor, klog): (&Vec<f64>, &Vec<f64>)| {
            let ratio = klog[index] / floor[index];
            if figure.unit.is_time() { ratio.recip() } else { ratio }
        };
        let is_pair = !floors.is_empty() && !klogs.is_empty();
        Outcome {
            floor: of(&floors),
            klog: of(&klogs),
            speed: is_pair.then(|| Spread::of(floors.iter().zip(&klogs).map(speed))),
            figure,
        }
    };
    Ok(figures.into_iter().enumerate().map(outcome).collect())
}
