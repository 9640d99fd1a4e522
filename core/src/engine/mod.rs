//! The opened cluster, and the handle on it.
//!
//! Opening takes the directory, replays the metadata and, after an unclean end, recovers every log. Partitions of a clean
//! directory are opened when somebody asks for them, and nothing is written before somebody writes.

mod adopt;
mod attach;
mod attached;
mod cluster;
mod configs;
mod doctor;
mod duties;
mod housekeeping;
mod identity;
mod log_dirs;
mod open;
mod spare;
mod topic;
mod topics;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use adopt::{Adoption, Retention};
pub use attached::{
    Attached, AttachedHandle, HeldLock, Holding, Metric, MetricKind, Metrics, PartitionMetrics, Sharing,
};
pub(crate) use cluster::{Cluster, Drain};
pub use configs::{ConfigEntry, ConfigResource, ConfigSource};
pub use doctor::{Check, Verdict, doctor};
pub(crate) use duties::Duty;
pub use log_dirs::{LogDirDescription, ReplicaDescription};
pub(crate) use topic::Topic;
pub use topics::{NewTopic, PartitionDescription, TopicDescription};

use crate::config::{Durability, EngineConfig, Threads};
use crate::error::{Error, ErrorCode, Result};
use crate::log::Report;
use crate::sys::{AnyDisk, PerProcess, Sys};

/// What may be done with a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// Read. Changes no byte and no time of any file, and needs no right to. Follows those who write; of such as cannot be
    /// followed it shows what the checkpoints vouch for.
    ReadOnly,
    /// Read and write a directory that is there.
    ReadWrite,
    /// Read and write; the directory is made when it is not there.
    #[default]
    Create,
}

/// How to open an engine.
///
/// ```
/// # fn main() -> Result<(), klog::Error> {
/// let engine = klog::OpenOptions::new().set("num.partitions", "4")?.memory()?;
/// assert_eq!(engine.admin().create_topic(&klog::NewTopic::named("orders"))?.partitions.len(), 4);
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
pub struct OpenOptions {
    mode: Mode,
    config: EngineConfig,
    assume_lost: Vec<i32>,
    /// Only to adopt the directory: nothing is removed from it.
    adopting: bool,
    /// What the program is called, for whoever looks who is attached.
    program: Option<String>,
    sys: Option<Sys>,
    on_interrupt: Option<Arc<dyn Fn() -> bool + Send + Sync>>,
}

impl fmt::Debug for OpenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenOptions").field("mode", &self.mode).field("config", &self.config).finish_non_exhaustive()
    }
}

impl OpenOptions {
    /// Read, write, and make the directory if need be.
    pub fn new() -> Self {
        Self::default()
    }

    /// What may be done with the directory.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// `klog.durability` of new topics.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.config.klog_durability = durability;
        self
    }

    /// Sets an option by name; see [`EngineConfig`].
    ///
    /// # Errors
    /// `InvalidConfig`.
    pub fn set(mut self, name: &str, value: &str) -> Result<Self> {
        self.config.set(name, value)?;
        Ok(self)
    }

    /// All options at once.
    #[must_use]
    pub fn config(mut self, config: EngineConfig) -> Self {
        self.config = config;
        self
    }

    /// Names brokers of the cluster whose directories are gone for good, so that the rest can be opened for writing.
    #[must_use]
    pub fn assume_lost(mut self, node_ids: impl IntoIterator<Item = i32>) -> Self {
        self.assume_lost.extend(node_ids);
        self
    }

    /// Asked when a signal interrupts a wait, and now and then while an append waits for another process, with no lock held:
    /// `true` ends the wait with `Interrupted`. For languages whose signal handlers run later.
    #[must_use]
    pub fn on_interrupt(mut self, ask: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.on_interrupt = Some(Arc::new(ask));
        self
    }

    /// What the program is called, for those who look who is attached; its first 32 bytes count. Without it, the name of the
    /// executable file.
    #[must_use]
    pub fn program(mut self, name: impl Into<String>) -> Self {
        self.program = Some(name.into());
        self
    }

    /// Puts another system under the engine: for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn system(mut self, sys: Sys) -> Self {
        self.sys = Some(sys);
        self
    }

    /// Opens a directory.
    ///
    /// # Errors
    /// `Locked` when somebody has it whom nobody can share it with, or has been opening or closing it for 30 s;
    /// `RequestTimedOut` when another process keeps the lock of the metadata log; `KafkaStorageError` when it is no log
    /// directory or the disk refuses; `Unsupported` for a directory that klog only reads, or whose file system does not keep
    /// mapped memory and files together; `InvalidRequest` for an empty path.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Engine> {
        let sys = self.sys.clone().unwrap_or_else(Sys::real);
        Engine::start(path.as_ref().to_path_buf(), sys, self)
    }

    /// A handle that opens the directory at its first call, which gets the error where it cannot: for one that another
    /// process was sent the path of.
    pub fn open_later(self, path: impl AsRef<Path>) -> Engine {
        let sys = self.sys.clone().unwrap_or_else(Sys::real);
        Engine::of(path.as_ref().to_path_buf(), sys, self)
    }

    /// Opens an engine that lives in memory and is gone with its last handle.
    ///
    /// # Errors
    /// Those of [`open`](Self::open) that can happen in memory: none is expected.
    pub fn memory(mut self) -> Result<Engine> {
        self.config.spare = false;
        Engine::start(PathBuf::from("/memory"), Sys::memory(), OpenOptions { mode: Mode::Create, ..self })
    }
}

