//! `klog doctor`.

use klog::inspect::{Check, Verdict, doctor};
use klog::sys::Sys;
use serde_json::json;

use crate::args::Place;
use crate::failure::{Failure, Outcome};
use crate::output::{Output, Role};

/// Columns in front of what was found.
const INDENT: usize = 24;

pub(crate) fn run(place: &Place, out: &mut Output) -> Outcome {
    let checks = doctor(&Sys::real(), place.existing_dir()?);
    if out.is_for_people() {
        checks.iter().try_for_each(|check| show(check, out))?;
    } else {
        let cells = |check: &Check| {
            vec![json!(check.name), json!(word(check.verdict)), json!(check.found), json!(check.advice)]
        };
        out.rows(&["Check", "Verdict", "Found", "Advice"], checks.iter().map(cells).collect())?;
    }
    match checks.iter().filter(|check| check.verdict == Verdict::Problem).count() {
        0 => Ok(()),
        1 => Err(Failure::Other("1 problem was found".into())),
        count => Err(Failure::Other(format!("{count} problems were found"))),
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Warning => "warning",
        Verdict::Problem => "problem",
    }
}

fn show(check: &Check, out: &mut Output) -> Outcome {
    let word = word(check.verdict);
    let role = if check.verdict == Verdict::Ok { Role::Number } else { Role::Alarm };
    let width = out.width().saturating_sub(INDENT).max(20);
    let text = [check.found.as_str(), check.advice.as_str()].into_iter().filter(|text| !text.is_empty());
    let lines: Vec<_> = text.flat_map(|text| textwrap::wrap(text, width)).collect();
    for (index, line) in lines.iter().enumerate() {
        if index == 0 {
            let padded = out.paint(role, format_args!("{word:<8}"));
            out.line(format_args!("{padded} {:<14} {line}", check.name))?;
        } else {
            out.line(format_args!("{:INDENT$}{line}", ""))?;
        }
    }
    Ok(())
}
