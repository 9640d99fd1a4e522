//! Every call with every kind of argument that makes no sense: Kafka's error, a sentence that names the value and the limit,
//! and a directory that is as it was, byte for byte.

use std::collections::BTreeMap;

use klog::{
    ConfigResource, ConsumerConfig, Engine, EngineConfig, ErrorCode, Mode, NewTopic, OffsetSpec, OpenOptions,
    ProducerConfig, ProducerRecord, Result, Retention, Row, Start, TimestampMs, TopicConfig,
};

use crate::steps::{names, producer, refused, send};
use crate::world::{NOW, World, on_both_disks};

on_both_disks!(
    no_call_with_bad_arguments_changes_anything,
    no_setting_of_a_topic_takes_a_value_that_kafka_refuses,
    no_setting_of_the_brokers_takes_a_value_that_kafka_refuses,
    an_engine_for_reading_refuses_every_change,
    a_closed_engine_refuses_everything,
    adopting_with_bad_arguments_changes_nothing,
    extreme_arguments_that_make_sense_are_taken,
);

/// Two partitions of `orders`, three records in the first of them.
fn orders(world: &World) -> Engine {
    let engine = world.open();
    engine.admin().create_topic(&NewTopic::named("orders").partitions(2)).unwrap();
    let producer = producer(&engine, &[]);
    for value in ["a", "b", "c"] {
        let record = ProducerRecord {
            topic: "orders",
            partition: Some(0),
            value: Some(value.as_bytes()),
            ..ProducerRecord::default()
        };
        producer.send_record(&record).unwrap().result().unwrap();
    }
    engine
}

fn changes(name: &str, value: Option<&str>) -> BTreeMap<String, Option<String>> {
    BTreeMap::from([(name.to_owned(), value.map(str::to_owned))])
}

fn topic(name: &str) -> ConfigResource {
    ConfigResource::Topic(name.to_owned())
}

