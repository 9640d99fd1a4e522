//! The records of KRaft's metadata log.
//!
//! A record's value is `frame:uvarint=1 type:uvarint version:uvarint`, then the fields of that version, all flexible. What
//! klog does not model is kept as it came, byte for byte.
//!
//! Source: Kafka `metadata/src/main/resources/common/metadata/*.json`; KIP-631.

use crate::record::{Reader, TaggedFields, Writer};
use crate::types::Uuid;

/// A change of the metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum MetadataRecord {
    /// A broker announces itself.
    RegisterBroker(RegisterBroker),
    /// A broker is gone for good.
    UnregisterBroker {
        /// Its node id.
        broker_id: i32,
        /// Its epoch.
        broker_epoch: i64,
    },
    /// A broker takes no part any more; Kafka before 3.3.
    FenceBroker {
        /// Its node id.
        broker_id: i32,
        /// Its epoch.
        broker_epoch: i64,
    },
    /// A broker takes part again; Kafka before 3.3.
    UnfenceBroker {
        /// Its node id.
        broker_id: i32,
        /// Its epoch.
        broker_epoch: i64,
    },
    /// Which replicas may lead although they are not in sync is forgotten.
    ClearElr {
        /// Of which topic; empty for all.
        topic_name: String,
    },
    /// A topic exists.
    Topic {
        /// Its name.
        name: String,
        /// Its id.
        id: Uuid,
    },
    /// A topic and its partitions and settings are gone.
    RemoveTopic {
        /// Its id.
        id: Uuid,
    },
    /// A partition exists.
    Partition(PartitionRecord),
    /// A partition changed.
    PartitionChange(PartitionChange),
    /// A setting was made, or taken back.
    Config {
        /// What kind of thing it belongs to.
        resource: ResourceType,
        /// Which one; empty for the default of all brokers.
        name: String,
        /// Kafka's name of the option.
        key: String,
        /// `None` takes it back.
        value: Option<String>,
    },
    /// A feature is at a level.
    FeatureLevel {
        /// Its name: `metadata.version`, `group.version`, …
        name: String,
        /// The level; 0 switches it off.
        level: i16,
    },
    /// Producer ids below this were given away.
    ProducerIds {
        /// To whom.
        broker_id: i32,
        /// That broker's epoch.
        broker_epoch: i64,
        /// The first one that is free.
        next_producer_id: i64,
    },
    /// A broker's registration changed. −1 and 1 in `fenced` take the fence away and put it up.
    BrokerRegistrationChange {
        /// Its node id.
        broker_id: i32,
        /// Its epoch.
        broker_epoch: i64,
        /// −1, 0 for no change, 1.
        fenced: i8,
        /// 1 when it is going away.
        in_controlled_shutdown: i8,
        /// New log directories.
        log_dirs: Option<Vec<Uuid>>,
    },
    /// The records up to the end, or the abort, belong together.
    BeginTransaction,
    /// They hold.
    EndTransaction,
    /// They do not.
    AbortTransaction,
    /// Nothing; a sign of life.
    NoOp,
    /// One that klog does not model.
    Other {
        /// Its type.
        type_id: u32,
        /// Its version.
        version: u32,
        /// The whole value, frame included.
        value: Vec<u8>,
    },
}

/// What a setting belongs to, by Kafka's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceType(pub i8);

impl ResourceType {
    /// A topic.
    pub const TOPIC: ResourceType = ResourceType(2);
    /// A broker, or with an empty name all of them.
    pub const BROKER: ResourceType = ResourceType(4);
}

