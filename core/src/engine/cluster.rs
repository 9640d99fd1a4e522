//! The opened cluster: one broker directory, its metadata, its partitions, and the work that is due.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

use super::attach::{Attachment, follow, has_writer};
use super::duties::{Duties, Duty};
use super::open::Opened;
use super::open::Place;
use super::spare::Spare;
use super::topic::Topic;
use super::{Mode, OpenOptions};
use crate::config::{Durability, EngineConfig, TopicConfig};
use crate::controller::{
    Controller, Identity, Image, MetadataRecord, PartitionChange, RETENTION_GRANTED, ResourceType,
};
use crate::error::{Error, ErrorCode, Result};
use crate::log::{Appended, Batch, Expired, Log, LogDir, Opening, Report, Standings, Watermark, create_partition};
use crate::replica::{Need, Replica};
use crate::shm::{Bell, Block, Control, Member, Role, State};
use crate::sys::points::{Point, reached};
use crate::sys::{Disk, Sys, Wait, Woken, read_whole, write_atomically};
use crate::types::{LeaderEpoch, METADATA_TOPIC, Offset, TopicPartition, Uuid};

/// No wait for the end of another call is longer without another look.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// A consumer looks again after so long, whatever happens: a publisher may die before it wakes anybody.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// As above, for one who may not say that it waits.
const READERS_SLEEP: Duration = Duration::from_millis(20);
/// As above, where there is nothing to look at yet.
const NOBODYS_SLEEP: Duration = Duration::from_millis(200);

/// What was seen before somebody goes to sleep.
#[derive(Clone, Debug)]
pub(crate) struct Sleep {
    /// The partition to sleep on; without one it is the bell of the directory.
    partition: Option<Block>,
    word: u32,
    longest: Duration,
}

impl Sleep {
    /// Whether it is on one partition alone.
    pub(crate) fn is_on_partition(&self) -> bool {
        self.partition.is_some()
    }
}

/// Somebody who holds records that are not written yet.
pub(crate) trait Drain: Send + Sync {
    /// Writes them.
    fn drain(&self);
}

/// How long after a write the checkpoints follow.
const CHECKPOINT_WITHIN: Duration = Duration::from_secs(1);
/// How long after the first write old segments are looked for first.
const FIRST_RETENTION: Duration = Duration::from_secs(30);

/// An opened cluster.
pub(crate) struct Cluster {
    pub(crate) sys: Sys,
    pub(crate) config: EngineConfig,
    path: PathBuf,
    read_only: bool,
    dir: Arc<LogDir>,
    pub(super) attachment: Mutex<Option<Attachment>>,
    beside_writer: bool,
    controller: Option<Controller>,
    identity: Option<Identity>,
    /// Topics that only their directories speak of: old or damaged metadata, read-only.
    found: Image,
    topics: RwLock<BTreeMap<String, Arc<Topic>>>,
    /// What waits for disks: flushes, checkpoints, retention, recovery.
    pub(crate) duties: Arc<Duties>,
    /// What must not wait for them: batches that have lingered, and whether others live.
    pub(crate) clock: Arc<Duties>,
    spare: Spare,
    report: Mutex<Report>,
    drains: Mutex<Vec<Weak<dyn Drain>>>,
    closed: AtomicBool,
    /// How many calls that change something are running. `close` sleeps on it.
    inside: AtomicU32,
    closing: Mutex<()>,
    /// Files and directories that are to be removed, and whose time has not come.
    leaving: Arc<Mutex<BTreeSet<PathBuf>>>,
    checkpoint_due: AtomicBool,
    has_written: AtomicBool,
    /// Retention is planned; it plans itself from then on.
    retention_due: AtomicBool,
    on_interrupt: Option<Arc<dyn Fn() -> bool + Send + Sync>>,
    /// Up to where the topics follow the metadata.
    followed: AtomicI64,
    /// One follows at a time.
    following: Mutex<()>,
    /// This handle does the housekeeping.
    pub(super) housekeeping: AtomicBool,
    /// How many had died when this process looked after what they left.
    pub(super) buried: AtomicU64,
    /// It is planned to look after what dead processes left.
    pub(super) looks_after: AtomicBool,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Opens a directory, recovering it if it was not closed in order.
    pub(super) fn open(path: &Path, sys: Sys, options: &OpenOptions) -> Result<Arc<Cluster>> {
        let Opened { dir, place, controller, identity, found, spare, report } = super::open::open(path, &sys, options)?;
        let (attaching, reading) = match place {
            Place::Attaching(attaching) => (Some(attaching), None),
            Place::Reading(attachment) => (None, Some(attachment)),
        };
        let is_first = attaching.as_ref().is_some_and(|attaching| attaching.is_first);
        let cluster = Arc::new(Cluster {
            duties: Duties::new(&sys, options.config.threads, "klog-worker"),
            clock: Duties::new(&sys, options.config.threads, "klog-clock"),
            spare,
            sys,
            config: options.config.clone(),
            path: path.to_path_buf(),
            read_only: options.mode == Mode::ReadOnly,
            dir,
            beside_writer: reading.as_ref().is_some_and(|attachment| attachment.beside_writer),
            attachment: Mutex::new(reading),
            followed: AtomicI64::new(controller.as_ref().map_or(0, Controller::followed)),
            following: Mutex::new(()),
            housekeeping: AtomicBool::new(false),
            buried: AtomicU64::new(0),
            looks_after: AtomicBool::new(false),
            controller,
            identity,
            found,
            topics: RwLock::default(),
            report: Mutex::new(report),
            drains: Mutex::default(),
            closed: AtomicBool::new(false),
            leaving: Arc::default(),
            inside: AtomicU32::new(0),
            closing: Mutex::new(()),
            checkpoint_due: AtomicBool::new(false),
            has_written: AtomicBool::new(false),
            retention_due: AtomicBool::new(false),
            on_interrupt: options.on_interrupt.clone(),
        });
        // Whoever comes later finds it done.
        if is_first && !cluster.dir.was_clean() {
            // A process that was killed may have made directories and not lived to make their names durable.
            let synced = cluster.sys.disk.sync_dir(&cluster.path);
            synced.map_err(|e| Error::io(format_args!("syncing {}", cluster.path.display()), e))?;
            cluster.recover_all()?;
            if Self::may_delete(&cluster.image())
                && !options.adopting
                && let Err(e) = cluster.finish_removals()
            {
                let mut report = Report::default();
                report.finding(".", format!("what is left of removed topics stays for now: {e}"));
                cluster.tell(report);
            }
        }
        if let Some(attaching) = attaching {
            let attachment = attaching.admit()?;
            *cluster.attachment.lock().unwrap_or_else(PoisonError::into_inner) = Some(attachment);
            cluster.begin_housekeeping();
        }
        Ok(cluster)
    }