type Call = dyn Fn(&Engine) -> Result<()>;
type NamedCall = (&'static str, fn(&Engine) -> Result<()>);

/// A call, what it is refused with, and words of the sentence.
struct Refusal {
    what: String,
    call: Box<Call>,
    code: ErrorCode,
    words: Vec<String>,
}

#[derive(Default)]
struct Table(Vec<Refusal>);

impl Table {
    fn refuse(
        &mut self,
        what: impl Into<String>,
        code: ErrorCode,
        words: &[&str],
        call: impl Fn(&Engine) -> Result<()> + 'static,
    ) {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        self.0.push(Refusal { what: what.into(), call: Box::new(call), code, words });
    }

    fn check(&self, world: &World, engine: &Engine) {
        let before = world.contents();
        for Refusal { what, call, code, words } in &self.0 {
            let error = call(engine).expect_err(what);
            assert_eq!(error.code(), *code, "{what}: {error}");
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            names(&refused(Err::<(), _>(error), *code), &words);
            let after = world.contents();
            let changed: Vec<_> = after.iter().filter(|(name, bytes)| before.get(*name) != Some(bytes)).collect();
            assert!(after == before, "{what}: it changed {changed:?}");
        }
        assert_eq!(engine.report().unwrap().to_string(), "", "a mistake of the caller's is no finding");
        println!("{} calls were refused", self.0.len());
    }
}

/// Names that Kafka does not allow, with what a sentence about them says.
fn illegal_names() -> Vec<(String, &'static str)> {
    let mut names = vec![(String::new(), "empty"), ("x".repeat(250), "249"), ("x".repeat(100_000), "249")];
    names.extend([".", ".."].map(|name| (name.to_owned(), name)));
    for (name, sign) in [
        ("a b", "' '"),
        ("a/b", "'/'"),
        ("../orders", "'/'"),
        ("a\\b", "'\\\\'"),
        ("ä", "e4"),
        ("a\0b", "0"),
        ("a\nb", "\\n"),
        ("a:b", "':'"),
        ("a,b", "','"),
        ("😀", "1f600"),
    ] {
        names.push((name.to_owned(), sign));
    }
    names
}

const INTERNAL: [&str; 3] = ["__cluster_metadata", "__consumer_offsets", "__transaction_state"];

fn no_call_with_bad_arguments_changes_anything(world: &World) {
    let mut table = Table::default();
    names_of_topics(&mut table);
    counts(&mut table);
    partitions_and_offsets(&mut table);
    names_of_settings(&mut table);
    table.check(world, &orders(world));
}

fn names_of_topics(table: &mut Table) {
    use ErrorCode::{InvalidTopic, TopicAlreadyExists, UnknownTopicOrPartition};
    for (name, word) in illegal_names() {
        let new = NewTopic::named(&name);
        let short: String = name.chars().take(20).collect();
        table.refuse(format!("create_topic '{short}'"), InvalidTopic, &[word], move |engine| {
            engine.admin().create_topic(&new).map(drop)
        });
        table.refuse(format!("send to '{short}'"), InvalidTopic, &[word], move |engine| {
            producer(engine, &[]).send(&name, None, None).map(drop)
        });
    }
    table.refuse("create what is there", TopicAlreadyExists, &["'orders'"], |engine| {
        engine.admin().create_topic(&NewTopic::named("orders").partitions(7).config("retention.ms", "1")).map(drop)
    });
    // Whoever asks for what is not there is told what is there.
    for name in ["oders", "orderz", "Orders", "", "no such thing", "..", "x\0"] {
        let near: &[&str] = if name.to_lowercase().starts_with('o') { &["'orders'"] } else { &[] };
        let quoted = format!("'{name}'");
        let words = [&[&*quoted], near].concat();
        let mut refuse = |what: &str, call: fn(&Engine, &str) -> Result<()>| {
            let name = name.to_owned();
            table.refuse(format!("{what} of '{name}'"), UnknownTopicOrPartition, &words, move |engine| {
                call(engine, &name)
            });
        };
        refuse("add_partitions", |engine, name| engine.admin().add_partitions(name, 3).map(drop));
        refuse("delete_topic", |engine, name| engine.admin().delete_topic(name));
        refuse("describe_topic", |engine, name| engine.admin().describe_topic(name).map(drop));
        refuse("list_offset", |engine, name| engine.admin().list_offset(name, 0, OffsetSpec::Latest).map(drop));
        refuse("delete_records", |engine, name| engine.admin().delete_records(name, 0, None).map(drop));
        refuse("describe_configs", |engine, name| engine.admin().describe_configs(&topic(name)).map(drop));
        refuse("alter_configs", |engine, name| {
            engine.admin().alter_configs(&topic(name), &changes("retention.ms", Some("1")))
        });
        refuse("alter_configs without changes", |engine, name| {
            engine.admin().alter_configs(&topic(name), &BTreeMap::new())
        });
        refuse("list_segments", |engine, name| engine.admin().list_segments(name, 0).map(drop));
        refuse("list_batches", |engine, name| engine.admin().list_batches(name, 0, 0, 1).map(drop));
        refuse("verify", |engine, name| engine.admin().verify(Some(name)).map(drop));
        refuse("assign", |engine, name| engine.consumer()?.assign(name, 0, Start::Earliest));
        refuse("assign_topics", |engine, name| engine.consumer()?.assign_topics(&["orders", name], Start::Earliest));
    }
    for name in INTERNAL {
        let words = [&*format!("'{name}'"), "Kafka's own"];
        table.refuse(format!("add_partitions of {name}"), InvalidTopic, &words, move |engine| {
            engine.admin().add_partitions(name, 60).map(drop)
        });
        table.refuse(format!("delete_topic of {name}"), InvalidTopic, &words, move |engine| {
            engine.admin().delete_topic(name)
        });
        table.refuse(format!("send to {name}"), InvalidTopic, &words, move |engine| {
            producer(engine, &[]).send(name, None, None).map(drop)
        });
    }
    // Kafka's controller refuses that too. It is no topic, and its directory is nobody's to move away.
    table.refuse("create the metadata log", InvalidTopic, &["'__cluster_metadata'", "Kafka's own"], |engine| {
        engine.admin().create_topic(&NewTopic::named("__cluster_metadata")).map(drop)
    });
}

fn counts(table: &mut Table) {
    use ErrorCode::{InvalidPartitions, InvalidReplicationFactor, PolicyViolation};
    for count in [0, -2, i32::MIN] {
        let words = ["'new'", &count.to_string()];
        table.refuse(format!("{count} partitions"), InvalidPartitions, &words, move |engine| {
            engine.admin().create_topic(&NewTopic::named("new").partitions(count)).map(drop)
        });
    }
    for count in [10_001, i32::MAX] {
        table.refuse(format!("{count} partitions"), PolicyViolation, &[&count.to_string(), "10000"], move |engine| {
            engine.admin().create_topic(&NewTopic::named("new").partitions(count)).map(drop)
        });
    }
    for factor in [0, 2, -2, i32::MIN, 32_767, i32::MAX] {
        let words = ["'new'", &factor.to_string(), "1 broker"];
        table.refuse(format!("{factor} replicas"), InvalidReplicationFactor, &words, move |engine| {
            let new = NewTopic { replication_factor: Some(factor), ..NewTopic::named("new") };
            engine.admin().create_topic(&new).map(drop)
        });
    }
    for total in [2, 1, 0, -1, i32::MIN] {
        let words = ["'orders'", "2 partitions", &total.to_string()];
        table.refuse(format!("{total} partitions in all"), InvalidPartitions, &words, move |engine| {
            engine.admin().add_partitions("orders", total).map(drop)
        });
    }
    for total in [10_003, i32::MAX] {
        let words = ["'orders'", &(total - 2).to_string(), "10000"];
        table.refuse(format!("{total} partitions in all"), PolicyViolation, &words, move |engine| {
            engine.admin().add_partitions("orders", total).map(drop)
        });
    }
}

fn partitions_and_offsets(table: &mut Table) {
    use ErrorCode::{InvalidTimestamp, NotAssigned, OffsetOutOfRange, UnknownTopicOrPartition};
    for number in [2, -1, i32::MIN, i32::MAX] {
        let words = ["orders", "0 to 1", &number.to_string()];
        let mut refuse = |what: &str, call: fn(&Engine, i32) -> Result<()>| {
            table.refuse(format!("{what} of {number}"), UnknownTopicOrPartition, &words, move |engine| {
                call(engine, number)
            });
        };
        refuse("list_offset", |engine, n| engine.admin().list_offset("orders", n, OffsetSpec::Earliest).map(drop));
        refuse("delete_records", |engine, n| engine.admin().delete_records("orders", n, None).map(drop));
        refuse("list_segments", |engine, n| engine.admin().list_segments("orders", n).map(drop));
        refuse("list_batches", |engine, n| engine.admin().list_batches("orders", n, 0, 1).map(drop));
        refuse("assign", |engine, n| engine.consumer()?.assign("orders", n, Start::Earliest));
        refuse("send_record", |engine, n| {
            let record = ProducerRecord { topic: "orders", partition: Some(n), ..ProducerRecord::default() };
            producer(engine, &[]).send_record(&record).map(drop)
        });
        refuse("append_batch", |engine, n| producer(engine, &[]).append_batch("orders", n, &[]).map(drop));
    }
    for offset in [4, -1, -2, i64::MIN, i64::MAX] {
        let words = ["orders-0", &offset.to_string(), "3"];
        table.refuse(format!("delete_records before {offset}"), OffsetOutOfRange, &words, move |engine| {
            engine.admin().delete_records("orders", 0, Some(offset)).map(drop)
        });
        table.refuse(format!("list_batches from {offset}"), OffsetOutOfRange, &words, move |engine| {
            engine.admin().list_batches("orders", 0, offset, usize::MAX).map(drop)
        });
    }
    for offset in [-1, i64::MIN] {
        let words = ["orders-0", &offset.to_string()];
        table.refuse(format!("assign at {offset}"), OffsetOutOfRange, &words, move |engine| {
            engine.consumer()?.assign("orders", 0, Start::Offset(offset))
        });
    }
    table.refuse("seek elsewhere", NotAssigned, &["orders-1"], |engine| {
        let mut consumer = engine.consumer()?;
        consumer.assign("orders", 0, Start::Earliest)?;
        consumer.seek("orders", 1, Start::Latest)
    });
    // An hour ahead is allowed.
    for timestamp in [NOW + 3_600_001, i64::MAX] {
        let words = [&*timestamp.to_string(), "3600000"];
        table.refuse(format!("a record of {timestamp}"), InvalidTimestamp, &words, move |engine| {
            let record = ProducerRecord { topic: "orders", timestamp: Some(timestamp), ..ProducerRecord::default() };
            producer(engine, &[]).send_record(&record).and_then(|sent| sent.result()).map(drop)
        });
    }
}

fn names_of_settings(table: &mut Table) {
    use ErrorCode::InvalidConfig;
    for (name, near) in [("retention.sm", "'retention.ms'"), ("Retention.ms", "'retention.ms'"), ("", "''")] {
        table.refuse(format!("create with {name}"), InvalidConfig, &[&format!("'{name}'"), near], move |engine| {
            engine.admin().create_topic(&NewTopic::named("new").config(name, "1")).map(drop)
        });
        for value in [Some("1"), None] {
            table.refuse(format!("{name}={value:?}"), InvalidConfig, &[&format!("'{name}'"), near], move |engine| {
                engine.admin().alter_configs(&topic("orders"), &changes(name, value))
            });
        }
    }
    for (name, near) in [("log.retention.sm", "'log.retention.ms'"), ("retention.ms", "'log.retention.ms'"), ("", "''")]
    {
        for value in [Some("1"), None] {
            table.refuse(format!("{name}={value:?}"), InvalidConfig, &[&format!("'{name}'"), near], move |engine| {
                engine.admin().alter_configs(&ConfigResource::Brokers, &changes(name, value))
            });
        }
    }
    // What says whether anything may be deleted, and what an engine is told when it is opened.
    let given = EngineConfig::rows().into_iter().map(|row| row.name).chain(["klog.retention.enable"]);
    for name in given.filter(|name| !TopicConfig::NAMES.contains(name)) {
        for value in [Some("1"), Some("true"), None] {
            for resource in [ConfigResource::Brokers, topic("orders")] {
                table.refuse(format!("{name}={value:?}"), InvalidConfig, &[name], move |engine| {
                    engine.admin().alter_configs(&resource, &changes(name, value))
                });
            }
        }
    }
    // One good setting beside a bad one changes nothing either.
    table.refuse("good and bad", InvalidConfig, &["segment.bytes", "1048576"], |engine| {
        let both: BTreeMap<_, _> =
            changes("retention.ms", Some("1")).into_iter().chain(changes("segment.bytes", Some("1"))).collect();
        engine.admin().alter_configs(&topic("orders"), &both)
    });
    table.refuse("lag upside down", InvalidConfig, &["min.compaction.lag.ms", "3", "2"], |engine| {
        let new = NewTopic::named("new").config("min.compaction.lag.ms", "3").config("max.compaction.lag.ms", "2");
        engine.admin().create_topic(&new).map(drop)
    });
}

/// Texts that are no value of an option of this type.
fn of_the_wrong_type(kind: &str) -> &'static [&'static str] {
    match kind {
        "int" | "long" => &["", " ", "x", "1.5", "1e3", "0x10", "1 000", "--1", "10000000000000000000000", "1k", "٣"],
        "double" => &["", "x", "NaN", "inf", "-inf", "1/2"],
        "boolean" => &["", "1", "0", "yes", "on", "truefalse"],
        "string" => &[],
        _ => &["x", "CREATETIME", "deflate", "delete;compact", "os fsync", "Gzip", "00"],
    }
}