/// A broker announces itself.
#[derive(Clone, Debug, PartialEq)]
pub struct RegisterBroker {
    /// Its node id.
    pub broker_id: i32,
    /// Whether it is one of the ZooKeeper era that is on its way to KRaft.
    pub is_migrating_zk_broker: bool,
    /// A new id for every start.
    pub incarnation_id: Uuid,
    /// Offset of the record.
    pub broker_epoch: i64,
    /// Where it listens: name, host, port, protocol.
    pub endpoints: Vec<(String, String, u16, i16)>,
    /// What it supports: name, lowest and highest level.
    pub features: Vec<(String, i16, i16)>,
    /// Where it stands.
    pub rack: Option<String>,
    /// Whether it takes no part yet.
    pub fenced: bool,
    /// Whether it is going away.
    pub in_controlled_shutdown: bool,
    /// Ids of its directories.
    pub log_dirs: Vec<Uuid>,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionRecord {
    /// Its number.
    pub partition: i32,
    /// Its topic.
    pub topic_id: Uuid,
    /// Brokers that have a copy, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Those in sync.
    pub isr: Vec<i32>,
    /// Those about to go.
    pub removing_replicas: Vec<i32>,
    /// Those about to come.
    pub adding_replicas: Vec<i32>,
    /// The leader, −1 for none.
    pub leader: i32,
    /// Counts leaders.
    pub leader_epoch: i32,
    /// Counts changes.
    pub partition_epoch: i32,
    /// Directories of the replicas, in their order; empty in versions that have none.
    pub directories: Vec<Uuid>,
    /// 1 after an unclean election.
    pub leader_recovery_state: i8,
    /// Brokers that may lead although not in sync.
    pub eligible_leader_replicas: Option<Vec<i32>>,
    /// Those as last known.
    pub last_known_elr: Option<Vec<i32>>,
}

impl PartitionRecord {
    /// A partition that one broker has, and leads.
    pub fn sole(topic_id: Uuid, partition: i32, broker: i32, directory: Uuid, leader_epoch: i32) -> PartitionRecord {
        PartitionRecord {
            partition,
            topic_id,
            replicas: vec![broker],
            isr: vec![broker],
            removing_replicas: Vec::new(),
            adding_replicas: Vec::new(),
            leader: broker,
            leader_epoch,
            partition_epoch: 0,
            directories: vec![directory],
            leader_recovery_state: 0,
            eligible_leader_replicas: None,
            last_known_elr: None,
        }
    }
}

/// What changed of a partition; `None` is no change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionChange {
    /// Its number.
    pub partition: i32,
    /// Its topic.
    pub topic_id: Uuid,
    /// Those in sync.
    pub isr: Option<Vec<i32>>,
    /// The leader, −1 for none. Any change raises the leader epoch.
    pub leader: Option<i32>,
    /// Brokers that have a copy.
    pub replicas: Option<Vec<i32>>,
    /// Those about to go.
    pub removing_replicas: Option<Vec<i32>>,
    /// Those about to come.
    pub adding_replicas: Option<Vec<i32>>,
    /// 1 after an unclean election.
    pub leader_recovery_state: Option<i8>,
    /// Brokers that may lead although not in sync.
    pub eligible_leader_replicas: Option<Vec<i32>>,
    /// Those as last known.
    pub last_known_elr: Option<Vec<i32>>,
    /// Directories of the replicas.
    pub directories: Option<Vec<Uuid>>,
}

const FRAME_VERSION: u32 = 1;

/// Type numbers of the records that are modelled.
mod type_id {
    pub(super) const REGISTER_BROKER: u32 = 0;
    pub(super) const UNREGISTER_BROKER: u32 = 1;
    pub(super) const TOPIC: u32 = 2;
    pub(super) const PARTITION: u32 = 3;
    pub(super) const CONFIG: u32 = 4;
    pub(super) const PARTITION_CHANGE: u32 = 5;
    pub(super) const FENCE_BROKER: u32 = 7;
    pub(super) const UNFENCE_BROKER: u32 = 8;
    pub(super) const REMOVE_TOPIC: u32 = 9;
    pub(super) const FEATURE_LEVEL: u32 = 12;
    pub(super) const PRODUCER_IDS: u32 = 15;
    pub(super) const BROKER_REGISTRATION_CHANGE: u32 = 17;
    pub(super) const NO_OP: u32 = 20;
    pub(super) const BEGIN_TRANSACTION: u32 = 23;
    pub(super) const END_TRANSACTION: u32 = 24;
    pub(super) const ABORT_TRANSACTION: u32 = 25;
    pub(super) const CLEAR_ELR: u32 = 28;
}