    /// Rung with every change that readers may wait for; nothing for a reader of a directory that nobody ever shared.
    pub(crate) fn bell(&self) -> Option<&Bell> {
        let memory = self.dir.member().map(|member| member.control()).or(self.dir.shared_memory());
        memory.map(Control::bell)
    }

    /// Wakes whoever sleeps on one partition, to look again. Takes no lock and asks for no memory.
    pub(crate) fn announce(&self, partition: u32) {
        if let Some(member) = self.dir.member() {
            member.announce(&member.control().block(partition));
        }
    }

    /// Wakes whoever sleeps on the directory, to look again; also readers, who cannot say that they sleep.
    pub(crate) fn ring(&self) {
        if let (Some(bell), Some(_)) = (self.bell(), self.dir.member()) {
            bell.ring();
            self.sys.wait.wake_all(bell.word());
        }
    }

    /// Takes in what other processes changed: topics that were made, changed or deleted. Costs two loads when nothing was.
    #[inline]
    pub(crate) fn sync(&self) -> Result<()> {
        match &self.controller {
            Some(controller) if !self.is_in_sync(controller) => self.follow(controller),
            _ => Ok(()),
        }
    }

    /// Whether there is nothing to take in.
    #[inline]
    fn is_in_sync(&self, controller: &Controller) -> bool {
        controller.visible_to() <= self.followed.load(Ordering::Acquire)
    }