/// Values just outside of what is allowed, and far outside.
fn out_of_bounds(row: &Row) -> Vec<String> {
    let Some((least, most)) = row.bounds.as_deref().and_then(|bounds| bounds.split_once(" to ")) else {
        return Vec::new();
    };
    if row.kind == "double" {
        return vec!["-0.0001".into(), "1.0001".into(), "1000.5".into()];
    }
    let (least, most): (i128, i128) = (least.parse().unwrap(), most.parse().unwrap());
    let far = [i128::from(i64::MIN), i128::from(i64::MAX) + 1].into_iter().filter(|v| !(least..=most).contains(v));
    [least - 1, most + 1].into_iter().chain(far).map(|value| value.to_string()).collect()
}

/// Every value that an option must refuse.
fn bad_values(row: &Row) -> Vec<String> {
    let wrong = of_the_wrong_type(row.kind).iter().map(|text| (*text).to_owned());
    wrong.chain(out_of_bounds(row)).collect()
}

fn no_setting_of_a_topic_takes_a_value_that_kafka_refuses(world: &World) {
    let mut table = Table::default();
    for row in TopicConfig::rows() {
        for value in bad_values(&row) {
            let words = [row.name, value.trim()];
            let new = NewTopic::named("new").config(row.name, &*value);
            table.refuse(format!("create with {}='{value}'", row.name), ErrorCode::InvalidConfig, &words, {
                move |engine| engine.admin().create_topic(&new).map(drop)
            });
            let change = changes(row.name, Some(&value));
            table.refuse(format!("{}='{value}'", row.name), ErrorCode::InvalidConfig, &words, move |engine| {
                engine.admin().alter_configs(&topic("orders"), &change)
            });
        }
    }
    table.check(world, &orders(world));
}