/// The highest version of each modelled record that is understood.
fn highest_version(type_id: u32) -> Option<u32> {
    Some(match type_id {
        type_id::REGISTER_BROKER => 4,
        type_id::BROKER_REGISTRATION_CHANGE => 3,
        type_id::PARTITION | type_id::PARTITION_CHANGE => 2,
        type_id::UNREGISTER_BROKER
        | type_id::FENCE_BROKER
        | type_id::UNFENCE_BROKER
        | type_id::CLEAR_ELR
        | type_id::TOPIC
        | type_id::CONFIG
        | type_id::REMOVE_TOPIC
        | type_id::FEATURE_LEVEL
        | type_id::PRODUCER_IDS
        | type_id::NO_OP
        | type_id::BEGIN_TRANSACTION
        | type_id::END_TRANSACTION
        | type_id::ABORT_TRANSACTION => 0,
        _ => return None,
    })
}

impl MetadataRecord {
    /// A setting; `None` takes it back.
    pub fn config(resource: ResourceType, name: &str, key: &str, value: Option<&str>) -> MetadataRecord {
        let (name, key, value) = (name.to_owned(), key.to_owned(), value.map(str::to_owned));
        MetadataRecord::Config { resource, name, key, value }
    }

    /// Reads the value of a record. Types that are not modelled, and versions that are too new, come back as `Other`.
    ///
    /// # Errors
    /// A sentence when the bytes do not have the form.
    pub fn parse(value: &[u8]) -> Result<MetadataRecord, String> {
        let mut reader = Reader::new(value);
        let head = (|| Some((reader.uvarint()?, reader.uvarint()?, reader.uvarint()?)))();
        let (frame, type_id, version) = head.ok_or("a metadata record has no header")?;
        if frame != FRAME_VERSION {
            return Err(format!("frame version {frame} is not 1; version 0 was Kafka 2.8's preview"));
        }
        if highest_version(type_id).is_none_or(|highest| version > highest) {
            return Ok(MetadataRecord::Other { type_id, version, value: value.to_vec() });
        }
        let record = read_body(&mut reader, type_id, version)
            .ok_or_else(|| format!("a metadata record of type {type_id} is cut off at byte {}", reader.position()))?;
        if !reader.is_at_end() {
            let behind = value.len() - reader.position();
            return Err(format!("{behind} bytes follow a metadata record of type {type_id}"));
        }
        Ok(record)
    }

