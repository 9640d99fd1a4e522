//! Settings of topics, and those that brokers have for all topics.
//!
//! They are records of the metadata log: Kafka's dynamic configurations. What holds for a topic is its own setting, else that
//! of the broker, else that of all brokers, else the default.

use std::collections::BTreeMap;

use super::cluster::{Cluster, unknown_topic};
use crate::config::{Durability, EngineConfig, Row, TopicConfig, unknown};
use crate::controller::{Image, MetadataRecord, RETENTION_GRANTED, ResourceType};
use crate::error::{Error, ErrorCode, Result};

/// What settings belong to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigResource {
    /// A topic.
    Topic(String),
    /// All brokers: the defaults of topics that say nothing themselves.
    Brokers,
}

impl ConfigResource {
    fn key(&self) -> (ResourceType, &str) {
        match self {
            ConfigResource::Topic(name) => (ResourceType::TOPIC, name),
            ConfigResource::Brokers => (ResourceType::BROKER, ""),
        }
    }
}

/// Where a value comes from.
///
/// Source: `org.apache.kafka.clients.admin.ConfigEntry.ConfigSource`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// The topic has it.
    Topic,
    /// This broker has it.
    Broker,
    /// All brokers have it.
    DefaultBroker,
    /// The option that the engine was opened with.
    Engine,
    /// Nobody said anything.
    Default,
    /// The directory is not klog's own and was not adopted, so nothing is deleted, whatever is recorded.
    NotAdopted,
}

impl ConfigSource {
    /// Kafka's name for it; klog's, where Kafka has none.
    pub fn name(self) -> &'static str {
        match self {
            ConfigSource::Topic => "DYNAMIC_TOPIC_CONFIG",
            ConfigSource::Broker => "DYNAMIC_BROKER_CONFIG",
            ConfigSource::DefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
            ConfigSource::Engine => "STATIC_BROKER_CONFIG",
            ConfigSource::Default => "DEFAULT_CONFIG",
            ConfigSource::NotAdopted => "NOT_ADOPTED",
        }
    }
}

/// A setting and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Kafka's name.
    pub name: String,
    /// The value that holds; `None` when it is unset.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether it is given when the engine is opened, and cannot be altered.
    pub is_read_only: bool,
    /// Its type: `int`, `long`, `boolean`, `double`, or the words that are allowed; empty where klog does not know it.
    pub kind: &'static str,
    /// The values that are allowed, where the type allows more.
    pub bounds: Option<String>,
    /// What it does; empty where klog does not know it.
    pub doc: &'static str,
}

/// Options that only adopting a directory changes.
const ADOPTION: &[&str] = &[RETENTION_GRANTED];