fn no_setting_of_the_brokers_takes_a_value_that_kafka_refuses(world: &World) {
    let mut table = Table::default();
    for row in TopicConfig::rows() {
        let Some(name) = row.broker_name else { continue };
        for value in bad_values(&row) {
            let change = changes(name, Some(&value));
            let words = [name, value.trim()];
            table.refuse(format!("{name}='{value}'"), ErrorCode::InvalidConfig, &words, move |engine| {
                engine.admin().alter_configs(&ConfigResource::Brokers, &change)
            });
        }
    }
    table.check(world, &orders(world));
}

/// Producers, consumers and engines are told by name too: what they refuse leaves what they had.
#[test]
fn no_option_takes_a_value_out_of_its_bounds() {
    let mut tried = 0;
    let mut refuse = |row: &Row, set: &mut dyn FnMut(&str, &str) -> Result<()>| {
        for value in bad_values(row) {
            let message = refused(set(row.name, &value), ErrorCode::InvalidConfig);
            names(&message, &[row.name, value.trim()]);
            let limit = row.bounds.as_deref().unwrap_or(row.kind);
            let says_limit = message.contains(limit)
                || ["a whole number of", "a number", "true or false", "one of", "1 to 9", "list"]
                    .iter()
                    .any(|words| message.contains(words));
            assert!(says_limit, "'{message}' does not say what is allowed: {limit}");
            tried += 1;
        }
        // What is allowed is allowed to the last.
        if let Some((least, most)) = row.bounds.as_deref().and_then(|bounds| bounds.split_once(" to ")) {
            set(row.name, least).unwrap();
            set(row.name, most).unwrap();
        }
        if let Some(default) = &row.default {
            set(row.name, default).unwrap();
        }
    };
    let (mut producer, mut consumer) = (ProducerConfig::default(), ConsumerConfig::default());
    let (mut engine, mut topic) = (EngineConfig::default(), TopicConfig::default());
    ProducerConfig::rows().iter().for_each(|row| refuse(row, &mut |name, value| producer.set(name, value)));
    ConsumerConfig::rows().iter().for_each(|row| refuse(row, &mut |name, value| consumer.set(name, value)));
    EngineConfig::rows().iter().for_each(|row| refuse(row, &mut |name, value| engine.set(name, value)));
    TopicConfig::rows()
        .iter()
        .filter(|row| row.name != "flush.ms")
        .for_each(|row| refuse(row, &mut |name, value| topic.set(name, value)));
    assert_eq!(producer, ProducerConfig::default(), "what was refused changed something");
    assert_eq!(consumer, ConsumerConfig::default());
    assert_eq!(engine, EngineConfig::default());
    assert_eq!(topic, TopicConfig::default());
    println!("{tried} values were refused");
    for (name, near) in [("num.partition", "'num.partitions'"), ("theads", "'threads'"), ("", "''")] {
        names(&refused(OpenOptions::new().set(name, "1"), ErrorCode::InvalidConfig), &[&format!("'{name}'"), near]);
    }
}