    /// The value as Kafka 4.0 writes it.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        let head = |writer: &mut Writer, type_id: u32, version: u32| {
            writer.put_uvarint(FRAME_VERSION).put_uvarint(type_id).put_uvarint(version);
        };
        match self {
            MetadataRecord::Other { value, .. } => {
                writer.put_raw(value);
                return writer.into_bytes();
            }
            MetadataRecord::RegisterBroker(broker) => {
                head(&mut writer, type_id::REGISTER_BROKER, 3);
                write_broker(&mut writer, broker);
                return writer.into_bytes();
            }
            MetadataRecord::Partition(partition) => {
                head(&mut writer, type_id::PARTITION, 2);
                write_partition(&mut writer, partition);
                return writer.into_bytes();
            }
            MetadataRecord::PartitionChange(change) => {
                // Version 1 came with directories, 2 with eligible leaders; lower ones say the same in what is left.
                head(&mut writer, type_id::PARTITION_CHANGE, 2);
                write_partition_change(&mut writer, change);
                return writer.into_bytes();
            }
            MetadataRecord::BrokerRegistrationChange {
                broker_id,
                broker_epoch,
                fenced,
                in_controlled_shutdown,
                log_dirs,
            } => {
                let version = if log_dirs.is_some() { 2 } else { u32::from(*in_controlled_shutdown != 0) };
                head(&mut writer, type_id::BROKER_REGISTRATION_CHANGE, version);
                let mut tags = TaggedFields::default();
                if *fenced != 0 {
                    tags.put(0, |value| {
                        value.put_i8(*fenced);
                    });
                }
                if *in_controlled_shutdown != 0 {
                    tags.put(1, |value| {
                        value.put_i8(*in_controlled_shutdown);
                    });
                }
                if let Some(log_dirs) = log_dirs {
                    tags.put(2, |value| {
                        value.put_array(log_dirs, |value, id| {
                            value.put_uuid(*id);
                        });
                    });
                }
                writer.put_i32(*broker_id).put_i64(*broker_epoch).put_tagged_fields(&tags);
                return writer.into_bytes();
            }
            MetadataRecord::UnregisterBroker { broker_id, broker_epoch } => {
                head(&mut writer, type_id::UNREGISTER_BROKER, 0);
                writer.put_i32(*broker_id).put_i64(*broker_epoch);
            }
            MetadataRecord::FenceBroker { broker_id, broker_epoch } => {
                head(&mut writer, type_id::FENCE_BROKER, 0);
                writer.put_i32(*broker_id).put_i64(*broker_epoch);
            }
            MetadataRecord::UnfenceBroker { broker_id, broker_epoch } => {
                head(&mut writer, type_id::UNFENCE_BROKER, 0);
                writer.put_i32(*broker_id).put_i64(*broker_epoch);
            }
            MetadataRecord::ClearElr { topic_name } => {
                head(&mut writer, type_id::CLEAR_ELR, 0);
                writer.put_string(topic_name);
            }
            MetadataRecord::Topic { name, id } => {
                head(&mut writer, type_id::TOPIC, 0);
                writer.put_string(name).put_uuid(*id);
            }
            MetadataRecord::RemoveTopic { id } => {
                head(&mut writer, type_id::REMOVE_TOPIC, 0);
                writer.put_uuid(*id);
            }
            MetadataRecord::Config { resource, name, key, value } => {
                head(&mut writer, type_id::CONFIG, 0);
                writer.put_i8(resource.0).put_string(name).put_string(key).put_nullable_string(value.as_deref());
            }
            MetadataRecord::FeatureLevel { name, level } => {
                head(&mut writer, type_id::FEATURE_LEVEL, 0);
                writer.put_string(name).put_i16(*level);
            }
            MetadataRecord::ProducerIds { broker_id, broker_epoch, next_producer_id } => {
                head(&mut writer, type_id::PRODUCER_IDS, 0);
                writer.put_i32(*broker_id).put_i64(*broker_epoch).put_i64(*next_producer_id);
            }
            MetadataRecord::BeginTransaction => head(&mut writer, type_id::BEGIN_TRANSACTION, 0),
            MetadataRecord::EndTransaction => head(&mut writer, type_id::END_TRANSACTION, 0),
            MetadataRecord::AbortTransaction => head(&mut writer, type_id::ABORT_TRANSACTION, 0),
            MetadataRecord::NoOp => head(&mut writer, type_id::NO_OP, 0),
        }
        writer.put_no_tags();
        writer.into_bytes()
    }
}

fn read_body(reader: &mut Reader<'_>, type_id: u32, version: u32) -> Option<MetadataRecord> {
    let record = match type_id {
        type_id::REGISTER_BROKER => return read_broker(reader, version).map(MetadataRecord::RegisterBroker),
        type_id::PARTITION => return read_partition(reader, version).map(MetadataRecord::Partition),
        type_id::PARTITION_CHANGE => return read_partition_change(reader).map(MetadataRecord::PartitionChange),
        type_id::BROKER_REGISTRATION_CHANGE => {
            let (broker_id, broker_epoch) = (reader.i32()?, reader.i64()?);
            let tags = reader.tagged_fields()?;
            let fenced = tags.get(0).map_or(Some(0), |mut value| value.i8())?;
            let in_controlled_shutdown = tags.get(1).map_or(Some(0), |mut value| value.i8())?;
            let log_dirs = tags.get(2).map(|mut value| value.array(Reader::uuid));
            let log_dirs = match log_dirs {
                None => None,
                Some(dirs) => Some(dirs?),
            };
            return Some(MetadataRecord::BrokerRegistrationChange {
                broker_id,
                broker_epoch,
                fenced,
                in_controlled_shutdown,
                log_dirs,
            });
        }
        type_id::UNREGISTER_BROKER => {
            MetadataRecord::UnregisterBroker { broker_id: reader.i32()?, broker_epoch: reader.i64()? }
        }
        type_id::FENCE_BROKER => MetadataRecord::FenceBroker { broker_id: reader.i32()?, broker_epoch: reader.i64()? },
        type_id::UNFENCE_BROKER => {
            MetadataRecord::UnfenceBroker { broker_id: reader.i32()?, broker_epoch: reader.i64()? }
        }
        type_id::CLEAR_ELR => MetadataRecord::ClearElr { topic_name: reader.string()? },
        type_id::TOPIC => MetadataRecord::Topic { name: reader.string()?, id: reader.uuid()? },
        type_id::REMOVE_TOPIC => MetadataRecord::RemoveTopic { id: reader.uuid()? },
        type_id::CONFIG => MetadataRecord::Config {
            resource: ResourceType(reader.i8()?),
            name: reader.string()?,
            key: reader.string()?,
            value: reader.nullable_string()?,
        },
        type_id::FEATURE_LEVEL => MetadataRecord::FeatureLevel { name: reader.string()?, level: reader.i16()? },
        type_id::PRODUCER_IDS => MetadataRecord::ProducerIds {
            broker_id: reader.i32()?,
            broker_epoch: reader.i64()?,
            next_producer_id: reader.i64()?,
        },
        type_id::BEGIN_TRANSACTION => MetadataRecord::BeginTransaction,
        type_id::END_TRANSACTION => MetadataRecord::EndTransaction,
        type_id::ABORT_TRANSACTION => MetadataRecord::AbortTransaction,
        _ => MetadataRecord::NoOp,
    };
    reader.tagged_fields()?;
    Some(record)
}

