//! `klog ps`.

use std::path::Path;

use klog::{Attached, AttachedHandle, Mode, Sharing};
use serde_json::{Value, json};

use crate::args::Place;
use crate::failure::Outcome;
use crate::output::{Output, note, shown_time};

pub(crate) fn run(place: &Place, out: &mut Output) -> Outcome {
    let engine = place.open(Mode::ReadOnly)?;
    let Attached { sharing, handles } = engine.admin().attached()?;
    if sharing == Sharing::Shared {
        return show(&handles, out);
    }
    if !out.is_for_people() {
        show(&[], out)?;
    }
    say(&what_sharing(engine.path(), &sharing), out)
}

/// Says what is no row of a table: in its place to people, and beside it to a program.
pub(crate) fn say(what: &str, out: &mut Output) -> Outcome {
    if out.is_for_people() {
        return out.line(what);
    }
    note(what);
    Ok(())
}

/// How a directory is had, in a sentence.
pub(crate) fn what_sharing(dir: &Path, sharing: &Sharing) -> String {
    let dir = dir.display();
    match sharing {
        Sharing::Nobody => format!("nobody has {dir} open for writing"),
        Sharing::Shared => format!("processes share {dir}"),
        Sharing::Alone(who) => format!("{dir} is not shared at the moment: {who}"),
        Sharing::Broker => format!("a Kafka broker has {dir}"),
        Sharing::OtherVersion(what) => {
            format!("another version of klog has {dir}: its .klog.shm cannot be read, because {what}")
        }
    }
}

fn show(handles: &[AttachedHandle], out: &mut Output) -> Outcome {
    if out.json {
        return handles.iter().try_for_each(|handle| out.object(&as_json(handle)));
    }
    // Numbers of another namespace mean other processes here.
    let own = handles.first().map_or(0, |handle| handle.pid_namespace);
    let has_namespaces = !out.is_terminal || handles.iter().any(|handle| handle.pid_namespace != own);
    let mut headings = vec!["Slot", "Pid", "PidNamespace", "Program", "Since", "State", "Holds"];
    let mut rows: Vec<_> = handles.iter().map(|handle| cells(handle, out)).collect();
    if !has_namespaces {
        headings.remove(2);
        rows.iter_mut().for_each(|row| drop(row.remove(2)));
    }
    out.rows(&headings, rows)
}

fn cells(handle: &AttachedHandle, out: &Output) -> Vec<Value> {
    let holds: Vec<_> = handle.holds.iter().map(|holding| holding.what.to_string()).collect();
    vec![
        json!(handle.slot),
        json!(handle.pid),
        json!(handle.pid_namespace),
        json!(handle.program),
        if out.is_terminal { json!(shown_time(handle.since_ms)) } else { json!(handle.since_ms) },
        json!(state(handle)),
        if holds.is_empty() { Value::Null } else { json!(holds.join(", ")) },
    ]
}

fn state(handle: &AttachedHandle) -> &'static str {
    if handle.is_dead { "dead" } else { "alive" }
}

fn as_json(handle: &AttachedHandle) -> Value {
    let holds: Vec<_> = handle
        .holds
        .iter()
        .map(|holding| json!({ "what": holding.what.to_string(), "heldMs": holding.held_ms }))
        .collect();
    json!({
        "slot": handle.slot,
        "generation": handle.generation,
        "pid": handle.pid,
        "pidNamespace": handle.pid_namespace,
        "program": handle.program,
        "since": handle.since_ms,
        "state": state(handle),
        "holds": holds,
    })
}
