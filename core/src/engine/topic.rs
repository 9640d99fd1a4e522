//! A topic of an opened cluster, and its partitions, opened when somebody needs them.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
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
    /// Each filled when it is opened. They become more, never fewer.
    partitions: RwLock<Vec<Arc<OnceLock<Arc<Replica>>>>>,
    count: AtomicI32,
    opening: Mutex<()>,
    removed: AtomicBool,
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic")
            .field("name", &self.name)
            .field("partitions", &self.partition_count())
            .finish_non_exhaustive()
    }
}

impl Topic {
    pub(super) fn new(name: &str, id: Uuid, partitions: i32, config: Arc<TopicConfig>) -> Topic {
        let topic = Topic {
            name: name.to_owned(),
            id,
            config: RwLock::new(config),
            partitions: RwLock::default(),
            count: AtomicI32::new(0),
            opening: Mutex::new(()),
            removed: AtomicBool::new(false),
        };
        topic.grow(partitions);
        topic
    }

    /// How many partitions it has.
    pub(crate) fn partition_count(&self) -> i32 {
        self.count.load(Ordering::Acquire)
    }

    /// Takes note of partitions that were added.
    pub(super) fn grow(&self, total: i32) {
        let mut partitions = self.partitions.write().unwrap_or_else(PoisonError::into_inner);
        let total = partitions.len().max(usize::try_from(total).unwrap_or(0));
        partitions.resize_with(total, Arc::default);
        self.count.store(total as i32, Ordering::Release);
    }

    /// Its settings.
    pub(crate) fn config(&self) -> Arc<TopicConfig> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the settings, of the topic and of its partitions, by those that `current` says hold now: of two who changed
    /// some, the one who comes here last brings what both did.
    pub(super) fn refresh_config(&self, current: impl FnOnce() -> TopicConfig) {
        let _none_opens = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        let config = Arc::new(current());
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config.clone();
        self.open_partitions().iter().for_each(|partition| partition.log().set_config(config.clone()));
    }

    /// Has the directories of new partitions made. Nobody finds one half made: it is made before it is opened, or by whoever
    /// opens it first.
    pub(super) fn make_directories(&self, mut numbers: Range<i32>, make: impl Fn(i32) -> Result<()>) -> Result<()> {
        let _none_opens = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_removed() {
            return Ok(());
        }
        numbers.try_for_each(|number| if self.cell(number)?.get().is_some() { Ok(()) } else { make(number) })
    }

    /// Says that the topic was deleted, to it and to its partitions.
    pub(super) fn mark_removed(&self) {
        let _none_opens = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        self.removed.store(true, Ordering::Release);
        self.open_partitions().iter().for_each(|partition| partition.mark_removed());
    }

    /// Whether the topic was deleted since it was looked up.
    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    /// Its partitions that are open.
    pub(crate) fn open_partitions(&self) -> Vec<Arc<Replica>> {
        let partitions = self.partitions.read().unwrap_or_else(PoisonError::into_inner);
        partitions.iter().filter_map(|cell| cell.get().cloned()).collect()
    }

    /// The place of partition `number`, opened or not.
    fn cell(&self, number: i32) -> Result<Arc<OnceLock<Arc<Replica>>>> {
        let partitions = self.partitions.read().unwrap_or_else(PoisonError::into_inner);
        let cell = usize::try_from(number).ok().and_then(|index| partitions.get(index));
        cell.cloned().ok_or_else(|| {
            Error::new(
                ErrorCode::UnknownTopicOrPartition,
                format!("topic '{}' has partitions 0 to {}, and not {number}", self.name, self.partition_count() - 1),
            )
        })
    }

    /// Partition `number`, opened if it was not.
    pub(crate) fn partition(&self, cluster: &Cluster, number: i32) -> Result<Arc<Replica>> {
        let open =
            |topic: &Topic, partition: &TopicPartition| cluster.open_partition(partition, topic.id, topic.config());
        let partition = self.partition_of(number, open)?;
        partition.log().mirror();
        Ok(partition)
    }

    /// As [`partition`](Self::partition), opened by `open` if it was not.
    pub(super) fn partition_of(
        &self,
        number: i32,
        open: impl FnOnce(&Topic, &TopicPartition) -> Result<Replica>,
    ) -> Result<Arc<Replica>> {
        let cell = self.cell(number)?;
        if let Some(partition) = cell.get() {
            return Ok(partition.clone());
        }
        let _one_opens = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_removed() {
            return Err(Error::topic_deleted(&self.name));
        }
        if let Some(partition) = cell.get() {
            return Ok(partition.clone());
        }
        let partition = TopicPartition::new(&*self.name, number);
        let opened = open(self, &partition)?;
        Ok(cell.get_or_init(|| Arc::new(opened)).clone())
    }
}
