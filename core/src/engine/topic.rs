//! A topic of an opened cluster, and its partitions, opened when somebody needs them.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use super::cluster::Cluster;
use crate::config::TopicConfig;
use crate::error::{Error, ErrorCode, Result};
use crate::replica::Replica;
use crate::types::{TopicPartition, Uuid};

/// A topic that was looked up.
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) id: Uuid,
    config: RwLock<Arc<TopicConfig>>,
    partitions: Vec<OnceLock<Arc<Replica>>>,
    opening: Mutex<()>,
    removed: AtomicBool,
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic")
            .field("name", &self.name)
            .field("partitions", &self.partitions.len())
            .finish_non_exhaustive()
    }
}

impl Topic {
    pub(super) fn new(name: &str, id: Uuid, partitions: usize, config: Arc<TopicConfig>) -> Topic {
        let partitions = (0..partitions).map(|_| OnceLock::new()).collect();
        Topic {
            name: name.to_owned(),
            id,
            config: RwLock::new(config),
            partitions,
            opening: Mutex::new(()),
            removed: AtomicBool::new(false),
        }
    }

    /// How many partitions it has.
    pub(crate) fn partition_count(&self) -> i32 {
        self.partitions.len() as i32
    }

    /// Its settings.
    pub(crate) fn config(&self) -> Arc<TopicConfig> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the settings, of the topic and of its partitions.
    pub(super) fn set_config(&self, config: Arc<TopicConfig>) {
        let _none_opens = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config.clone();
        self.open_partitions().for_each(|partition| partition.log().set_config(config.clone()));
    }

    /// Says that the topic was deleted, to it and to its partitions.
    pub(super) fn mark_removed(&self) {
        let _none_opens = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        self.removed.store(true, Ordering::Release);
        self.open_partitions().for_each(|partition| partition.mark_removed());
    }

    /// Whether the topic was deleted since it was looked up.
    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    /// Its partitions that are open.
    pub(crate) fn open_partitions(&self) -> impl Iterator<Item = &Arc<Replica>> {
        self.partitions.iter().filter_map(OnceLock::get)
    }

    /// Partition `number`, opened if it was not.
    pub(crate) fn partition(&self, cluster: &Cluster, number: i32) -> Result<&Arc<Replica>> {
        let cell = usize::try_from(number).ok().and_then(|index| self.partitions.get(index));
        let Some(cell) = cell else {
            return Err(Error::new(
                ErrorCode::UnknownTopicOrPartition,
                format!("topic '{}' has partitions 0 to {}, and not {number}", self.name, self.partition_count() - 1),
            ));
        };
        if let Some(partition) = cell.get() {
            return Ok(partition);
        }
        let _one_opens = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_removed() {
            return Err(Error::new(ErrorCode::UnknownTopicOrPartition, format!("topic '{}' was deleted", self.name)));
        }
        if let Some(partition) = cell.get() {
            return Ok(partition);
        }
        let partition = TopicPartition::new(&*self.name, number);
        let opened = cluster.open_partition(&partition, self.id, self.config())?;
        Ok(cell.get_or_init(|| Arc::new(opened)))
    }
}