/// The bounds of Kafka 4.x, from its documentation; above, the type is the bound.
///
/// Source: `org.apache.kafka.storage.internals.log.LogConfig`.
#[test]
fn bounds_of_topic_settings_are_kafkas() {
    let kafkas: BTreeMap<&str, &str> = BTreeMap::from([
        ("delete.retention.ms", "0"),
        ("file.delete.delay.ms", "0"),
        ("flush.messages", "1"),
        ("flush.ms", "0"),
        ("index.interval.bytes", "0"),
        ("max.compaction.lag.ms", "1"),
        ("max.message.bytes", "0"),
        ("message.timestamp.after.max.ms", "0"),
        ("message.timestamp.before.max.ms", "0"),
        ("min.cleanable.dirty.ratio", "0"),
        ("min.compaction.lag.ms", "0"),
        ("min.insync.replicas", "1"),
        ("retention.ms", "-1"),
        ("segment.bytes", "1048576"),
        ("segment.index.bytes", "4"),
        ("segment.jitter.ms", "0"),
        ("segment.ms", "1"),
        ("compression.lz4.level", "1"),
        ("compression.zstd.level", "-131072"),
    ]);
    let mut found = BTreeMap::new();
    for row in TopicConfig::rows() {
        let bounds = row.bounds.clone().unwrap_or_default();
        let Some((least, most)) = bounds.split_once(" to ") else { continue };
        found.insert(row.name, least.to_owned());
        let limit = match (row.name, row.kind) {
            ("compression.lz4.level", _) => "17".to_owned(),
            ("compression.zstd.level", _) => "22".to_owned(),
            (_, "int") => i32::MAX.to_string(),
            (_, "long") => i64::MAX.to_string(),
            _ => "1".to_owned(),
        };
        assert_eq!(most, limit, "{}", row.name);
    }
    assert_eq!(found.iter().map(|(name, least)| (*name, &**least)).collect::<BTreeMap<_, _>>(), kafkas);
}

