//! The table that is printed, row by row as they come.

use crate::figure::{Outcome, Target, Unit};
use crate::options::Side;
use crate::plan::{Pairs, Plan};
use crate::statistics::Spread;

/// What was printed so far, as far as the end needs it.
#[derive(Debug, Default)]
pub(crate) struct Table {
    with_targets: usize,
    missed: usize,
    notes: Vec<String>,
}

impl Table {
    /// Prints the head.
    pub(crate) fn begin(plan: &Plan) -> Table {
        let who = match plan.only {
            None => "floor and klog by turns",
            Some(Side::Floor) => "the floor alone",
            Some(Side::Klog) => "klog alone",
        };
        let (Pairs(pairs), Pairs(durable)) = (plan.pairs, plan.durable_pairs);
        println!("runs         {who}, {pairs} times, durable rows {durable} times");
        println!("figures      medians, and in brackets what half of the runs lie between");
        println!("speed        klog's, where the floor's is 1.00\n");
        let (row, floor, klog, speed, target) = ("row", "floor", "klog", "speed", "target");
        println!("{row:<38} {floor:>28} {klog:>28} {speed:>20}   {target}");
        Table::default()
    }

    /// Prints a row.
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        let figure = &outcome.figure;
        let show = |spread: Option<Spread>| spread.map_or_else(|| "-".into(), |spread| amount(figure.unit, spread));
        let speed = outcome
            .speed
            .map_or_else(|| "-".into(), |Spread { median, low, high }| format!("{median:.2} ({low:.2} to {high:.2})"));
        let (floor, klog) = (show(outcome.floor), show(outcome.klog));
        let verdict = match outcome.is_reached() {
            Some(false) => "  MISSED",
            Some(true) | None => "",
        };
        println!(
            "{name:<38} {floor:>28} {klog:>28} {speed:>20}   {target}{verdict}",
            name = figure.name,
            target = target(figure.target, figure.unit),
        );
        self.with_targets += usize::from(outcome.is_reached().is_some());
        self.missed += usize::from(outcome.is_reached() == Some(false));
        if let (Some(known), Some(floor)) = (figure.known, outcome.floor) {
            let exact = Spread { median: known, low: known, high: known };
            self.notes.push(format!(
                "{:<38} {:>16} known {:>16} here",
                figure.name,
                median(figure.unit, exact),
                median(figure.unit, floor)
            ));
        }
    }

    /// Prints why there is no row.
    pub(crate) fn skip(name: &str, why: &str) {
        println!("SKIPPED: {name}: {why}");
    }

    /// Prints what follows the rows.
    pub(crate) fn end(&self) {
        println!("\n{} of {} targets missed", self.missed, self.with_targets);
        if !self.notes.is_empty() {
            println!(
                "\nThe floor on a 2-core x86-64 machine with nothing else to do, and here. One that is much slower on such a machine \
                 is a mistake in the floor."
            );
            self.notes.iter().for_each(|note| println!("{note}"));
        }
    }
}

fn target(target: Target, unit: Unit) -> String {
    match target {
        Target::Speed(least) => format!("at least {least:.2}"),
        Target::AtMost(most) => format!("at most {most} {}", name(unit)),
        Target::None => String::new(),
    }
}

fn name(unit: Unit) -> &'static str {
    match unit {
        Unit::PerCpuSecond => "/cpu-s",
        Unit::PerSecond => "/s",
        Unit::Microseconds => "µs",
        Unit::Milliseconds => "ms",
        Unit::Share => "",
    }
}

fn amount(unit: Unit, spread: Spread) -> String {
    let (divisor, _) = scale(unit, spread.median);
    let Spread { low, high, .. } = spread;
    format!("{} ({} to {})", median(unit, spread), digits(low / divisor), digits(high / divisor))
}

fn median(unit: Unit, spread: Spread) -> String {
    let (divisor, prefix) = scale(unit, spread.median);
    format!("{}{prefix}{}", digits(spread.median / divisor), name(unit))
}

/// Thousands or millions, for what is counted.
fn scale(unit: Unit, value: f64) -> (f64, &'static str) {
    match unit {
        Unit::Microseconds | Unit::Milliseconds | Unit::Share => (1.0, " "),
        _ if value >= 1e6 => (1e6, " M"),
        _ if value >= 1e3 => (1e3, " k"),
        _ => (1.0, " "),
    }
}

/// Three digits that mean something.
fn digits(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