fn read_broker(reader: &mut Reader<'_>, version: u32) -> Option<RegisterBroker> {
    let broker_id = reader.i32()?;
    let is_migrating_zk_broker = if version >= 2 { reader.bool()? } else { false };
    let incarnation_id = reader.uuid()?;
    let broker_epoch = reader.i64()?;
    let endpoints = reader.array(|reader| {
        let endpoint = (reader.string()?, reader.string()?, reader.u16()?, reader.i16()?);
        reader.tagged_fields()?;
        Some(endpoint)
    })?;
    let features = reader.array(|reader| {
        let feature = (reader.string()?, reader.i16()?, reader.i16()?);
        reader.tagged_fields()?;
        Some(feature)
    })?;
    let rack = reader.nullable_string()?;
    let fenced = reader.bool()?;
    let in_controlled_shutdown = if version >= 1 { reader.bool()? } else { false };
    let tags = reader.tagged_fields()?;
    let log_dirs = tags.get(0).map_or(Some(Vec::new()), |mut value| value.array(Reader::uuid))?;
    Some(RegisterBroker {
        broker_id,
        is_migrating_zk_broker,
        incarnation_id,
        broker_epoch,
        endpoints,
        features,
        rack,
        fenced,
        in_controlled_shutdown,
        log_dirs,
    })
}

fn write_broker(writer: &mut Writer, broker: &RegisterBroker) {
    writer.put_i32(broker.broker_id).put_bool(broker.is_migrating_zk_broker);
    writer.put_uuid(broker.incarnation_id).put_i64(broker.broker_epoch);
    writer.put_array(&broker.endpoints, |writer, (name, host, port, protocol)| {
        writer.put_string(name).put_string(host).put_u16(*port).put_i16(*protocol).put_no_tags();
    });
    writer.put_array(&broker.features, |writer, (name, lowest, highest)| {
        writer.put_string(name).put_i16(*lowest).put_i16(*highest).put_no_tags();
    });
    writer.put_nullable_string(broker.rack.as_deref()).put_bool(broker.fenced).put_bool(broker.in_controlled_shutdown);
    let mut tags = TaggedFields::default();
    if !broker.log_dirs.is_empty() {
        tags.put(0, |value| {
            value.put_array(&broker.log_dirs, |value, id| {
                value.put_uuid(*id);
            });
        });
    }
    writer.put_tagged_fields(&tags);
}

fn read_partition(reader: &mut Reader<'_>, version: u32) -> Option<PartitionRecord> {
    let partition = reader.i32()?;
    let topic_id = reader.uuid()?;
    let replicas = reader.array(Reader::i32)?;
    let isr = reader.array(Reader::i32)?;
    let removing_replicas = reader.array(Reader::i32)?;
    let adding_replicas = reader.array(Reader::i32)?;
    let (leader, leader_epoch, partition_epoch) = (reader.i32()?, reader.i32()?, reader.i32()?);
    let directories = if version >= 1 { reader.array(Reader::uuid)? } else { Vec::new() };
    let tags = reader.tagged_fields()?;
    let leader_recovery_state = tags.get(0).map_or(Some(0), |mut value| value.i8())?;
    let eligible_leader_replicas = tags.get(1).map_or(Some(None), |mut value| value.nullable_array(Reader::i32))?;
    let last_known_elr = tags.get(2).map_or(Some(None), |mut value| value.nullable_array(Reader::i32))?;
    Some(PartitionRecord {
        partition,
        topic_id,
        replicas,
        isr,
        removing_replicas,
        adding_replicas,
        leader,
        leader_epoch,
        partition_epoch,
        directories,
        leader_recovery_state,
        eligible_leader_replicas,
        last_known_elr,
    })
}

