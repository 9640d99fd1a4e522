//! `klog init` and `klog topics`.

use std::collections::BTreeMap;

use klog::{ConfigResource, ErrorCode, Mode, NewTopic, TopicDescription};
use serde_json::json;

use crate::args::{AlterTopic, CreateTopic, DeleteTopics, DescribeTopics, Init, Place, Topics};
use crate::configs::changes;
use crate::failure::{Failure, Outcome};
use crate::output::{Output, note};

pub(crate) fn init(place: &Place, _: &Init, out: &mut Output) -> Outcome {
    let engine = place.open(Mode::Create)?;
    let cluster_id = engine.cluster_id()?.unwrap_or_default();
    engine.close()?;
    if out.json {
        return out.object(&json!({ "dir": engine.path().to_string_lossy(), "clusterId": cluster_id }));
    }
    out.line(format_args!("{} holds the logs of cluster {cluster_id}", engine.path().display()))
}

pub(crate) fn run(place: &Place, verb: Topics, out: &mut Output) -> Outcome {
    match verb {
        Topics::Create(create) => self::create(place, create, out),
        Topics::List => list(place, out),
        Topics::Describe(describe) => self::describe(place, &describe, out),
        Topics::Alter(alter) => self::alter(place, &alter, out),
        Topics::Delete(delete) => self::delete(place, &delete, out),
    }
}

fn create(place: &Place, create: CreateTopic, out: &mut Output) -> Outcome {
    let engine = place.open(Mode::Create)?;
    let topic = NewTopic {
        name: create.topic,
        partitions: create.partitions,
        replication_factor: create.replication_factor,
        configs: create.configs.into_iter().collect(),
    };
    let made = match engine.admin().create_topic(&topic) {
        Err(error) if error.code() == ErrorCode::TopicAlreadyExists && create.if_not_exists => {
            engine.admin().describe_topic(&topic.name)?
        }
        result => result?,
    };
    engine.close()?;
    if out.json { out.object(&as_json(&made)) } else { Ok(()) }
}

fn list(place: &Place, out: &mut Output) -> Outcome {
    let engine = place.open(Mode::ReadOnly)?;
    let topics = engine.admin().list_topics()?;
    if out.json {
        return topics.iter().try_for_each(|topic| {
            out.object(&json!({
                "name": topic.name,
                "topicId": topic.id.to_string(),
                "partitionCount": topic.partitions,
                "replicationFactor": topic.replication_factor,
                "isInternal": topic.is_internal,
            }))
        });
    }
    let rows: Vec<_> = topics
        .into_iter()
        .map(|t| vec![t.name, t.partitions.to_string(), t.replication_factor.to_string(), t.id.to_string()])
        .collect();
    out.table(&["Topic", "PartitionCount", "ReplicationFactor", "TopicId"], &rows)
}

fn describe(place: &Place, describe: &DescribeTopics, out: &mut Output) -> Outcome {
    let engine = place.open(Mode::ReadOnly)?;
    let admin = engine.admin();
    let names = match describe.topics.as_slice() {
        [] => admin.list_topics()?.into_iter().map(|topic| topic.name).collect(),
        names => names.to_vec(),
    };
    let topics = names.iter().map(|name| admin.describe_topic(name)).collect::<Result<Vec<_>, _>>()?;
    if out.json {
        return topics.iter().try_for_each(|topic| out.object(&as_json(topic)));
    }
    for (index, topic) in topics.iter().enumerate() {
        if index > 0 {
            out.line("")?;
        }
        describe_one(topic, out)?;
    }
    Ok(())
}

fn describe_one(topic: &TopicDescription, out: &mut Output) -> Outcome {
    let replicas = topic.partitions.first().map_or(0, |partition| partition.replicas.len());
    out.line(format_args!(
        "Topic: {}\tTopicId: {}\tPartitionCount: {}\tReplicationFactor: {replicas}\tConfigs: {}",
        topic.name,
        topic.id,
        topic.partitions.len(),
        configs(&topic.configs)
    ))?;
    let numbers = |numbers: &[i32]| numbers.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
    let rows: Vec<_> = topic
        .partitions
        .iter()
        .map(|p| {
            vec![
                p.partition.to_string(),
                if p.leader < 0 { "none".into() } else { p.leader.to_string() },
                numbers(&p.replicas),
                numbers(&p.isr),
                p.log_start_offset.to_string(),
                p.high_watermark.to_string(),
                p.log_end_offset.to_string(),
                p.segments.to_string(),
                p.bytes.to_string(),
            ]
        })
        .collect();
    out.table(
        &[
            "Partition",
            "Leader",
            "Replicas",
            "Isr",
            "LogStartOffset",
            "HighWatermark",
            "LogEndOffset",
            "Segments",
            "Bytes",
        ],
        &rows,
    )
}

fn configs(configs: &BTreeMap<String, String>) -> String {
    configs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

fn as_json(topic: &TopicDescription) -> serde_json::Value {
    let partitions: Vec<_> = topic
        .partitions
        .iter()
        .map(|p| {
            json!({
                "partition": p.partition,
                "leader": p.leader,
                "leaderEpoch": p.leader_epoch,
                "replicas": p.replicas,
                "isr": p.isr,
                "logStartOffset": p.log_start_offset,
                "lastStableOffset": p.last_stable_offset,
                "highWatermark": p.high_watermark,
                "logEndOffset": p.log_end_offset,
                "segments": p.segments,
                "bytes": p.bytes,
            })
        })
        .collect();
    json!({
        "name": topic.name,
        "topicId": topic.id.to_string(),
        "isInternal": topic.is_internal,
        "configs": topic.configs,
        "partitions": partitions,
    })
}

fn alter(place: &Place, alter: &AlterTopic, out: &mut Output) -> Outcome {
    let changes = changes(&alter.configs, &alter.delete_configs)?;
    if changes.is_empty() && alter.partitions.is_none() {
        return Err(Failure::Usage("nothing to alter: say --partitions, --config or --delete-config".into()));
    }
    let engine = place.open(Mode::ReadWrite)?;
    let admin = engine.admin();
    let now = admin.describe_topic(&alter.topic)?.partitions.len();
    // Settings come first, since they can be refused and taken back; but for a growth that will be refused.
    let will_grow = alter.partitions.is_none_or(|total| usize::try_from(total).is_ok_and(|total| total > now));
    if !changes.is_empty() && will_grow {
        admin.alter_configs(&ConfigResource::Topic(alter.topic.clone()), &changes)?;
    }
    if let Some(total) = alter.partitions {
        admin.add_partitions(&alter.topic, total)?;
        note(format_args!(
            "'{}' has {total} partitions now; records with keys go to other partitions than before",
            alter.topic
        ));
    }
    let altered = admin.describe_topic(&alter.topic)?;
    engine.close()?;
    if out.json { out.object(&as_json(&altered)) } else { Ok(()) }
}

fn delete(place: &Place, delete: &DeleteTopics, out: &mut Output) -> Outcome {
    let engine = place.open(Mode::ReadWrite)?;
    let there = engine.admin().list_topics()?;
    let mut topics: Vec<&String> = Vec::new();
    for topic in &delete.topics {
        if !there.iter().any(|listed| listed.name == *topic) {
            engine.admin().describe_topic(topic)?; // says that there is none, before any other is gone
        }
        if !topics.contains(&topic) {
            topics.push(topic);
        }
    }
    for topic in topics {
        engine.admin().delete_topic(topic)?;
        if out.json {
            out.object(&json!({ "deleted": topic }))?;
        }
    }
    Ok(engine.close()?)
}