    fn follow(&self, controller: &Controller) -> Result<()> {
        controller.follow()?;
        if self.followed.load(Ordering::Acquire) == controller.followed() {
            return Ok(());
        }
        let _one_follows = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        let (to, image) = (controller.followed(), self.image());
        for topic in self.known_topics() {
            match image.topic(&topic.name) {
                Some(found) if found.id == topic.id => {
                    topic.grow(found.partition_count());
                    if *topic.config() != self.topic_config(&image, &topic.name) {
                        self.refresh_config(&topic);
                    }
                }
                _ => drop(self.forget_topic(&topic.name)),
            }
        }
        self.followed.store(to, Ordering::Release);
        Ok(())
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorCode::Closed, format!("the engine on {} is closed", self.path.display())));
        }
        Ok(())
    }

    /// Begins a call that changes something, or opens what may have to be recovered: the directory is not given back before
    /// it ends.
    ///
    /// # Errors
    /// `Closed`.
    pub(crate) fn enter(&self) -> Result<Inside<'_>> {
        let inside = self.enter_quietly()?;
        self.sync().map(|()| inside)
    }

    /// As [`enter`](Self::enter), for what is done on the way to something else, with locks held perhaps.
    pub(crate) fn enter_quietly(&self) -> Result<Inside<'_>> {
        // SeqCst here, in `check_open` and in `close`: either this finds the engine closed, or `close` finds this inside.
        self.inside.fetch_add(1, Ordering::SeqCst);
        let inside = Inside(self);
        self.check_open().map(|()| inside)
    }

    /// As [`enter`](Self::enter), for what writes.
    ///
    /// # Errors
    /// `Closed`, `ReadOnly`.
    pub(crate) fn enter_writing(&self) -> Result<Inside<'_>> {
        let inside = self.enter()?;
        self.check_writable().map(|()| inside)
    }

    /// With `threads=off`: does what is due. Costs two loads when nothing is planned.
    pub(crate) fn catch_up(&self) {
        self.clock.catch_up();
        self.duties.catch_up();
    }

    pub(crate) fn check_writable(&self) -> Result<()> {
        self.check_open()?;
        if self.read_only {
            return Err(Error::new(
                ErrorCode::ReadOnly,
                format!("{} was opened for reading only", self.path.display()),
            ));
        }
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    pub(crate) fn controller(&self) -> Result<&Controller> {
        self.controller.as_ref().ok_or_else(|| {
            Error::new(
                ErrorCode::Unsupported,
                format!("{} has no metadata log; it can only be read", self.path.display()),
            )
        })
    }

    /// The metadata as it is now, and what only the directories speak of.
    pub(crate) fn image(&self) -> Arc<Image> {
        match &self.controller {
            Some(controller) if self.found.topics().is_empty() => controller.image(),
            Some(controller) => {
                let mut image = (*controller.image()).clone();
                image.adopt(&self.found);
                Arc::new(image)
            }
            None => Arc::new(self.found.clone()),
        }
    }

    pub(crate) fn report(&self) -> Report {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn tell(&self, report: Report) {
        if !report.is_empty() {
            self.report.lock().unwrap_or_else(PoisonError::into_inner).append(report);
        }
    }

    // ---- topics and partitions -------------------------------------------------------------------------------------------

    /// The topic of that name.
    ///
    /// # Errors
    /// `UnknownTopicOrPartition`, with the nearest name.
    pub(crate) fn topic(&self, name: &str) -> Result<Arc<Topic>> {
        self.check_open()?;
        self.sync()?;
        if let Some(topic) = self.topics.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Ok(topic.clone());
        }
        // The image is read under the lock: a change that comes later finds the topic here.
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(topic) = topics.get(name) {
            return Ok(topic.clone());
        }
        let image = self.image();
        let Some(found) = image.topic(name) else {
            return Err(unknown_topic(name, &image));
        };
        let config = self.topic_config(&image, name);
        let topic = Arc::new(Topic::new(name, found.id, found.partition_count(), Arc::new(config)));
        topics.insert(name.to_owned(), topic.clone());
        Ok(topic)
    }

    /// The settings of a topic: Kafka's defaults, those of all brokers, of this broker, its own. What klog does not know is
    /// reported.
    pub(crate) fn topic_config(&self, image: &Image, name: &str) -> TopicConfig {
        let me = self.identity.as_ref().map_or(-1, |identity| identity.node_id).to_string();
        let of_broker = |(key, value)| TopicConfig::of_broker_name(key).map(|topic_name| (topic_name, value));
        let all_brokers = image.configs(ResourceType::BROKER, "").filter_map(of_broker);
        let this_broker = image.configs(ResourceType::BROKER, &me).filter_map(of_broker);
        let own = image.configs(ResourceType::TOPIC, name);
        let (mut config, left) = TopicConfig::from_overrides(all_brokers.chain(this_broker).chain(own));
        let mut report = Report::default();
        for what in left {
            report.finding("__cluster_metadata-0", format!("topic '{name}': {what}"));
        }
        self.tell(report);
        if !Self::may_delete(image) {
            // Nothing is deleted from a directory that klog did not make and was not told about.
            (config.retention_ms, config.retention_bytes) = (-1, -1);
        }
        config
    }

    /// Whether anything may be deleted: the directory is klog's own, or klog was told, and all that it was told can be read.
    pub(super) fn may_delete(image: &Image) -> bool {
        image.unreadable.is_empty() && Self::is_granted(image)
    }

    /// Whether the metadata say that retention may delete.
    pub(super) fn is_granted(image: &Image) -> bool {
        image.configs(ResourceType::BROKER, "").any(|(key, value)| key == RETENTION_GRANTED && value == "true")
    }

    /// Takes a topic out of the cache; its open partitions are told.
    pub(super) fn forget_topic(&self, name: &str) -> Option<Arc<Topic>> {
        let topic = self.topics.write().unwrap_or_else(PoisonError::into_inner).remove(name)?;
        topic.mark_removed();
        Some(topic)
    }

    /// Keeps the metadata quick to open. What cannot be written now is written another time.
    pub(super) fn take_snapshot(&self, is_closing: bool) {
        let Some(controller) = &self.controller else { return };
        if let Err(error) = controller.take_snapshot(is_closing, Self::may_delete(&controller.image())) {
            let mut report = Report::default();
            report.finding("__cluster_metadata-0", error.message());
            self.tell(report);
        }
    }

    /// Has every topic that was looked up follow its settings.
    pub(super) fn refresh_configs(&self) {
        self.known_topics().iter().filter(|topic| !topic.is_removed()).for_each(|topic| self.refresh_config(topic));
    }

    /// Has a topic follow its settings.
    pub(super) fn refresh_config(&self, topic: &Topic) {
        topic.refresh_config(|| self.topic_config(&self.image(), &topic.name));
    }

    /// The topic of that name, if it was looked up.
    pub(super) fn known_topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Every topic that was looked up.
    fn known_topics(&self) -> Vec<Arc<Topic>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Opens a partition's log. A directory that was never made is made.
    pub(super) fn open_partition(
        &self,
        partition: &TopicPartition,
        id: Uuid,
        config: Arc<TopicConfig>,
    ) -> Result<Replica> {
        let _inside = self.enter_quietly()?;
        let opened = self.open_held(partition, id, config);
        match self.check_still_there(partition, id) {
            Ok(()) => opened,
            Err(error) => {
                if let Ok(opened) = opened {
                    opened.log().mark_removed();
                }
                Err(error)
            }
        }
    }

    /// Asked when a log was opened, or was not: another process may have deleted its topic meanwhile, and made one of that
    /// name in its place.
    fn check_still_there(&self, partition: &TopicPartition, id: Uuid) -> Result<()> {
        let Some(controller) = self.controller.as_ref().filter(|_| !self.read_only) else { return Ok(()) };
        controller.follow()?;
        let image = controller.image();
        match image.topic(&partition.topic) {
            Some(topic) if topic.id == id => Ok(()),
            _ => Err(unknown_topic(&partition.topic, &image)),
        }
    }

    /// As [`open_partition`](Self::open_partition), also while the engine is being closed.
    fn open_held(&self, partition: &TopicPartition, id: Uuid, config: Arc<TopicConfig>) -> Result<Replica> {
        if let Some(controller) = &self.controller {
            controller.follow()?;
        }
        let image = self.image();
        let Some(topic) = image.topic(&partition.topic).filter(|topic| topic.id == id) else {
            return Err(Error::topic_deleted(&partition.topic));
        };
        let record = topic.partitions.get(&partition.partition);
        let replicas = record.map_or(&[][..], |record| &record.replicas);
        let me = self.identity.as_ref().map_or(-1, |identity| identity.node_id);
        let leader_epoch = LeaderEpoch(record.map_or(0, |record| record.leader_epoch));
        if !self.dir_exists(partition)? {
            let here = self.identity.as_ref().map(|identity| vec![identity.directory_id]);
            let was_made_here = here.is_some() && record.map(|record| record.directories.clone()) == here;
            let is_elsewhere = record.is_some_and(|record| {
                let directory = |id: &Uuid| here.as_ref().is_some_and(|here| here.contains(id)) || id.is_reserved();
                record.replicas != [me] || !record.directories.iter().all(directory)
            });
            if is_elsewhere && !self.read_only {
                return Err(Error::new(
                    ErrorCode::KafkaStorageError,
                    format!("{partition} is not in {}: its replicas are elsewhere", self.path.display()),
                ));
            }
            self.make_partition(partition, id, leader_epoch, was_made_here)?;
        }
        self.check_topic_id(partition, id)?;
        // A writer may have come since this reader did.
        let beside_writer = self.beside_writer || (self.read_only && has_writer(&self.sys, &self.path));
        let watermark = match replicas {
            [only] if *only == me && !beside_writer => Watermark::LogEnd,
            [] if !beside_writer
                && self.dir.checkpoint(crate::log::CheckpointFile::HighWatermark, partition).is_none() =>
            {
                Watermark::LogEnd
            }
            _ => Watermark::Checkpoint,
        };
        // The only one left of several: what it has is what there is.
        let watermark = if self.read_only || replicas.len() < 2 { watermark } else { Watermark::LogEnd };
        let opening = Opening { leader_epoch, watermark, topic_id: id };
        let durability = config.klog_durability;
        let log = self.spare.allow(|| {
            let mut report = Report::default();
            let log = Log::open(&self.dir, partition.clone(), config.clone(), opening, &mut report);
            self.tell(report);
            log
        })?;
        let replica = Replica::new(log, self.sys.clone());
        // Also where nothing is left: what was shown may be all that there was.
        let may_have_shown = durability == Durability::Os;
        if may_have_shown && !self.read_only && !self.dir.was_clean() && replica.log().was_opened_first() {
            replica.require_epoch();
        }
        Ok(replica)
    }

    fn dir_exists(&self, partition: &TopicPartition) -> Result<bool> {
        let path = self.path.join(partition.to_string());
        match self.sys.disk.stat(&path) {
            Ok(stat) => Ok(stat.is_dir),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(Error::io(format_args!("looking for {}", path.display()), e)),
        }
    }

    /// Makes a directory that an interruption kept from being made. A reader sees an empty partition in its place.
    fn make_partition(
        &self,
        partition: &TopicPartition,
        id: Uuid,
        epoch: LeaderEpoch,
        was_made_here: bool,
    ) -> Result<()> {
        let known = self.dir.checkpoint(crate::log::CheckpointFile::RecoveryPoint, partition).unwrap_or_default();
        if self.read_only && was_made_here && known == Offset::ZERO {
            return Ok(());
        }
        let path = self.path.join(partition.to_string());
        if known > Offset::ZERO || self.read_only {
            return Err(Error::new(
                ErrorCode::KafkaStorageError,
                format!("{} is missing; it held records up to offset {known}", path.display()),
            ));
        }
        self.make_directory(partition, id, epoch)
    }

    /// Makes the directory of a partition, if its topic is still there and nobody else has made it. With the right to change
    /// the metadata: what another process makes in the place of a topic that it deleted has the same names.
    pub(super) fn make_directory(&self, partition: &TopicPartition, id: Uuid, epoch: LeaderEpoch) -> Result<()> {
        let make = |image: &Image| match image.topic(&partition.topic) {
            Some(topic) if topic.id == id => {
                if super::open::read_topic_id(&self.sys, &self.path, partition) != Ok(Some(id)) {
                    create_partition(&self.dir, partition, id, epoch)?;
                }
                Ok(Vec::new())
            }
            _ => Err(unknown_topic(&partition.topic, image)),
        };
        self.spare.allow(|| self.controller()?.change(make).map(drop))
    }

    /// A directory that says it belongs to another topic of the name is not touched.
    fn check_topic_id(&self, partition: &TopicPartition, id: Uuid) -> Result<()> {
        let file = format!("{partition}/{}", crate::log::PARTITION_METADATA);
        let found = super::open::read_topic_id(&self.sys, &self.path, partition);
        match found {
            Ok(None) => self.write_topic_id(&file, id),
            Ok(Some(found)) if found == id || id == Uuid::ZERO => Ok(()),
            // The id of a topic that only its directories speak of is made up, or was read before somebody wrote it.
            Ok(Some(_)) if self.found.topic(&partition.topic).is_some() => Ok(()),
            // A reader is told of a damaged id, and kept from the records of another topic.
            Ok(Some(found)) if self.read_only && !self.image().topics().values().any(|topic| topic.id == found) => {
                let mut report = Report::default();
                report.finding(file, format!("it names topic id {found} and the metadata has {id}"));
                self.tell(report);
                Ok(())
            }
            Ok(Some(found)) => Err(Error::new(
                ErrorCode::InconsistentTopicId,
                format!(
                    "{file} names topic id {found} and the metadata has {id}; the directory belongs to another topic"
                ),
            )),
            Err(what) => {
                let mut report = Report::default();
                report.finding(&file, what);
                self.tell(report);
                self.write_topic_id(&file, id)
            }
        }
    }

    /// Writes what an interruption kept from being written, or what is damaged: a broker refuses a directory without it.
    /// Where it cannot be written the next opener tries again.
    fn write_topic_id(&self, file: &str, id: Uuid) -> Result<()> {
        if self.read_only || id == Uuid::ZERO {
            return Ok(());
        }
        let path = self.path.join(file);
        match read_whole(&self.sys.disk, &path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            // What cannot be read may be good.
            content => drop(content.map_err(|e| Error::io(format_args!("reading {}", path.display()), e))?),
        }
        self.dir.begin_writing()?;
        if write_atomically(&self.sys.disk, &path, crate::log::format_partition_metadata(id).as_bytes()).is_err() {
            self.dir.mark_failed();
        }
        Ok(())
    }

    /// Opens, and so recovers, every partition that this broker has.
    fn recover_all(&self) -> Result<()> {
        let image = self.image();
        let me = self.identity.as_ref().map_or(-1, |identity| identity.node_id);
        for (name, found) in image.topics() {
            let topic = self.topic(name)?;
            for (number, record) in &found.partitions {
                if !record.replicas.contains(&me) {
                    continue;
                }
                // One log that cannot be opened does not keep the others from their readers.
                if let Err(error) = topic.partition(self, *number) {
                    self.dir.mark_failed();
                    let mut report = Report::default();
                    report.finding(TopicPartition::new(name, *number).to_string(), error.message());
                    self.tell(report);
                }
            }
        }
        Ok(())
    }

    /// Waits until everything below `end` of a partition is as `need` asks, doing what is missing; see [`Replica::wait`].
    ///
    /// # Errors
    /// Those of [`Replica::wait`]; `Closed` where closing did not do it.
    pub(crate) fn wait_for(
        &self,
        partition: &Replica,
        end: Offset,
        need: Need,
        deadline: Option<Duration>,
    ) -> Result<()> {
        // Nearly always, for who waits for what is only appended.
        if self.controller.as_ref().is_none_or(|controller| self.is_in_sync(controller))
            && partition.is_settled(end, need)
        {
            return Ok(());
        }
        let closed = match self.enter_quietly() {
            Ok(_inside) => {
                let _ = self.sync(); // what is durable counts, where somebody has just asked for that
                return partition.wait(end, need, deadline);
            }
            Err(closed) => closed,
        };
        // Whoever closes makes durable what was appended, and then says how far that is.
        if !partition.has_ended() {
            drop(self.closing.lock().unwrap_or_else(PoisonError::into_inner));
        }
        if partition.has_ended() && partition.is_done(end, need) { Ok(()) } else { Err(closed) }
    }

    // ---- appending ---------------------------------------------------------------------------------------------------------

    /// Appends a batch to a partition that this broker leads, and sees to it that it is flushed in time.
    #[inline]
    pub(crate) fn append(self: &Arc<Self>, partition: &Arc<Replica>, batch: Batch<'_>) -> Result<Appended> {
        let _inside = self.enter_writing()?;
        self.spare.require()?;
        if let Some(controller) = &self.controller {
            // A change that could not be made durable may be found when the directory is opened again: its topic is gone then.
            controller.log().check_failure()?;
        }
        if let Some(epoch) = partition.epoch_needed() {
            self.begin_epoch(partition, epoch)?;
        }
        let appended = partition.append(batch)?;
        self.after_append(partition);
        Ok(appended)
    }

    /// Plans what must follow, where it is not planned. Three looks in nearly all cases.
    fn after_append(self: &Arc<Self>, partition: &Arc<Replica>) {
        // SeqCst: pairs with the fences of `Replica::flush_claimed` and `write_checkpoints`, which clear a word and then look
        // where the log ends. Either they see this append, or this sees the word cleared and plans them again.
        fence(Ordering::SeqCst);
        if let Some(within) = partition.claim_flush() {
            let duty = FlushDuty { cluster: Arc::downgrade(self), partition: partition.clone() };
            self.duties.after(within, Arc::new(duty));
        }
        // Set once and never cleared, and nothing is handed over with it.
        if !self.has_written.load(Ordering::Relaxed) && !self.has_written.swap(true, Ordering::Relaxed) {
            self.spare.fill();
        }
        self.plan_upkeep();
    }

    /// How often any process has written the checkpoints.
    fn checkpoints_written(&self) -> u32 {
        self.dir.member().map_or(0, |member| member.control().checkpoints())
    }

    /// Has the checkpoints follow, and retention begin: by this process, if it does the housekeeping by then.
    pub(super) fn plan_upkeep(self: &Arc<Self>) {
        if !self.checkpoint_due.load(Ordering::Relaxed) && !self.checkpoint_due.swap(true, Ordering::Relaxed) {
            let seen = AtomicU32::new(self.checkpoints_written());
            self.duties.after(CHECKPOINT_WITHIN, Arc::new(CheckpointDuty { cluster: Arc::downgrade(self), seen }));
        }
        if !self.retention_due.load(Ordering::Relaxed) && !self.retention_due.swap(true, Ordering::Relaxed) {
            let every = Duration::from_millis(self.config.log_retention_check_interval_ms as u64);
            self.duties.after(FIRST_RETENTION.min(every), Arc::new(RetentionDuty { cluster: Arc::downgrade(self) }));
        }
    }

    /// Has the controller record a new leader epoch, and begins it. Where the metadata cannot be changed the old one goes on.
    fn begin_epoch(&self, partition: &Replica, epoch: LeaderEpoch) -> Result<()> {
        let (controller, identity) = (self.controller()?, self.identity.as_ref());
        let tp = partition.log().partition().clone();
        let recorded = self.spare.allow(|| {
            controller.change(|image| {
                let topic = image.topic(&tp.topic).ok_or_else(|| unknown_topic(&tp.topic, image))?;
                Ok(vec![MetadataRecord::PartitionChange(PartitionChange {
                    partition: tp.partition,
                    topic_id: topic.id,
                    leader: Some(identity.map_or(0, |identity| identity.node_id)),
                    ..PartitionChange::default()
                })])
            })
        });
        match recorded {
            Ok(image) => partition.begin_epoch(image.leader_epoch(&tp.topic, tp.partition).unwrap_or(epoch)),
            Err(error) if error.code() == ErrorCode::Unsupported => {
                partition.begin_epoch(partition.log().block().leader_epoch())
            }
            Err(error) => Err(error),
        }
    }

    /// Flushes every partition, and has producers write what they hold.
    pub(crate) fn flush(&self) -> Result<()> {
        self.drain();
        let _inside = self.enter_quietly()?;
        let mut result = Ok(());
        for topic in self.known_topics() {
            for partition in topic.open_partitions() {
                result = result.and(partition.flush_claimed());
            }
        }
        result
    }

    fn drain(&self) {
        let drains: Vec<_> = {
            let mut drains = self.drains.lock().unwrap_or_else(PoisonError::into_inner);
            drains.retain(|drain| drain.strong_count() > 0);
            drains.iter().filter_map(Weak::upgrade).collect()
        };
        drains.iter().for_each(|drain| drain.drain());
    }

    /// Has `drain` asked before anything is flushed or closed.
    pub(crate) fn register(&self, drain: Weak<dyn Drain>) {
        let mut drains = self.drains.lock().unwrap_or_else(PoisonError::into_inner);
        if drains.len() == drains.capacity() {
            // Producers come and go. There is room for as many again then, so that this is rare.
            drains.retain(|drain| drain.strong_count() > 0);
            let left = drains.len();
            drains.reserve(left + 1);
        }
        drains.push(drain);
    }

    /// Notes where every partition stands that any process has open, and writes the checkpoints.
    pub(crate) fn write_checkpoints(&self) -> Result<()> {
        self.checkpoint_due.store(false, Ordering::Relaxed);
        fence(Ordering::SeqCst); // see `after_append`
        self.spare.allow(|| self.dir.write_checkpoints_of(|dir| self.note_standings(dir)))
    }

    fn note_standings(&self, dir: &LogDir) {
        let (Some(controller), Some(member)) = (&self.controller, dir.member()) else { return };
        // A topic that another process has deleted is not spoken of any more.
        if controller.follow().is_err() {
            return;
        }
        let image = controller.image();
        for block in member.control().blocks().iter().filter(|block| block.state() == State::Open) {
            let (id, partition) = block.named();
            let name = if id == Uuid::METADATA { Some(METADATA_TOPIC) } else { image.name_of(id) };
            if !block.is_in_order() {
                dir.mark_failed(); // nothing of that is written down, and the next opener looks at the files
                continue;
            }
            if let Some(name) = name {
                dir.note(&TopicPartition::new(name, partition), Standings::of(block));
            }
        }
    }

    /// Deletes what the topics' retention lets go of, and has the files removed later.
    pub(crate) fn run_retention(self: &Arc<Self>) -> Result<usize> {
        let mut deleted = 0;
        let mut result = Ok(());
        for topic in self.known_topics() {
            for partition in topic.open_partitions() {
                let mut expired = Expired::default();
                result = result.and(self.spare.allow(|| partition.log().delete_old_segments(&mut expired)));
                deleted += expired.segments;
                if !expired.files.is_empty() {
                    let delay = topic.config().file_delete_delay_ms as u64;
                    self.remove_later(expired.files, Duration::from_millis(delay));
                }
            }
        }
        self.spare.fill();
        result.map(|()| deleted)
    }

    /// Has files or directories removed after a while, so that readers can finish.
    pub(super) fn remove_later(&self, paths: Vec<PathBuf>, delay: Duration) {
        let leaving = self.leaving.clone();
        leaving.lock().unwrap_or_else(PoisonError::into_inner).extend(paths.iter().cloned());
        self.duties.after(delay, Arc::new(RemoveDuty { sys: self.sys.clone(), paths, leaving }));
    }

    /// Removes at once what was to be removed later: nobody reads here any more.
    fn remove_now(&self) {
        let leaving = std::mem::take(&mut *self.leaving.lock().unwrap_or_else(PoisonError::into_inner));
        for path in leaving {
            // What is left is removed when the directory is closed behind one who died, or opened after an unclean end.
            let _ = super::topics::remove_tree(&self.sys, &path);
        }
    }

    pub(crate) fn spare(&self) -> &Spare {
        &self.spare
    }

    pub(super) fn dir(&self) -> &Arc<LogDir> {
        &self.dir
    }

    /// Opens the partitions of every topic that lets go of anything, so that retention sees them. One that cannot be opened
    /// keeps what it has, and is told of to whoever uses it.
    pub(crate) fn open_expiring(&self) {
        let names: Vec<String> = self.image().topics().keys().cloned().collect();
        for topic in names.iter().filter_map(|name| self.topic(name).ok()) {
            let config = topic.config();
            if config.retention_ms < 0 && config.retention_bytes < 0 {
                continue;
            }
            for number in 0..topic.partition_count() {
                let _ = topic.partition(self, number);
            }
        }
    }

    // ---- waiting and ending ----------------------------------------------------------------------------------------------

    /// Sleeps while `word` is `expected`, at most for `timeout`. Wakes for nothing at times.
    ///
    /// # Errors
    /// `Interrupted` when a signal came and the program wants to stop.
    pub(crate) fn wait(&self, word: &AtomicU32, expected: u32, timeout: Duration) -> Result<()> {
        match self.sys.wait.wait(word, expected, timeout) {
            Woken::Interrupted => self.ask_after_signal(),
            _ => Ok(()),
        }
    }

    /// After a signal interrupted a wait: asks whether the program wants to stop. With no lock held.
    ///
    /// # Errors
    /// `Interrupted` when it does.
    pub(crate) fn ask_after_signal(&self) -> Result<()> {
        match &self.on_interrupt {
            Some(ask) if ask() => Err(Error::new(ErrorCode::Interrupted, "a signal interrupted the wait")),
            _ => Ok(()),
        }
    }

    /// Whether this process may say that it sleeps, so that it is woken.
    pub(crate) fn may_announce(&self) -> bool {
        self.dir.member().is_some()
    }

    /// To be called before looking for what one may sleep for: whatever comes later ends the [`sleep`](Self::sleep). Who waits
    /// for one partition is woken by nothing that becomes of others.
    pub(crate) fn before_sleep(&self, only: Option<&Block>) -> Sleep {
        if let Some(member) = self.dir.member() {
            let bell = member.control().bell();
            let word = only.map_or(bell.word(), |block| block.data_sequence()).load(Ordering::SeqCst);
            match only {
                Some(block) => block.announce_reader(),
                None => bell.announce_waiter(),
            }
            return Sleep { partition: only.cloned(), word, longest: LONGEST_SLEEP };
        }
        // A reader may not say that it waits: it is woken only along with others, and looks again soon.
        if self.dir.shared_memory().is_none()
            && let Ok((Some(memory), _)) = follow(&self.sys, &self.path)
        {
            self.dir.begin_to_follow(memory);
        }
        let word = self.bell().map_or(0, |bell| bell.word().load(Ordering::SeqCst));
        Sleep { partition: None, word, longest: READERS_SLEEP }
    }

    /// Sleeps until something changes, at most for `timeout`, or until `is_wanted`. Wakes for nothing at times.
    ///
    /// # Errors
    /// `Interrupted` when a signal came and the program wants to stop.
    pub(crate) fn sleep(&self, sleep: &Sleep, timeout: Duration, is_wanted: impl Fn() -> bool) -> Result<()> {
        let partition = sleep.partition.as_ref().map(|block| block.data_sequence());
        let Some(word) = partition.or_else(|| self.bell().map(Bell::word)) else {
            // Nobody ever shared the directory: there is no word to look at, and somebody may come.
            return self.wait(&AtomicU32::new(sleep.word), sleep.word, timeout.min(NOBODYS_SLEEP));
        };
        let (mut left, mut slice) = (timeout.min(LONGEST_SLEEP), sleep.longest);
        // In slices, for a reader, who looks at no more than the word between them. They become longer where nothing comes: to
        // wake up costs some 30 µs of processor time, even for nothing.
        while !left.is_zero() {
            self.wait(word, sleep.word, left.min(slice))?;
            if word.load(Ordering::SeqCst) != sleep.word || is_wanted() || self.closed.load(Ordering::SeqCst) {
                break;
            }
            left = left.saturating_sub(slice);
            slice = (slice * 2).min(LONGEST_WAIT.max(sleep.longest));
        }
        Ok(())
    }

    /// Closes everything in order; a second time does nothing.
    pub(crate) fn close(&self) -> Result<()> {
        // A second one waits for the first.
        let _one_closes = self.closing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.closed.load(Ordering::Acquire) {
            return Ok(());
        }
        self.drain();
        self.closed.store(true, Ordering::SeqCst);
        self.clock.stop();
        self.duties.stop();
        loop {
            let inside = self.inside.load(Ordering::SeqCst);
            if inside == 0 {
                break;
            }
            self.sys.wait.wait(&self.inside, inside, LONGEST_WAIT);
        }
        let mut result = Ok(());
        if let Some(member) = self.dir.member() {
            result = self.detach(member);
        }
        // Whoever sleeps on anything of this engine is told.
        self.ring();
        self.attachment.lock().unwrap_or_else(PoisonError::into_inner).take();
        for topic in self.known_topics() {
            topic.open_partitions().iter().for_each(|partition| partition.announce());
        }
        // Handles that live on keep no file of a directory that was given back, but for what they read themselves.
        self.topics.write().unwrap_or_else(PoisonError::into_inner).clear();
        result
    }
}

