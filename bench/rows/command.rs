//! How soon the command says something.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::engine;
use crate::Result;
use crate::figure::{self, Figure, Outcome, Target, Unit};
use crate::plan::{Plan, target_dir};

/// Help, and a list of topics; `None` when the command was not built.
pub(super) fn compare(plan: &Plan) -> Result<Option<Vec<Outcome>>> {
    let program = target_dir()?.join("release/klog");
    if !program.is_file() {
        return Ok(None);
    }
    let dir = plan.empty("klog")?;
    engine(&dir, klog::Durability::Fsync)?.close()?;
    let figure =
        |name: &str| Figure { name: name.into(), unit: Unit::Milliseconds, target: Target::AtMost(50.0), known: None };
    let figures = vec![figure("klog --help, all of it"), figure("klog topics list, first byte")];
    let klog = || {
        let (_, help) = run(Command::new(&program).arg("--help"), &program)?;
        let (list, _) = run(Command::new(&program).arg("-d").arg(&dir).args(["topics", "list"]), &program)?;
        Ok(vec![help, list])
    };
    figure::compare(plan, plan.pairs, figures, None, Box::new(klog)).map(Some)
}

/// Milliseconds until the first byte of the output, and until the command has ended.
fn run(command: &mut Command, program: &Path) -> Result<(f64, f64)> {
    let since = |began: Instant| began.elapsed().as_secs_f64() * 1000.0;
    let began = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut first = [0];
    let output = child.stdout.as_mut().ok_or("the command has no output")?;
    output.read_exact(&mut first)?;
    let first = since(began);
    output.read_to_end(&mut Vec::new())?;
    let status = child.wait()?;
    match status.success() {
        true => Ok((first, since(began))),
        false => Err(format!("{} ended with {status}", program.display()).into()),
    }
}