/// Every call that changes something, with arguments that make sense.
fn changing_calls() -> Vec<NamedCall> {
    vec![
        ("create_topic", |engine| engine.admin().create_topic(&NewTopic::named("new")).map(drop)),
        ("add_partitions", |engine| engine.admin().add_partitions("orders", 3).map(drop)),
        ("alter_configs of a topic", |engine| {
            engine.admin().alter_configs(&topic("orders"), &changes("retention.ms", Some("1")))
        }),
        ("alter_configs of nothing", |engine| engine.admin().alter_configs(&topic("orders"), &BTreeMap::new())),
        ("alter_configs of the brokers", |engine| {
            engine.admin().alter_configs(&ConfigResource::Brokers, &changes("log.retention.ms", Some("1")))
        }),
        ("delete_topic", |engine| engine.admin().delete_topic("orders")),
        ("delete_records", |engine| engine.admin().delete_records("orders", 0, Some(1)).map(drop)),
        ("delete_old_segments", |engine| engine.admin().delete_old_segments().map(drop)),
        ("producer", |engine| engine.producer().map(drop)),
    ]
}

/// Every call that only looks.
fn looking_calls() -> Vec<NamedCall> {
    vec![
        ("list_topics", |engine| engine.admin().list_topics().map(drop)),
        ("describe_topic", |engine| engine.admin().describe_topic("orders").map(drop)),
        ("list_offset", |engine| engine.admin().list_offset("orders", 0, OffsetSpec::MaxTimestamp).map(drop)),
        ("describe_configs of a topic", |engine| engine.admin().describe_configs(&topic("orders")).map(drop)),
        ("describe_configs of the brokers", |engine| {
            engine.admin().describe_configs(&ConfigResource::Brokers).map(drop)
        }),
        ("describe_log_dirs", |engine| engine.admin().describe_log_dirs().map(drop)),
        ("list_segments", |engine| engine.admin().list_segments("orders", 0).map(drop)),
        ("list_batches", |engine| engine.admin().list_batches("orders", 0, 0, 9).map(drop)),
        ("verify", |engine| engine.admin().verify(None).map(drop)),
        ("verify of a topic", |engine| engine.admin().verify(Some("orders")).map(drop)),
        ("report", |engine| engine.report().map(drop)),
        ("cluster_id", |engine| engine.cluster_id().map(drop)),
        ("consumer", |engine| engine.consumer().map(drop)),
    ]
}