impl Cluster {
    /// Leaves the directory: what was appended is durable, and whoever goes last leaves everything in order.
    fn detach(&self, member: &Member) -> Result<()> {
        let mut result = Ok(());
        for partition in self.known_topics().iter().flat_map(|topic| topic.open_partitions()) {
            self.begin_due_epoch(&partition);
            result = result.and(partition.flush_claimed());
            partition.end();
        }
        self.take_snapshot(true);
        let _ = self.dir.write_noted(); // what cannot be written now costs the next opener time
        let attach = member.role(Role::Attach, "closing the directory");
        result = result.and(member.check()); // who was fenced off closes nothing, and is told
        let is_alone = attach.is_ok() && member.check().is_ok() && self.is_alone(member);
        if is_alone {
            result = result.and(self.close_all(member));
            reached(Point::CleanMarked);
            member.control().set_closed();
        } else if let Err(error) = &attach {
            self.dir.mark_failed();
            result = result.and(Err(error.clone())); // he may be the last one, and nothing is in order
        }
        if self.housekeeping.swap(false, Ordering::SeqCst) {
            member.control().set_housekeeper(0);
        }
        self.remove_now();
        member.leave(); // with the attach lock held, so that the next one finds it done
        result
    }

    /// Begins the epoch that a partition needs: the next opener finds everything in order, and would not know.
    fn begin_due_epoch(&self, partition: &Replica) {
        if partition.check_exists().is_ok()
            && let Some(epoch) = partition.epoch_needed()
            && self.begin_epoch(partition, epoch).is_err()
        {
            self.dir.mark_failed();
        }
    }