/// A handle on an open cluster. Clones are the same engine; the last one to go closes it.
///
/// ```
/// # fn main() -> Result<(), klog::Error> {
/// let dir = tempfile::tempdir().expect("a place to write");
/// let engine = klog::Engine::open(dir.path().join("data"))?;
/// let sent = engine.producer()?.send("greetings", None, Some(b"hello"))?;
/// assert_eq!(sent.result()?.offset, 0);
/// engine.close()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Engine {
    handle: Arc<Handle>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("path", &self.handle.path).finish_non_exhaustive()
    }
}

/// What the clones of an engine share.
struct Handle {
    path: PathBuf,
    sys: Sys,
    options: OpenOptions,
    cluster: PerProcess<Arc<Cluster>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(cluster) = self.cluster.take() {
            let _ = cluster.close(); // whoever wants to know closes by name
        }
    }
}

impl Engine {
    /// Opens a directory for reading and writing, and makes it if it is not there.
    ///
    /// # Errors
    /// See [`OpenOptions::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Engine> {
        OpenOptions::new().open(path)
    }

    /// Opens an engine that lives in memory.
    ///
    /// # Errors
    /// See [`OpenOptions::memory`].
    pub fn memory() -> Result<Engine> {
        OpenOptions::new().memory()
    }

    fn start(path: PathBuf, sys: Sys, options: OpenOptions) -> Result<Engine> {
        let engine = Engine::of(path, sys, options);
        engine.cluster()?;
        Ok(engine)
    }

    fn of(path: PathBuf, sys: Sys, options: OpenOptions) -> Engine {
        // A program may go to another directory, as those do that become daemons.
        let path = std::path::absolute(&path).unwrap_or(path);
        Engine { handle: Arc::new(Handle { path, sys, options, cluster: PerProcess::default() }) }
    }

    /// The opened cluster of this process. In a child of the process that opened it, the directory is opened anew; an engine
    /// in memory stays with the parent.
    pub(crate) fn cluster(&self) -> Result<&Arc<Cluster>> {
        let handle = &*self.handle;
        let forked =
            || Error::new(ErrorCode::Forked, "the engine belongs to the parent process; open one in this process");
        if handle.cluster.depth() > 0 && matches!(handle.sys.disk, AnyDisk::Simulated(_)) {
            return Err(forked());
        }
        let open = || Cluster::open(&handle.path, handle.sys.clone(), &handle.options);
        let cluster = handle.cluster.get_or_try(open)?.ok_or_else(forked)?;
        cluster.check_open()?;
        Ok(cluster)
    }

    /// Where the directory is.
    pub fn path(&self) -> &Path {
        &self.handle.path
    }

    /// The cluster's id; `None` where the directory does not say.
    ///
    /// # Errors
    /// `Closed`.
    pub fn cluster_id(&self) -> Result<Option<String>> {
        Ok(self.cluster()?.identity().map(|identity| identity.cluster_id.clone()))
    }

    /// Whether the engine was opened for reading only.
    pub fn is_read_only(&self) -> bool {
        self.handle.options.mode == Mode::ReadOnly
    }

    /// Whether the engine may start threads.
    pub fn threads(&self) -> Threads {
        self.handle.options.config.threads
    }

    /// What opening, recovering and reading found so far: ends that were cut off, damage, anything that did not agree.
    ///
    /// # Errors
    /// `Closed`.
    pub fn report(&self) -> Result<Report> {
        Ok(self.cluster()?.report())
    }

    /// Writes what producers hold and makes durable what anybody has appended to the partitions that this engine has open.
    ///
    /// # Errors
    /// The first error of any partition: `RequestTimedOut` for one that another process has been flushing for longer than
    /// `request.timeout.ms`; `Locked` once this handle lost its place in the directory.
    pub fn flush(&self) -> Result<()> {
        self.cluster()?.flush()
    }

    /// Writes what producers hold, makes it durable and gives the directory back; the last of those who have it open closes
    /// every log in order. Handles that remain answer `Closed`.
    ///
    /// # Errors
    /// The first error of any partition; everything else is closed all the same, and the next opener recovers.
    pub fn close(&self) -> Result<()> {
        match self.handle.cluster.get() {
            Some(cluster) => cluster.close(),
            None => Ok(()),
        }
    }
}