fn put_ids(writer: &mut Writer, ids: &[i32]) {
    writer.put_array(ids, |writer, id| {
        writer.put_i32(*id);
    });
}

fn write_partition(writer: &mut Writer, partition: &PartitionRecord) {
    writer.put_i32(partition.partition).put_uuid(partition.topic_id);
    for ids in [&partition.replicas, &partition.isr, &partition.removing_replicas, &partition.adding_replicas] {
        put_ids(writer, ids);
    }
    writer.put_i32(partition.leader).put_i32(partition.leader_epoch).put_i32(partition.partition_epoch);
    writer.put_array(&partition.directories, |writer, id| {
        writer.put_uuid(*id);
    });
    let mut tags = TaggedFields::default();
    if partition.leader_recovery_state != 0 {
        tags.put(0, |value| {
            value.put_i8(partition.leader_recovery_state);
        });
    }
    if let Some(ids) = &partition.eligible_leader_replicas {
        tags.put(1, |value| put_ids(value, ids));
    }
    if let Some(ids) = &partition.last_known_elr {
        tags.put(2, |value| put_ids(value, ids));
    }
    writer.put_tagged_fields(&tags);
}

fn read_partition_change(reader: &mut Reader<'_>) -> Option<PartitionChange> {
    let partition = reader.i32()?;
    let topic_id = reader.uuid()?;
    let tags = reader.tagged_fields()?;
    let ids = |tag: u32| match tags.get(tag) {
        None => Some(None),
        Some(mut value) => value.nullable_array(Reader::i32),
    };
    let leader = match tags.get(1) {
        None => None,
        Some(mut value) => Some(value.i32()?),
    };
    let leader_recovery_state = match tags.get(5) {
        None => None,
        Some(mut value) => Some(value.i8()?),
    };
    let directories = match tags.get(8) {
        None => None,
        Some(mut value) => value.nullable_array(Reader::uuid)?,
    };
    Some(PartitionChange {
        partition,
        topic_id,
        isr: ids(0)?,
        leader: leader.filter(|leader| *leader != -2),
        replicas: ids(2)?,
        removing_replicas: ids(3)?,
        adding_replicas: ids(4)?,
        leader_recovery_state: leader_recovery_state.filter(|state| *state != -1),
        eligible_leader_replicas: ids(6)?,
        last_known_elr: ids(7)?,
        directories,
    })
}

fn write_partition_change(writer: &mut Writer, change: &PartitionChange) {
    let mut tags = TaggedFields::default();
    let ids = |tags: &mut TaggedFields, tag: u32, ids: &Option<Vec<i32>>| {
        if let Some(ids) = ids {
            tags.put(tag, |value| put_ids(value, ids));
        }
    };
    ids(&mut tags, 0, &change.isr);
    if let Some(leader) = change.leader {
        tags.put(1, |value| {
            value.put_i32(leader);
        });
    }
    ids(&mut tags, 2, &change.replicas);
    ids(&mut tags, 3, &change.removing_replicas);
    ids(&mut tags, 4, &change.adding_replicas);
    if let Some(state) = change.leader_recovery_state {
        tags.put(5, |value| {
            value.put_i8(state);
        });
    }
    ids(&mut tags, 6, &change.eligible_leader_replicas);
    ids(&mut tags, 7, &change.last_known_elr);
    if let Some(directories) = &change.directories {
        tags.put(8, |value| {
            value.put_array(directories, |value, id| {
                value.put_uuid(*id);
            });
        });
    }
    writer.put_i32(change.partition).put_uuid(change.topic_id).put_tagged_fields(&tags);
}