    fn is_alone(&self, member: &Member) -> bool {
        self.is_exclusive() || member.try_alone()
    }

    /// Whether this handle has the directory to itself.
    pub(super) fn is_exclusive(&self) -> bool {
        let attachment = self.attachment.lock().unwrap_or_else(PoisonError::into_inner);
        attachment.as_ref().is_some_and(|attachment| attachment.is_exclusive)
    }

    /// Closes every log that any process has had open, in order, and says so.
    fn close_all(&self, member: &Member) -> Result<()> {
        let mut result = Ok(());
        let Some(controller) = &self.controller else { return result };
        // Somebody who has died may have changed the metadata, and not shown it.
        let _ = controller.look_after();
        let _ = self.sync();
        let image = controller.image();
        for block in member.control().blocks() {
            let (id, number) = block.named();
            let Some(name) = image.name_of(id).filter(|_| block.state() != State::Unopened) else { continue };
            if block.state() == State::Removed {
                self.dir.mark_failed(); // the metadata know better: whatever says so is not to be believed
                continue;
            }
            let closed = self
                .topic_of(&image, name)
                .partition_of(number, |topic, partition| self.open_held(partition, topic.id, topic.config()));
            let closed = closed.and_then(|partition| {
                self.begin_due_epoch(&partition); // whoever knew of it may be dead
                self.spare.allow(|| partition.log().close())
            });
            if closed.is_err() {
                self.dir.mark_failed();
            }
            result = result.and(closed);
        }
        let closed = self.spare.allow(|| controller.close());
        if closed.is_err() {
            self.dir.mark_failed();
        }
        result = result.and(closed);
        if member.bury_dead() > 0
            && Self::may_delete(&image)
            && let Err(error) = self.finish_removals()
        {
            self.dir.mark_failed(); // the next opener tries again
            result = result.and(Err(Error::io("finishing the removal of topics", error)));
        }
        reached(Point::LogsClosed);
        let me = self.identity.as_ref().map_or(-1, |identity| identity.node_id);
        let broker_epoch = image.brokers.get(&me).map_or(-1, |broker| broker.broker_epoch);
        result.and(self.spare.allow(|| self.dir.finish(broker_epoch)))
    }

