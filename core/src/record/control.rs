//! Control records: what a log says to itself.
//!
//! The key is `version:i16 type:i16`. Transaction markers (types 0 and 1) have a value of `version:i16
//! coordinatorEpoch:i32`; KRaft's records (2 to 6) have flexible messages that begin with their own version.
//!
//! Source: `org.apache.kafka.common.record.ControlRecordType`; KIP-595, KIP-630, KIP-853.

use super::builder::{BatchBuilder, BatchOptions};
use super::wire::{Reader, Writer};
use super::{BatchError, TimestampType};
use crate::types::{LeaderEpoch, Offset, ProducerId, TimestampMs, Uuid};

/// A control record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlRecord {
    /// The producer's transaction is given up.
    Abort {
        /// Epoch of the coordinator that decided it.
        coordinator_epoch: i32,
    },
    /// The producer's transaction holds.
    Commit {
        /// Epoch of the coordinator that decided it.
        coordinator_epoch: i32,
    },
    /// KRaft: a leader begins.
    LeaderChange(LeaderChange),
    /// KRaft: a snapshot begins.
    SnapshotHeader {
        /// When the last record that it covers was appended.
        last_contained_log_timestamp: TimestampMs,
    },
    /// KRaft: a snapshot is complete.
    SnapshotFooter,
    /// KRaft: which rules the quorum keeps.
    KRaftVersion(i16),
    /// KRaft: who votes.
    KRaftVoters(Vec<Voter>),
    /// One of a later Kafka; to be ignored.
    Unknown(i16),
}

/// KRaft's record at the beginning of an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderChange {
    /// Node id of the leader.
    pub leader_id: i32,
    /// Node ids of all voters.
    pub voters: Vec<i32>,
    /// Node ids of those who voted for it.
    pub granting_voters: Vec<i32>,
}

/// A voter of the metadata quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// Its node id.
    pub id: i32,
    /// The id of its metadata directory.
    pub directory_id: Uuid,
    /// Where it listens.
    pub endpoints: Vec<VoterEndpoint>,
    /// The lowest `kraft.version` it supports.
    pub min_kraft_version: i16,
    /// The highest.
    pub max_kraft_version: i16,
}

/// Where a voter listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoterEndpoint {
    /// The listener's name.
    pub name: String,
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl ControlRecord {
    /// The number in the key.
    pub fn type_id(&self) -> i16 {
        match self {
            ControlRecord::Abort { .. } => 0,
            ControlRecord::Commit { .. } => 1,
            ControlRecord::LeaderChange(_) => 2,
            ControlRecord::SnapshotHeader { .. } => 3,
            ControlRecord::SnapshotFooter => 4,
            ControlRecord::KRaftVersion(_) => 5,
            ControlRecord::KRaftVoters(_) => 6,
            ControlRecord::Unknown(id) => *id,
        }
    }

    /// Kafka's name for it.
    pub fn name(&self) -> &'static str {
        ControlRecord::name_of(self.type_id())
    }

    /// Kafka's name for the kind of that number.
    pub fn name_of(type_id: i16) -> &'static str {
        const NAMES: [&str; 7] =
            ["ABORT", "COMMIT", "LEADER_CHANGE", "SNAPSHOT_HEADER", "SNAPSHOT_FOOTER", "KRAFT_VERSION", "KRAFT_VOTERS"];
        usize::try_from(type_id).ok().and_then(|id| NAMES.get(id)).copied().unwrap_or("UNKNOWN")
    }

    /// Reads key and value of a record of a control batch. Versions above those known are read as the known one.
    ///
    /// # Errors
    /// `Rule` when the bytes do not have the form.
    pub fn parse(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<ControlRecord, BatchError> {
        let bad = |what: &str| BatchError::Rule(format!("a control record's {what}"));
        let mut key = Reader::new(key.ok_or_else(|| bad("key is null"))?);
        let (Some(version), Some(type_id)) = (key.i16(), key.i16()) else {
            return Err(bad("key has less than 4 bytes"));
        };
        if version < 0 {
            return Err(bad("version is negative"));
        }
        if !(0..=6).contains(&type_id) {
            return Ok(ControlRecord::Unknown(type_id));
        }
        let mut value = Reader::new(value.ok_or_else(|| bad("value is null"))?);
        let version = value.i16().ok_or_else(|| bad("value has no version"))?;
        if version < 0 {
            return Err(bad("value has a negative version"));
        }
        let record = match type_id {
            0 => value.i32().map(|coordinator_epoch| ControlRecord::Abort { coordinator_epoch }),
            1 => value.i32().map(|coordinator_epoch| ControlRecord::Commit { coordinator_epoch }),
            2 => read_leader_change(&mut value, version).map(ControlRecord::LeaderChange),
            3 => value.i64().map(|at| ControlRecord::SnapshotHeader { last_contained_log_timestamp: TimestampMs(at) }),
            4 => Some(ControlRecord::SnapshotFooter),
            5 => value.i16().map(ControlRecord::KRaftVersion),
            _ => value.array(read_voter).map(ControlRecord::KRaftVoters),
        };
        record.ok_or_else(|| bad("value is cut off"))
    }

    /// Key and value as Kafka writes them; an unknown one has an empty value.
    pub fn encode(&self) -> (Vec<u8>, Vec<u8>) {
        let mut key = Writer::default();
        key.put_i16(0).put_i16(self.type_id());
        let mut value = Writer::default();
        value.put_i16(0);
        match self {
            ControlRecord::Abort { coordinator_epoch } | ControlRecord::Commit { coordinator_epoch } => {
                value.put_i32(*coordinator_epoch);
                return (key.into_bytes(), value.into_bytes()); // markers are older than flexible messages: no tags
            }
            ControlRecord::LeaderChange(change) => {
                let voter = |value: &mut Writer, id: &i32| {
                    value.put_i32(*id).put_no_tags();
                };
                value.put_i32(change.leader_id).put_array(&change.voters, voter);
                value.put_array(&change.granting_voters, voter);
            }
            ControlRecord::SnapshotHeader { last_contained_log_timestamp } => {
                value.put_i64(last_contained_log_timestamp.0);
            }
            ControlRecord::SnapshotFooter => {}
            ControlRecord::KRaftVersion(version) => {
                value.put_i16(*version);
            }
            ControlRecord::KRaftVoters(voters) => {
                value.put_array(voters, write_voter);
            }
            ControlRecord::Unknown(_) => return (key.into_bytes(), Vec::new()),
        }
        value.put_no_tags();
        (key.into_bytes(), value.into_bytes())
    }
}

