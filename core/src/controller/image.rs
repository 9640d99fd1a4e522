//! The metadata as of an offset: what replaying the log gives.
//!
//! Source: Kafka `org.apache.kafka.image`; order and meaning of records as KIP-631 has them.

use std::collections::{BTreeMap, BTreeSet};

use super::records::{MetadataRecord, PartitionChange, PartitionRecord, RegisterBroker, ResourceType};
use crate::record::Voter;
use crate::types::{LeaderEpoch, Offset, TimestampMs, Uuid};

/// A topic and its partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicImage {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: Uuid,
    /// Its partitions, by number.
    pub partitions: BTreeMap<i32, PartitionRecord>,
}

impl TopicImage {
    /// How many partitions it has.
    pub fn partition_count(&self) -> i32 {
        self.partitions.keys().next_back().map_or(0, |last| last + 1)
    }
}

/// Everything that a cluster knows of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image {
    /// Every record below was taken in.
    pub offset: Offset,
    /// Epoch of the last batch.
    pub epoch: i32,
    /// When the last batch was appended.
    pub appended_at: TimestampMs,
    /// Features and their levels.
    pub features: BTreeMap<String, i16>,
    /// Brokers by node id.
    pub brokers: BTreeMap<i32, RegisterBroker>,
    topics: BTreeMap<String, TopicImage>,
    names: BTreeMap<Uuid, String>,
    configs: BTreeMap<(ResourceType, String), BTreeMap<String, String>>,
    /// Ids of topics that were removed, as far as the log goes back: what is left of their directories may go.
    removed: BTreeSet<Uuid>,
    /// The first producer id that was not given away.
    pub next_producer_id: i64,
    /// The broker that got the ids before it, and its epoch.
    producer_ids_given_to: (i32, i64),
    /// `kraft.version`.
    pub kraft_version: i16,
    /// Who votes; empty with `kraft.version` 0, and where the log does not say.
    pub voters: Vec<Voter>,
    /// Node ids of the voters as the last leader named them: all that is known of them with `kraft.version` 0.
    pub static_voters: Vec<i32>,
    /// Records that klog does not model, as they came and in their order.
    others: Vec<MetadataRecord>,
    /// Records that could not be read, each with where it was.
    pub unreadable: Vec<String>,
    /// Records of a transaction whose end has not come.
    pending: Option<Vec<MetadataRecord>>,
    /// A transaction was found without an end and left out, and nobody has ended it in the log.
    abandoned: bool,
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

impl Image {
    /// All topics by name.
    pub fn topics(&self) -> &BTreeMap<String, TopicImage> {
        &self.topics
    }

    /// The topic of that name.
    pub fn topic(&self, name: &str) -> Option<&TopicImage> {
        self.topics.get(name)
    }

