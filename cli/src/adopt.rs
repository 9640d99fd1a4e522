//! `klog adopt`.

use klog::{OpenOptions, Retention};
use serde_json::json;

use crate::args::{Adopt, Place};
use crate::failure::Outcome;
use crate::output::{Output, note};

pub(crate) fn run(place: &Place, args: &Adopt, out: &mut Output) -> Outcome {
    let dir = place.existing_dir()?;
    let retention = Retention { ms: args.retention_ms, bytes: args.retention_bytes };
    let adopted = OpenOptions::new().adopt(dir, retention)?;
    if out.json {
        return out.object(&json!({
            "dir": dir.to_string_lossy(),
            "clusterId": adopted.cluster_id,
            "nodeId": adopted.node_id,
            "madeMetadata": adopted.made_metadata,
            "topics": adopted.topics,
            "partitions": adopted.partitions,
            "retentionMs": args.retention_ms,
            "retentionBytes": args.retention_bytes,
            "leftAlone": adopted.left_alone,
            "findings": adopted.report.to_string().lines().collect::<Vec<_>>(),
        }));
    }
    for name in &adopted.left_alone {
        note(format_args!("{name} is no partition; it stays as it is"));
    }
    for line in adopted.report.to_string().lines() {
        note(line);
    }
    let metadata = if adopted.made_metadata { "; the metadata was written" } else { "" };
    out.line(format_args!(
        "{} is adopted: broker {} of cluster {}, topics: {}, partitions: {}{metadata}; \
         where a topic says nothing, log.retention.ms is {} and log.retention.bytes is {}",
        dir.display(),
        adopted.node_id,
        adopted.cluster_id,
        adopted.topics,
        adopted.partitions,
        args.retention_ms,
        args.retention_bytes
    ))
}