    /// The topic of that name, which the image has.
    fn topic_of(&self, image: &Image, name: &str) -> Arc<Topic> {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let (id, count) = image.topic(name).map_or((Uuid::ZERO, 0), |topic| (topic.id, topic.partition_count()));
            Arc::new(Topic::new(name, id, count, Arc::new(self.topic_config(image, name))))
        };
        topics.entry(name.to_owned()).or_insert_with(make).clone()
    }
}

/// The error of a topic that does not exist, with the name that was meant, most likely.
pub(crate) fn unknown_topic(name: &str, image: &Image) -> Error {
    let names: Vec<&str> = image.topics().keys().map(String::as_str).collect();
    let hint = crate::config::nearest(name, &names).map(|near| format!("; did you mean '{near}'?")).unwrap_or_default();
    Error::new(ErrorCode::UnknownTopicOrPartition, format!("there is no topic '{name}'{hint}"))
}

/// A call that changes something, while it runs.
pub(crate) struct Inside<'a>(&'a Cluster);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::SeqCst);
        if self.0.closed.load(Ordering::SeqCst) {
            self.0.sys.wait.wake_all(&self.0.inside);
        }
    }
}

struct FlushDuty {
    cluster: Weak<Cluster>,
    partition: Arc<Replica>,
}

impl Duty for FlushDuty {
    fn perform(&self) -> Option<Duration> {
        let _ = self.cluster.upgrade().map(|cluster| cluster.sync()); // as in `wait_for`
        // A failure closes the log for writing, and whoever writes or waits next is told.
        let again = super::duties::again(&self.partition.flush_claimed())?;
        self.partition.claim_flush_again().then_some(again)
    }
}