fn an_engine_for_reading_refuses_every_change(world: &World) {
    orders(world).close().unwrap();
    let before = (world.contents(), world.list(""));
    let reader = world.open_for_reading();
    for (what, call) in changing_calls() {
        let error = call(&reader).expect_err(what);
        assert_eq!(error.code(), ErrorCode::ReadOnly, "{what}: {error}");
        names(error.message(), &["for reading only", reader.path().to_str().unwrap()]);
    }
    for (what, call) in looking_calls() {
        call(&reader).expect(what);
    }
    // An engine for reading that is asked for nonsense says which nonsense, or that it reads.
    let error = reader.admin().add_partitions("oders", -1).unwrap_err();
    assert!([ErrorCode::ReadOnly, ErrorCode::UnknownTopicOrPartition].contains(&error.code()), "{error}");
    reader.close().unwrap();
    assert_eq!((world.contents(), world.list("")), before);
}

fn a_closed_engine_refuses_everything(world: &World) {
    let engine = orders(world);
    let (admin, held) = (engine.admin(), producer(&engine, &[]));
    let mut consumer = crate::steps::consumer_of(&engine, "orders", Start::Earliest);
    engine.close().unwrap();
    let before = world.contents();
    for (what, call) in changing_calls().into_iter().chain(looking_calls()) {
        let error = call(&engine).expect_err(what);
        assert_eq!(error.code(), ErrorCode::Closed, "{what}: {error}");
        assert!(error.is_fatal(), "{what}");
        names(error.message(), &["closed", engine.path().to_str().unwrap()]);
    }
    refused(admin.add_partitions("orders", 9), ErrorCode::Closed);
    refused(held.send("orders", None, None).map(drop), ErrorCode::Closed);
    refused(held.send("never seen", None, None).map(drop), ErrorCode::Closed);
    refused(consumer.poll(std::time::Duration::ZERO).map(drop), ErrorCode::Closed);
    refused(consumer.assign("orders", 1, Start::Latest), ErrorCode::Closed);
    refused(engine.flush(), ErrorCode::Closed);
    engine.close().unwrap();
    assert_eq!(world.contents(), before);
}