    /// The settings that were made for a resource.
    pub fn configs(&self, resource: ResourceType, name: &str) -> impl Iterator<Item = (&str, &str)> {
        let configs = self.configs.get(&(resource, name.to_owned()));
        configs.into_iter().flatten().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The level of `metadata.version`.
    pub fn metadata_version(&self) -> i16 {
        self.features.get("metadata.version").copied().unwrap_or(0)
    }

    /// Takes a record in. Records of a metadata transaction wait for its end.
    pub fn apply(&mut self, record: MetadataRecord) {
        match record {
            MetadataRecord::BeginTransaction => self.pending = Some(Vec::new()),
            MetadataRecord::AbortTransaction => (self.pending, self.abandoned) = (None, false),
            MetadataRecord::EndTransaction => {
                self.abandoned = false;
                for record in self.pending.take().unwrap_or_default() {
                    self.replay(record);
                }
            }
            record => match &mut self.pending {
                Some(pending) => pending.push(record),
                None => self.replay(record),
            },
        }
    }

    fn replay(&mut self, record: MetadataRecord) {
        match record {
            MetadataRecord::RegisterBroker(broker) => drop(self.brokers.insert(broker.broker_id, broker)),
            MetadataRecord::UnregisterBroker { broker_id, .. } => drop(self.brokers.remove(&broker_id)),
            MetadataRecord::FenceBroker { broker_id, .. } => self.fence(broker_id, true),
            MetadataRecord::UnfenceBroker { broker_id, .. } => self.fence(broker_id, false),
            MetadataRecord::ClearElr { topic_name } => self.clear_eligible_leaders(&topic_name),
            MetadataRecord::BrokerRegistrationChange {
                broker_id, fenced, in_controlled_shutdown, log_dirs, ..
            } => {
                if fenced != 0 {
                    self.fence(broker_id, fenced > 0);
                }
                if let Some(broker) = self.brokers.get_mut(&broker_id) {
                    broker.in_controlled_shutdown |= in_controlled_shutdown > 0;
                    if let Some(log_dirs) = log_dirs {
                        broker.log_dirs = log_dirs;
                    }
                }
            }
            MetadataRecord::Topic { name, id } => {
                self.names.insert(id, name.clone());
                self.topics.insert(name.clone(), TopicImage { name, id, partitions: BTreeMap::new() });
            }
            MetadataRecord::RemoveTopic { id } => {
                if let Some(name) = self.names.remove(&id) {
                    self.topics.remove(&name);
                    self.configs.remove(&(ResourceType::TOPIC, name));
                }
                self.removed.insert(id);
            }
            MetadataRecord::Partition(partition) => {
                if let Some(topic) = self.topic_by_id(partition.topic_id) {
                    topic.partitions.insert(partition.partition, partition);
                }
            }
            MetadataRecord::PartitionChange(change) => self.change_partition(change),
            MetadataRecord::Config { resource, name, key, value } => {
                let configs = self.configs.entry((resource, name)).or_default();
                match value {
                    Some(value) => drop(configs.insert(key, value)),
                    None => drop(configs.remove(&key)),
                }
            }
            MetadataRecord::FeatureLevel { name, level } => {
                if level == 0 {
                    self.features.remove(&name);
                } else {
                    self.features.insert(name, level);
                }
            }
            MetadataRecord::ProducerIds { broker_id, broker_epoch, next_producer_id } => {
                self.next_producer_id = next_producer_id;
                self.producer_ids_given_to = (broker_id, broker_epoch);
            }
            other @ MetadataRecord::Other { .. } => self.others.push(other),
            MetadataRecord::NoOp
            | MetadataRecord::BeginTransaction
            | MetadataRecord::EndTransaction
            | MetadataRecord::AbortTransaction => {}
        }
    }

    fn fence(&mut self, broker_id: i32, fenced: bool) {
        if let Some(broker) = self.brokers.get_mut(&broker_id) {
            broker.fenced = fenced;
        }
    }

    fn clear_eligible_leaders(&mut self, topic_name: &str) {
        let meant = |topic: &&mut TopicImage| topic_name.is_empty() || topic.name == topic_name;
        for partition in self.topics.values_mut().filter(meant).flat_map(|topic| topic.partitions.values_mut()) {
            let had = [partition.eligible_leader_replicas.take(), partition.last_known_elr.take()];
            if had.iter().flatten().any(|ids| !ids.is_empty()) {
                partition.partition_epoch += 1;
            }
        }
    }

    fn topic_by_id(&mut self, id: Uuid) -> Option<&mut TopicImage> {
        self.topics.get_mut(self.names.get(&id)?)
    }

    fn change_partition(&mut self, change: PartitionChange) {
        let Some(partition) = self.topic_by_id(change.topic_id).and_then(|t| t.partitions.get_mut(&change.partition))
        else {
            return;
        };
        set(&mut partition.isr, change.isr);
        set(&mut partition.replicas, change.replicas);
        set(&mut partition.removing_replicas, change.removing_replicas);
        set(&mut partition.adding_replicas, change.adding_replicas);
        set(&mut partition.leader_recovery_state, change.leader_recovery_state);
        set(&mut partition.directories, change.directories);
        if let Some(leader) = change.leader {
            partition.leader = leader;
            partition.leader_epoch += 1;
        }
        if change.eligible_leader_replicas.is_some() {
            partition.eligible_leader_replicas = change.eligible_leader_replicas;
        }
        if change.last_known_elr.is_some() {
            partition.last_known_elr = change.last_known_elr;
        }
        partition.partition_epoch += 1;
    }

    /// Whether a transaction has begun and not ended: whoever changes anything ends it first.
    pub fn is_unended(&self) -> bool {
        self.pending.is_some() || self.abandoned
    }

    /// Leaves a transaction out that never ended: what the next controller does.
    pub fn abort_pending(&mut self) {
        self.abandoned |= self.pending.take().is_some();
    }

    /// The name of the topic of that id.
    pub fn name_of(&self, id: Uuid) -> Option<&str> {
        self.names.get(&id).map(String::as_str)
    }

    /// Whether a topic of that id was removed.
    pub fn was_removed(&self, id: Uuid) -> bool {
        self.removed.contains(&id)
    }

    /// Adds the topics and partitions that `found` has and this image lacks.
    pub fn adopt(&mut self, found: &Image) {
        for (name, topic) in &found.topics {
            let mine = self.topics.entry(name.clone()).or_insert_with(|| TopicImage {
                name: name.clone(),
                id: topic.id,
                partitions: BTreeMap::new(),
            });
            for (number, partition) in &topic.partitions {
                mine.partitions.entry(*number).or_insert_with(|| partition.clone());
            }
        }
    }

    /// Node ids of those who vote on the metadata; empty where nothing says.
    pub fn voter_ids(&self) -> Vec<i32> {
        match self.voters.is_empty() {
            true => self.static_voters.clone(),
            false => self.voters.iter().map(|voter| voter.id).collect(),
        }
    }

    /// Records that make this image out of an empty one, in the order in which Kafka's own snapshots have them. What klog
    /// does not model comes last, every record of it: one may take back what another one made.
    ///
    /// Source: `org.apache.kafka.image.MetadataImage#write`.
    pub(super) fn records(&self) -> Vec<MetadataRecord> {
        let feature =
            |(name, level): (&String, &i16)| MetadataRecord::FeatureLevel { name: name.clone(), level: *level };
        let (version, rest): (Vec<_>, Vec<_>) = self.features.iter().partition(|(name, _)| *name == "metadata.version");
        let mut records: Vec<_> = version.into_iter().chain(rest).map(feature).collect();
        records.extend(self.brokers.values().cloned().map(MetadataRecord::RegisterBroker));
        for topic in self.topics.values() {
            records.push(MetadataRecord::Topic { name: topic.name.clone(), id: topic.id });
            records.extend(topic.partitions.values().cloned().map(MetadataRecord::Partition));
        }
        for ((resource, name), configs) in &self.configs {
            let config = |(key, value): (&String, &String)| MetadataRecord::config(*resource, name, key, Some(value));
            records.extend(configs.iter().map(config));
        }
        if self.next_producer_id > 0 {
            let (broker_id, broker_epoch) = self.producer_ids_given_to;
            let next_producer_id = self.next_producer_id;
            records.push(MetadataRecord::ProducerIds { broker_id, broker_epoch, next_producer_id });
        }
        records.extend(self.others.iter().cloned());
        records
    }

    /// The leader epoch of a partition.
    pub fn leader_epoch(&self, topic: &str, partition: i32) -> Option<LeaderEpoch> {
        Some(LeaderEpoch(self.topic(topic)?.partitions.get(&partition)?.leader_epoch))
    }
}