/// Planned by whoever appends: the one who keeps house may never append, and not know.
struct CheckpointDuty {
    cluster: Weak<Cluster>,
    /// How often they had been written by any process.
    seen: AtomicU32,
}

impl Duty for CheckpointDuty {
    fn perform(&self) -> Option<Duration> {
        let cluster = self.cluster.upgrade()?;
        let written = cluster.checkpoints_written();
        if self.seen.swap(written, Ordering::Relaxed) != written {
            return Some(CHECKPOINT_WITHIN); // somebody else does it at the time, for all
        }
        // One that cannot be written costs the next opener time, and is tried again after the next append.
        let _ = cluster.write_checkpoints();
        None
    }
}

struct RetentionDuty {
    cluster: Weak<Cluster>,
}

impl Duty for RetentionDuty {
    fn perform(&self) -> Option<Duration> {
        let cluster = self.cluster.upgrade()?;
        let every = Duration::from_millis(cluster.config.log_retention_check_interval_ms as u64);
        if !cluster.is_housekeeper() {
            return Some(every.min(FIRST_RETENTION));
        }
        // What could not be deleted now is tried the next time.
        cluster.open_expiring();
        let _ = cluster.run_retention();
        if let Some(member) = cluster.dir.member() {
            cluster.end_turn(member);
        }
        Some(every)
    }
}

struct RemoveDuty {
    sys: Sys,
    paths: Vec<PathBuf>,
    leaving: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl Duty for RemoveDuty {
    fn perform(&self) -> Option<Duration> {
        for path in &self.paths {
            if self.leaving.lock().unwrap_or_else(PoisonError::into_inner).remove(path) {
                // What is left is removed when the directory is opened after an unclean end.
                let _ = super::topics::remove_tree(&self.sys, path);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Engine;

    /// Once a program that makes a producer for each request kept something of every one of them.
    #[test]
    fn producers_that_are_gone_are_forgotten() {
        let engine = Engine::memory().expect("an engine in memory");
        let send = |producer: &crate::Producer| producer.send("t", None, Some(b"value")).expect("it is queued");
        let stays = engine.producer().expect("a producer");
        send(&stays);
        for _ in 0..1000 {
            send(&engine.producer().expect("another"));
        }
        let cluster = engine.cluster().expect("it is open");
        let drains = cluster.drains.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(drains.len() < 10, "{} producers are remembered", drains.len());
        assert_eq!(drains.iter().filter(|drain| drain.strong_count() > 0).count(), 1, "the one that is there");
    }
}