impl Cluster {
    /// Every setting of `resource` with the value that holds, by name.
    ///
    /// # Errors
    /// `UnknownTopicOrPartition`.
    pub(crate) fn describe_configs(&self, resource: &ConfigResource) -> Result<Vec<ConfigEntry>> {
        self.check_open()?;
        self.sync()?;
        let image = self.image();
        let mut entries = match resource {
            ConfigResource::Topic(name) => {
                image.topic(name).ok_or_else(|| unknown_topic(name, &image))?;
                self.topic_entries(&image, name)
            }
            ConfigResource::Brokers => self.broker_entries(&image),
        };
        let (kind, name) = resource.key();
        for (key, value) in image.configs(kind, name) {
            if !entries.iter().any(|entry| entry.name == key) {
                entries.push(unmodelled(key, value, resource));
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn topic_entries(&self, image: &Image, topic: &str) -> Vec<ConfigEntry> {
        let in_force = self.topic_config(image, topic);
        let rows = TopicConfig::rows();
        let entry = |row: &Row| {
            let of_broker = row.broker_name.and_then(|name| self.broker_source(image, name));
            let own = has(image, ResourceType::TOPIC, topic, row.name).then_some(ConfigSource::Topic);
            let recorded = own.or(of_broker).unwrap_or(ConfigSource::Default);
            let is_withheld = row.name.starts_with("retention.") && !Cluster::may_delete(image);
            let source = if is_withheld { ConfigSource::NotAdopted } else { recorded };
            described(row, row.name, in_force.get(row.name), source, false)
        };
        rows.iter().map(entry).collect()
    }

    fn broker_entries(&self, image: &Image) -> Vec<ConfigEntry> {
        let recorded = image.configs(ResourceType::BROKER, "");
        let mut in_force =
            TopicConfig::from_overrides(recorded.filter_map(|(k, v)| Some((TopicConfig::of_broker_name(k)?, v)))).0;
        let may_delete = Cluster::may_delete(image);
        if !may_delete {
            (in_force.retention_ms, in_force.retention_bytes) = (-1, -1);
        }
        let for_topics = TopicConfig::rows().into_iter().filter_map(|row| {
            let name = row.broker_name?;
            let source = match has(image, ResourceType::BROKER, "", name) {
                _ if row.name.starts_with("retention.") && !may_delete => ConfigSource::NotAdopted,
                true => ConfigSource::DefaultBroker,
                false => ConfigSource::Default,
            };
            Some(described(&row, name, in_force.get(row.name), source, false))
        });
        let defaults = EngineConfig::default();
        let of_engine = EngineConfig::rows().into_iter().map(|row| {
            let value = self.config.get(row.name);
            let is_default = value == defaults.get(row.name);
            let source = if is_default { ConfigSource::Default } else { ConfigSource::Engine };
            described(&row, row.name, value, source, true)
        });
        let granted = (!may_delete).then(|| unmodelled(RETENTION_GRANTED, "false", &ConfigResource::Brokers));
        let granted = granted.map(|entry| ConfigEntry { source: ConfigSource::NotAdopted, ..entry });
        for_topics.chain(of_engine).chain(granted).collect()
    }

    fn broker_source(&self, image: &Image, name: &str) -> Option<ConfigSource> {
        let me = self.identity().map_or(-1, |identity| identity.node_id).to_string();
        if has(image, ResourceType::BROKER, &me, name) {
            return Some(ConfigSource::Broker);
        }
        has(image, ResourceType::BROKER, "", name).then_some(ConfigSource::DefaultBroker)
    }

    /// Changes settings; `None` takes one back to what holds without it. Durable, and in force, on return.
    ///
    /// # Errors
    /// `UnknownTopicOrPartition`, `InvalidConfig`, `Unsupported`; nothing is changed.
    pub(crate) fn alter_configs(
        &self,
        resource: &ConfigResource,
        changes: &BTreeMap<String, Option<String>>,
    ) -> Result<()> {
        let _inside = self.enter_writing()?;
        self.dir().check_place()?;
        let controller = self.controller()?;
        let (kind, name) = resource.key();
        self.spare().allow(|| {
            controller.change(|image| {
                match resource {
                    ConfigResource::Topic(name) => check_topic_changes(image, name, changes)?,
                    ConfigResource::Brokers => check_broker_changes(changes)?,
                }
                let record = |(key, value): (&String, &Option<String>)| {
                    MetadataRecord::config(kind, name, key, value.as_deref())
                };
                Ok(changes.iter().map(record).collect())
            })
        })?;
        match resource {
            ConfigResource::Topic(name) => {
                if let Some(topic) = self.known_topic(name) {
                    self.refresh_config(&topic);
                }
            }
            ConfigResource::Brokers => self.refresh_configs(),
        }
        self.take_snapshot(false);
        match resource {
            ConfigResource::Topic(name) if changes.contains_key("klog.durability") => self.flush_what_was_shown(name),
            _ => Ok(()),
        }
    }

    /// Makes durable what was shown before it was, where from now on nothing is: the next opener raises no epoch for it.
    fn flush_what_was_shown(&self, name: &str) -> Result<()> {
        let topic = self.topic(name)?;
        if topic.config().klog_durability == Durability::Os {
            return Ok(());
        }
        (0..topic.partition_count()).try_for_each(|number| {
            let partition = topic.partition(self, number)?;
            partition.log().flush(partition.log().block().log_end(), None)
        })
    }
}

fn has(image: &Image, kind: ResourceType, resource: &str, name: &str) -> bool {
    image.configs(kind, resource).any(|(key, _)| key == name)
}

fn described(row: &Row, name: &str, value: Option<String>, source: ConfigSource, is_read_only: bool) -> ConfigEntry {
    let bounds = row.bounds.clone();
    ConfigEntry { name: name.to_owned(), value, source, is_read_only, kind: row.kind, bounds, doc: row.doc }
}

/// A setting that another program made, or that says what may be done with the directory.
fn unmodelled(name: &str, value: &str, resource: &ConfigResource) -> ConfigEntry {
    ConfigEntry {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        source: match resource {
            ConfigResource::Topic(_) => ConfigSource::Topic,
            ConfigResource::Brokers => ConfigSource::DefaultBroker,
        },
        is_read_only: ADOPTION.contains(&name),
        kind: if name == RETENTION_GRANTED { "boolean" } else { "" },
        bounds: None,
        doc: if name == RETENTION_GRANTED { "Whether retention may delete anything in this directory." } else { "" },
    }
}

fn check_topic_changes(image: &Image, topic: &str, changes: &BTreeMap<String, Option<String>>) -> Result<()> {
    image.topic(topic).ok_or_else(|| unknown_topic(topic, image))?;
    let mut configs: BTreeMap<&str, &str> = image.configs(ResourceType::TOPIC, topic).collect();
    for (key, value) in changes {
        match value {
            Some(value) => drop(configs.insert(key, value)),
            // What another program left, and klog does not know, can be taken back.
            None if configs.remove(&**key).is_some() || TopicConfig::NAMES.contains(&&**key) => {}
            None => return Err(unknown("topic", key, TopicConfig::NAMES)),
        }
    }
    // Only what is being changed is checked: what another program left beside it is not the caller's doing.
    check_configs(configs.iter().map(|(k, v)| (*k, *v)).filter(|(k, _)| changes.contains_key(*k)))
}

fn check_broker_changes(changes: &BTreeMap<String, Option<String>>) -> Result<()> {
    let names: Vec<&str> = TopicConfig::BROKER_NAMES.iter().copied().flatten().collect();
    let mut values = Vec::new();
    for (name, value) in changes {
        if ADOPTION.contains(&&**name) || EngineConfig::NAMES.contains(&&**name) {
            let how = if ADOPTION.contains(&&**name) { "'klog adopt' sets it" } else { "give it when opening" };
            return Err(Error::new(ErrorCode::InvalidConfig, format!("{name} cannot be altered; {how}")));
        }
        let Some(topic_name) = TopicConfig::of_broker_name(name) else {
            return Err(unknown("broker", name, &names));
        };
        if let Some(value) = value {
            // One that is refused is refused by the name that was given.
            TopicConfig::default().set(topic_name, value).map_err(|e| match e.message().strip_prefix(topic_name) {
                Some(rest) => Error::new(e.code(), format!("{name}{rest}")),
                None => e,
            })?;
            values.push((topic_name, &**value));
        }
    }
    check_configs(values.into_iter())
}

/// Refuses settings that are no settings, and those that klog does not have yet.
pub(super) fn check_configs<'a>(configs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<()> {
    let mut config = TopicConfig::default();
    for (name, value) in configs {
        config.set(name, value)?;
    }
    let unsupported = |what: &str| Err(Error::new(ErrorCode::Unsupported, what));
    if config.cleanup_policy.compact {
        return unsupported("cleanup.policy=compact is not supported yet: klog has no cleaner");
    }
    if config.remote_storage_enable {
        return unsupported("remote.storage.enable=true is not supported: klog has no tiers");
    }
    if config.min_compaction_lag_ms > config.max_compaction_lag_ms {
        return Err(Error::new(
            ErrorCode::InvalidConfig,
            format!(
                "min.compaction.lag.ms is {} and max.compaction.lag.ms is {}; the first may not be larger",
                config.min_compaction_lag_ms, config.max_compaction_lag_ms
            ),
        ));
    }
    Ok(())
}
