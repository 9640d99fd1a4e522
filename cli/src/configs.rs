//! `klog configs`.

use std::collections::BTreeMap;

use klog::{ConfigEntry, ConfigResource, ConfigSource, Mode};
use serde_json::json;

use crate::args::{Configs, Place};
use crate::failure::{Failure, Outcome};
use crate::output::Output;

pub(crate) fn run(place: &Place, args: &Configs, out: &mut Output) -> Outcome {
    let resource = args.topic.clone().map_or(ConfigResource::Brokers, ConfigResource::Topic);
    let changes = changes(&args.added, &args.deleted)?;
    if !changes.is_empty() {
        let engine = place.open(Mode::ReadWrite)?;
        engine.admin().alter_configs(&resource, &changes)?;
        return Ok(engine.close()?);
    }
    let engine = place.open(Mode::ReadOnly)?;
    let mut entries = engine.admin().describe_configs(&resource)?;
    if !args.all {
        entries.retain(|entry| entry.source != ConfigSource::Default);
    }
    if out.json {
        return entries.iter().try_for_each(|entry| out.object(&as_json(entry)));
    }
    let rows: Vec<_> = entries
        .into_iter()
        .map(|entry| vec![entry.name, entry.value.unwrap_or_else(|| "-".into()), entry.source.name().to_owned()])
        .collect();
    out.table(&["Name", "Value", "Source"], &rows)
}

/// What is to be set, and what is to be taken back.
pub(crate) fn changes(set: &[(String, String)], taken_back: &[String]) -> Outcome<BTreeMap<String, Option<String>>> {
    let mut changes: BTreeMap<String, Option<String>> = BTreeMap::new();
    let set = set.iter().map(|(name, value)| (name, Some(value.clone())));
    for (name, value) in set.chain(taken_back.iter().map(|name| (name, None))) {
        if changes.insert(name.clone(), value).is_some() {
            return Err(Failure::Usage(format!("{name} is given twice")));
        }
    }
    Ok(changes)
}

fn as_json(entry: &ConfigEntry) -> serde_json::Value {
    json!({
        "name": entry.name,
        "value": entry.value,
        "source": entry.source.name(),
        "isReadOnly": entry.is_read_only,
        "type": entry.kind,
        "bounds": entry.bounds,
        "documentation": entry.doc,
    })
}
