//! How fast klog is, beside a floor: the least honest work that leaves the same file.
//!
//! A figure of one machine on one day says little, a ratio says more. So each row runs the floor and klog by turns, on the same
//! file system, and prints medians, their spread, and how fast klog is where the floor counts as 1.

#![allow(clippy::print_stdout, reason = "what it prints is what it is for")]
#![allow(clippy::disallowed_methods, reason = "the floor uses no code of klog, sys included")]

mod figure;
mod floor;
mod machine;
mod options;
mod other;
mod plan;
mod rows;
mod statistics;
mod system;
mod table;

use std::error::Error;
use std::process::ExitCode;

use options::Options;
use plan::Plan;
use table::Table;

/// Whatever stops a row.
pub(crate) type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    if let Some(task) = other::Task::from_command_line() {
        return match rows::perform(&task) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                println!("{}: {error}", task.name);
                ExitCode::FAILURE
            }
        };
    }
    let done = Options::from_command_line().and_then(|options| match options {
        Some(options) => run(&options),
        None => Ok(()),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let plan = Plan::new(options)?;
    if options.is_raw {
        return print_figures(&plan, options);
    }
    machine::describe(plan.dir())?;
    floor::check_encoding()?;
    let mut table = Table::begin(&plan);
    for row in rows::all() {
        if !options.wants(&row.name()) {
            continue;
        }
        match row.compare(&plan)? {
            Some(results) => results.iter().for_each(|result| table.add(result)),
            None => Table::skip(&row.name(), "the command is not built; cargo build --release -p klog-cli makes it"),
        }
    }
    table.end();
    Ok(())
}

/// What klog comes to, for a program to read.
fn print_figures(plan: &Plan, options: &Options) -> Result<()> {
    for row in rows::all().into_iter().filter(|row| options.wants(&row.name())) {
        for outcome in row.compare(plan)?.unwrap_or_default() {
            let klog = outcome.klog.ok_or("there is a run at least")?;
            println!("{}\t{}\t{}", outcome.figure.name, outcome.figure.unit.is_time(), klog.median);
        }
    }
    Ok(())
}
