//! The `klog` command, as a library, so that it can be installed along with a binding.
//!
//! Results go to standard output, and nothing else does: people get tables, programs that read a pipe get lines of
//! tab-separated fields, `--json` gives one JSON object per line. What went wrong goes to standard error, one line of it.
//! The exit code is 0, or 1 when something failed, or 2 when the command line made no sense.

mod adopt;
mod args;
mod attached;
mod configs;
mod consume;
mod doctor;
mod dump;
mod explain;
mod failure;
mod format;
mod look;
mod output;
mod produce;
mod progress;
mod stats;
mod topics;

use std::ffi::OsString;

use clap::Parser;

use args::{Args, Command};
use failure::{Failure, Outcome};
use output::Output;

/// Runs the command with its arguments, the first of which is the name it was called by; its exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => {
            let code = error.exit_code();
            let _ = error.print(); // nobody is left to be told
            return u8::try_from(code).unwrap_or(1);
        }
    };
    let mut out = Output::new(args.json, args.color);
    let outcome = dispatch(args, &mut out).and_then(|()| out.flush());
    match outcome {
        Ok(()) | Err(Failure::NobodyReads) => 0,
        Err(failure) => {
            let _ = out.flush(); // what was found before it failed
            failure.report();
            failure.exit_code()
        }
    }
}

fn dispatch(args: Args, out: &mut Output) -> Outcome {
    let place = args.place;
    match args.command {
        Command::Init(init) => topics::init(&place, &init, out),
        Command::Topics(verb) => topics::run(&place, verb, out),
        Command::Configs(configs) => configs::run(&place, &configs, out),
        Command::Offsets(offsets) => look::offsets(&place, &offsets, out),
        Command::Segments(segments) => look::segments(&place, &segments, out),
        Command::Verify(verify) => look::verify(&place, &verify, out),
        Command::Adopt(adopt) => adopt::run(&place, &adopt, out),
        Command::Ps(_) => attached::run(&place, out),
        Command::Stats(stats) => stats::run(&place, &stats, out),
        Command::Doctor(_) => doctor::run(&place, out),
        Command::Produce(produce) => produce::run(&place, &produce, out),
        Command::Consume(consume) => consume::run(&place, &consume, out),
        Command::Dump(dump) => dump::run(&dump, out),
        Command::Explain(explain) => explain::run(&explain, out),
    }
}