fn read_leader_change(value: &mut Reader<'_>, version: i16) -> Option<LeaderChange> {
    let voter = |value: &mut Reader<'_>| {
        let id = value.i32()?;
        if version >= 1 {
            value.uuid()?; // the voter's directory
        }
        value.tagged_fields()?;
        Some(id)
    };
    Some(LeaderChange { leader_id: value.i32()?, voters: value.array(voter)?, granting_voters: value.array(voter)? })
}

fn read_voter(value: &mut Reader<'_>) -> Option<Voter> {
    let id = value.i32()?;
    let directory_id = value.uuid()?;
    let endpoints = value.array(|value| {
        let endpoint = VoterEndpoint { name: value.string()?, host: value.string()?, port: value.u16()? };
        value.tagged_fields()?;
        Some(endpoint)
    })?;
    let (min_kraft_version, max_kraft_version) = (value.i16()?, value.i16()?);
    value.tagged_fields()?;
    value.tagged_fields()?;
    Some(Voter { id, directory_id, endpoints, min_kraft_version, max_kraft_version })
}

fn write_voter(value: &mut Writer, voter: &Voter) {
    value.put_i32(voter.id).put_uuid(voter.directory_id);
    value.put_array(&voter.endpoints, |value, endpoint| {
        value.put_string(&endpoint.name).put_string(&endpoint.host).put_u16(endpoint.port).put_no_tags();
    });
    value.put_i16(voter.min_kraft_version).put_i16(voter.max_kraft_version).put_no_tags().put_no_tags();
}

/// A control batch of KRaft: `records` appended at `timestamp`, at `base_offset`, in `leader_epoch`.
pub fn control_batch(
    records: &[ControlRecord],
    timestamp: TimestampMs,
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
) -> Vec<u8> {
    let options = BatchOptions { base_offset, leader_epoch, is_control: true, ..BatchOptions::default() };
    build(records, timestamp, &options)
}

/// The marker that ends a transaction: 78 bytes.
///
/// Source: `org.apache.kafka.common.record.MemoryRecords#withEndTransactionMarker`.
pub fn end_transaction_marker(
    marker: &ControlRecord,
    timestamp: TimestampMs,
    producer_id: ProducerId,
    producer_epoch: i16,
) -> Vec<u8> {
    let options = BatchOptions {
        producer_id,
        producer_epoch,
        is_transactional: true,
        is_control: true,
        ..BatchOptions::default()
    };
    build(std::slice::from_ref(marker), timestamp, &options)
}

fn build(records: &[ControlRecord], timestamp: TimestampMs, options: &BatchOptions) -> Vec<u8> {
    debug_assert_eq!(options.timestamp_type, TimestampType::CreateTime);
    let mut builder = BatchBuilder::with_capacity(256);
    for record in records {
        let (key, value) = record.encode();
        builder.push(timestamp, Some(&key), Some(&value), &[]);
    }
    builder.finish(options).expect("control batches are not compressed, so no codec can fail")
}