fn adopting_with_bad_arguments_changes_nothing(world: &World) {
    orders(world).close().unwrap();
    let before = (world.contents(), world.list(""));
    let adopt = |ms, bytes| world.options().adopt(&world.dir, Retention { ms, bytes });
    for value in [-2, i64::MIN] {
        names(&refused(adopt(value, -1), ErrorCode::InvalidConfig), &["log.retention.ms", &value.to_string(), "-1"]);
        names(&refused(adopt(-1, value), ErrorCode::InvalidConfig), &["log.retention.bytes", &value.to_string(), "-1"]);
    }
    let nowhere = world.dir.join("nowhere");
    let refuse = |path: &std::path::Path, code| {
        names(&refused(world.options().adopt(path, Retention::FOREVER), code), &[path.to_str().unwrap()]);
        names(&refused(world.options().mode(Mode::ReadOnly).open(path), code), &[path.to_str().unwrap()]);
    };
    refuse(&nowhere, ErrorCode::KafkaStorageError);
    refuse(&world.dir.join("meta.properties"), ErrorCode::KafkaStorageError);
    refuse(&world.dir.join("orders-0"), ErrorCode::KafkaStorageError);
    assert_eq!((world.contents(), world.list("")), before);
}

/// What looks absurd and is not: it is answered.
fn extreme_arguments_that_make_sense_are_taken(world: &World) {
    let engine = orders(world);
    let admin = engine.admin();
    let at = |timestamp| admin.list_offset("orders", 0, OffsetSpec::At(TimestampMs(timestamp))).unwrap();
    for timestamp in [i64::MIN, -1, 0, NOW] {
        assert_eq!((at(timestamp).offset, at(timestamp).timestamp), (0, NOW), "at {timestamp}");
    }
    for timestamp in [NOW + 1, i64::MAX] {
        assert_eq!((at(timestamp).offset, at(timestamp).timestamp), (-1, -1), "at {timestamp}");
    }
    assert_eq!(admin.list_batches("orders", 0, 0, usize::MAX).unwrap().len(), 3);
    assert_eq!(admin.list_batches("orders", 0, 0, 0).unwrap().len(), 0);
    assert_eq!(admin.list_batches("orders", 0, 3, 1).unwrap().len(), 0, "the end is in range, and nothing is there");
    assert_eq!(admin.list_batches("orders", 1, 0, 1).unwrap().len(), 0, "an empty partition");
    assert_eq!(admin.delete_records("orders", 1, Some(0)).unwrap(), 0);
    assert_eq!(admin.delete_records("orders", 0, Some(0)).unwrap(), 0);
    for start in [Start::Timestamp(i64::MIN), Start::Timestamp(i64::MAX), Start::Offset(i64::MAX), Start::Offset(4)] {
        let mut consumer = engine.consumer().unwrap();
        consumer.assign("orders", 0, start).unwrap();
        let found = crate::steps::drain(&mut consumer).len();
        // Out of range with auto.offset.reset=earliest: from the first record on.
        let expected = if start == Start::Timestamp(i64::MAX) { 0 } else { 3 };
        assert_eq!(found, expected, "{start:?}");
    }
    let most = i64::MAX.to_string();
    let long: Vec<_> = TopicConfig::rows().into_iter().filter(|row| row.kind == "long").collect();
    for row in long.iter().filter(|row| row.name != "min.compaction.lag.ms") {
        admin.alter_configs(&topic("orders"), &changes(row.name, Some(&most))).unwrap();
    }
    let producer = producer(&engine, &[]);
    let record = ProducerRecord { topic: "orders", partition: Some(0), value: Some(b"d"), ..ProducerRecord::default() };
    assert_eq!(producer.send_record(&record).unwrap().result().unwrap().offset, 3);
    world.advance(100_000_000);
    assert_eq!(admin.delete_old_segments().unwrap(), 0);
    send(&engine, "other", "one");
    engine.close().unwrap();
    let engine = world.open();
    assert_eq!(crate::steps::offsets(&engine, "orders"), [0, 1, 2, 3]);
    assert!(engine.report().unwrap().is_empty(), "{}", engine.report().unwrap());
}
