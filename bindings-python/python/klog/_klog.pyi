"""The native part of klog; import its names from `klog`.

Words that hold everywhere:

* Offsets count records from 0 in each partition. Timestamps are milliseconds since 1970-01-01 UTC, or aware `datetime`s
  where a function takes one. Timeouts are seconds (or a `timedelta`): None waits for ever, 0 does not wait.
* Keys, values and header values are any C-contiguous buffer, or text, which is encoded as UTF-8. They come back as bytes.
  None is Kafka's null, which is not the same as b"".
* Handles may be used by any number of threads. Everything that waits or touches the disk lets other threads run, and Ctrl-C
  ends every wait but that of `open` for another process that is opening or closing the directory (30 s), and that of `close`
  for what it has to write.
* A number that is too large or too small for its argument raises `InvalidRequestError`, which is a `ValueError`, and names it.
* Every handle raises `ClosedError` once it or its engine is closed, and `StorageError` when the disk refuses.
* Any number of processes may have a directory open, and one process may have it open several times. `TimeoutError` names a
  process that has held a lock for longer than "request.timeout.ms"; nothing is taken from one that lives.
* After `os.fork` an engine on disk and its producers open the directory anew in the child, at their next call, without what
  was queued. Consumers, engines in memory and deliveries whose result nobody had asked for raise `ForkedError` there, and from
  the eighth nested fork on everything does.
* Engines, producers and consumers can be pickled, and so be given to `multiprocessing`: by path and options, a consumer with
  its assignment and positions, and nothing that is queued. What is unpickled is a handle of its own, which opens the directory
  at its first call. A pickled handle is as good as its path: unpickle only what you trust.
"""

import builtins
import datetime as dt
import os
from collections.abc import Callable, Generator, ItemsView, Iterable, Iterator, KeysView, Mapping, Sequence, ValuesView
from enum import IntEnum
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self, TypeAlias, TypeVar, final, overload

from typing_extensions import Buffer

__version__: str

_T = TypeVar("_T")
_Bytes: TypeAlias = Buffer | str
_Headers: TypeAlias = Mapping[str, _Bytes | None] | Iterable[tuple[str, _Bytes | None]]
_Time: TypeAlias = dt.datetime | int
_Timeout: TypeAlias = float | dt.timedelta | None
_Option: TypeAlias = str | int | float | bool
_Config: TypeAlias = Mapping[str, _Option]
_Start: TypeAlias = Literal["earliest", "latest"] | _Time | Mapping[TopicPartition, int] | Mapping[tuple[str, int], int]
_Isolation: TypeAlias = Literal["committed", "uncommitted"]
_Durability: TypeAlias = Literal["os", "fsync"]

def open(
    path: str | os.PathLike[str] | None = None,
    *,
    mode: Literal["r", "rw", "rwc"] = "rwc",
    durability: _Durability = "fsync",
    brokers: int | Sequence[str | os.PathLike[str]] = 1,
    auto_create: bool = True,
    num_partitions: int = 1,
    lock_timeout: _Timeout = 5.0,
    assume_lost: Sequence[int] = (),
    threads: bool = True,
    config: _Config | None = None,
) -> Engine:
    """Opens a directory, which is an Apache Kafka `log.dir`, and makes it if it is not there.

    Example:
        with klog.open("./data") as engine:
            engine.send("greetings", "hello").result()

    Args:
        path: The directory. None, or ":memory:", is an engine that lives in memory and is gone when it is closed.
        mode: "r" reads, changes no byte and no time of any file, and needs no right to. It follows those who write, except
            where they cannot be followed (another version of klog, or "klog.exclusive"): of those it shows what they had
            written down as visible. "rw" writes too; "rwc" also makes the directory.
        durability: `klog.durability` of new topics. With "fsync" a record is acknowledged, and seen by consumers, when it
            survives a power cut; with "os" when it survives the death of the process.
        brokers: 1; clusters of several are not supported yet.
        auto_create: Whether sending to a topic that does not exist makes it. Reading never does.
        num_partitions: Partitions of new topics that do not say; 1 or more.
        lock_timeout: How long to wait for a broker, or for a process that has the directory to itself, to leave it. One that
            is opening or closing it is waited for 30 s at least.
        assume_lost: Node ids of brokers of the same cluster whose directories are gone for good. Without them, a directory
            that is one of several is for reading only.
        threads: Whether the engine may start threads. Without them calls do the same work, lingering batches wait for the
            next call, and a `flush` cannot be interrupted.
        config: More options, by Kafka's names; they win over the above. Among them are "klog.exclusive" (False), which takes
            the directory for this handle alone, as is done anyway where the file system is not one that processes can share;
            "klog.lock" ("futex"; "ofd" is slower), how processes take turns, which whoever opens the directory first decides;
            and "request.timeout.ms" (30000), how long a call waits for a lock that another process holds.

    Raises:
        LockedError: A broker has the directory, or somebody has it to himself, or is to have it and is not alone; the message
            says who.
        ConfigError: An unknown option, with the nearest name, or a value that it does not allow.
        StorageError: There is no such directory, or it is no log directory, or brokers of its cluster are missing, or the
            disk refuses.
        UnsupportedError: klog only reads that kind of directory.
        CorruptionError: The metadata does not check out. Nothing was changed.
        InvalidRequestError: Another mode, or an empty path.
    """

def adopt(
    path: str | os.PathLike[str],
    *,
    retention_ms: int,
    retention_bytes: int = -1,
    lock_timeout: _Timeout = 5.0,
    assume_lost: Sequence[int] = (),
) -> Adoption:
    """Adopts a directory that klog did not make, a Kafka broker's: from now on retention works in it, as the topics' own
    settings say and these numbers where a topic says nothing. Until then nothing is ever deleted from such a directory. One of
    the ZooKeeper era, which klog only reads until then, also gets the metadata that it lacks, and can be written to.

    Durable on return. Nothing is deleted before the directory is opened for writing; adopting again changes the retention.

    Example:
        print(klog.adopt("/var/lib/kafka", retention_ms=7 * 86_400_000).topics)

    Args:
        path: The directory.
        retention_ms: `log.retention.ms`: segments older than so many ms go; -1 keeps them for ever.
        retention_bytes: `log.retention.bytes`: the oldest segments of a partition go while it has more bytes; -1 keeps them.
        lock_timeout: How long to wait for another process, a broker or one of klog's, to leave the directory.
        assume_lost: Node ids of brokers of the same cluster whose directories are gone for good.

    Raises, and then nothing was changed:
        LockedError: A broker, or somebody who has it to himself, has the directory; or it has no metadata yet and is open.
        ConfigError: A retention below -1.
        UnsupportedError: It is one of several of a cluster, a partition of a topic is missing, or its metadata is of a newer
            Kafka than klog changes, which klog reads and appends to all the same.
        StorageError: There is no such directory, or it holds no logs, or the disk refuses.
        InconsistentIdError: Partitions of a topic name different topic ids.
    """

def command() -> int:
    """Runs the `klog` command with `sys.argv` and returns its exit code: 0, 1 when it failed, 2 when its arguments made no
    sense. From then on Ctrl-C ends the process without a traceback."""

# ---- values --------------------------------------------------------------------------------------------------------------

class TopicPartition(NamedTuple):
    """A partition of a topic. Wherever one is taken, so is a plain tuple of the same fields."""

    topic: str
    partition: int

class Offset(NamedTuple):
    """A position in a partition: the offset that is read next."""

    topic: str
    partition: int
    offset: int
    metadata: str = ""
    leader_epoch: int | None = None

class RecordMetadata(NamedTuple):
    """Where a record is: what a `Delivery` resolves to. The offset is -1 with `acks=0`; the timestamp is the log's own where
    the topic says `message.timestamp.type=LogAppendTime`."""

    topic: str
    partition: int
    offset: int
    timestamp: int

class ListedOffset(NamedTuple):
    """An offset that was asked for; -1 when there is none. The timestamp is that of the record there if it was looked up by
    time, and -1 otherwise."""

    offset: int
    timestamp: int

class TopicListing(NamedTuple):
    """A topic in a list. The id is all zero, and the factor 0, where the directory does not say."""

    name: str
    id: str
    partitions: int
    replication_factor: int
    is_internal: bool

class PartitionDescription(NamedTuple):
    """What there is to know about a partition. Always log_start_offset <= last_stable_offset <= high_watermark <=
    log_end_offset: records below the high watermark are visible, those below the last stable offset are decided. The leader
    is -1 for none; `bytes` and `segments` are of the `.log` files."""

    partition: int
    leader: int
    leader_epoch: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    log_start_offset: int
    last_stable_offset: int
    high_watermark: int
    log_end_offset: int
    bytes: int
    segments: int

class TopicDescription(NamedTuple):
    """What there is to know about a topic. `configs` holds the settings that differ from the defaults."""

    name: str
    id: str
    is_internal: bool
    configs: dict[str, str]
    partitions: tuple[PartitionDescription, ...]

class ConfigEntry(NamedTuple):
    """A setting.

    `value` is the one that holds, None where nothing is set. `source` is Kafka's word for where it comes from:
    "DYNAMIC_TOPIC_CONFIG" (the topic has it), "DYNAMIC_BROKER_CONFIG", "DYNAMIC_DEFAULT_BROKER_CONFIG" (all brokers have it),
    "STATIC_BROKER_CONFIG" (the engine was opened with it) or "DEFAULT_CONFIG"; "NOT_ADOPTED" is klog's, for a directory that
    nothing is deleted from before `klog.adopt`. `is_read_only` says that it is given when opening and cannot be altered.
    `type` is "int", "long", "boolean", "double", or the words that are allowed; `bounds` are the values that are, where the type
    allows more. `type` and `doc` are empty where klog does not know the setting."""

    name: str
    value: str | None
    source: str
    is_read_only: bool
    type: str
    bounds: str | None
    doc: str

class SegmentDescription(NamedTuple):
    """A segment of a partition: offsets [base_offset, next_offset). `file` is its `.log`, relative to the log directory, and
    `bytes` is its size, of which `damaged_bytes` are no batch. `records` counts those that control the log too. The timestamps
    are the first batch's and the greatest, -1 where there is none. Appends go to the one that `is_active`."""

    file: str
    base_offset: int
    next_offset: int
    bytes: int
    damaged_bytes: int
    batches: int
    records: int
    first_timestamp: int
    max_timestamp: int
    is_active: bool

class BatchDescription(NamedTuple):
    """A batch of records, by its header: offsets [base_offset, last_offset], of which it has so many records. It begins at
    `position` of `file`, which is relative to the log directory. The producer's numbers are -1 where there is none.
    `is_crc_ok` is False when the checksum that is stored is not the one that is computed; `problem` says why the batch cannot
    be read, and is None when it can."""

    file: str
    position: int
    bytes: int
    base_offset: int
    last_offset: int
    records: int
    codec: str
    is_crc_ok: bool
    producer_id: int
    producer_epoch: int
    base_sequence: int
    is_transactional: bool
    is_control: bool
    leader_epoch: int
    max_timestamp: int
    problem: str | None

class ReplicaDescription(NamedTuple):
    """A partition in a log directory. `directory` is the name of its own; `partition` is None for one that waits for its
    removal, or that a broker set aside. `bytes` is of all its files, `log_bytes` of the `.log` files."""

    directory: str
    partition: TopicPartition | None
    log_bytes: int
    bytes: int
    segments: int

class LogDirDescription(NamedTuple):
    """A log directory: bytes of the file system that it is on, how many of them are left, and the partitions in it."""

    path: str
    total_bytes: int
    usable_bytes: int
    replicas: tuple[ReplicaDescription, ...]

class Holding(NamedTuple):
    """Something that a handle holds: "housekeeping", "metadata", or "lock" or "flush" and a partition. `held_ms` says for how
    long, where that is known."""

    what: str
    held_ms: int | None

class AttachedHandle(NamedTuple):
    """Somebody who has the directory open for writing. A process has one for each engine that it opened. `pid` means something
    in the namespace `pid_namespace`, an inode; `program` is cut to 32 bytes; `since` is in ms since 1970. One that `is_dead`
    died without closing, and nobody has missed it yet."""

    slot: int
    generation: int
    pid: int
    pid_namespace: int
    program: str
    since: int
    is_dead: bool
    holds: tuple[Holding, ...]

class Metric(NamedTuple):
    """A number that is counted: of the directory, or of a partition. A name that ends with `_ms` or `_ns` is of a time in that
    unit. A "counter" only grows, and begins at 0 when the first handle attaches; a "gauge" goes up and down."""

    name: str
    partition: TopicPartition | None
    kind: Literal["counter", "gauge"]
    value: int
    help: str

class Damage(NamedTuple):
    """Bytes of a log that do not check out: the offsets [first_offset, next_offset) cannot be read. `position` and `bytes`
    say where in `file`, which is relative to the log directory."""

    topic: str
    partition: int
    first_offset: int
    next_offset: int
    file: str
    position: int
    bytes: int
    reason: str

class Report(NamedTuple):
    """What opening, recovering or verifying found. `ok` means nothing; otherwise each problem is a sentence."""

    ok: bool
    problems: tuple[str, ...]

class Adoption(NamedTuple):
    """What adopting a directory did. `made_metadata` says that there was none. `left_alone` names directories that hold no
    partition and stay as they are: what Kafka was about to remove or to move, or did not know. `report` is what was found."""

    cluster_id: str
    node_id: int
    made_metadata: bool
    topics: int
    partitions: int
    left_alone: tuple[str, ...]
    report: Report

# ---- the engine ----------------------------------------------------------------------------------------------------------

@final
class Engine:
    """A handle on an open directory, from `klog.open`. As a context manager it closes itself. It can be pickled.

    Example:
        with klog.open("./data") as engine:
            engine.send("orders", b"one", key=b"customer 7").result()
            for record in engine.read("orders"):
                print(record.offset, record.key, record.value)
    """

    @property
    def path(self) -> str | None:
        """Where the directory is; None in memory."""

    @property
    def cluster_id(self) -> str | None:
        """The id of the cluster, as in `meta.properties`: 22 characters. None where the directory does not say."""

    @property
    def topics(self) -> Topics:
        """The topics by name, as a mapping that is always up to date."""

    def topic(self, name: str) -> Topic:
        """A topic that exists.

        Raises:
            UnknownTopicError: There is none of that name; the message says which was probably meant.
        """

    def admin(self) -> Admin:
        """The verbs about topics, partitions and settings."""

    def create_topic(
        self,
        name: str,
        partitions: int | None = None,
        *,
        replication_factor: int | None = None,
        config: _Config | None = None,
        exist_ok: bool = False,
    ) -> Topic:
        """Makes a topic; it exists, durably, on return.

        Args:
            name: 1 to 249 of the characters a-z, A-Z, 0-9, '.', '_' and '-'.
            partitions: 1 or more; None takes `num_partitions` of the engine.
            replication_factor: 1 until klog has several brokers.
            config: Settings by Kafka's names, as {"retention.ms": 60_000}.
            exist_ok: Return a topic that exists as it is.

        Raises:
            TopicExistsError: It exists.
            InvalidRequestError: A name that Kafka does not allow, or a count.
            ConfigError: An unknown setting, with the nearest name, or a value out of its bounds.
            UnsupportedError: A setting that klog does not have yet.
            ReadOnlyError: The engine was opened with mode "r".
        """

    def delete_topic(self, *names: str, missing_ok: bool = False) -> None:
        """Removes topics with all their records, one after the other. Each is gone, durably, when the next begins.

        Raises:
            UnknownTopicError: One does not exist, and `missing_ok` is not set.
            ReadOnlyError: The engine was opened with mode "r".
        """

    def send(
        self,
        topic: str,
        value: _Bytes | None = None,
        *,
        key: _Bytes | None = None,
        headers: _Headers | None = None,
        partition: int | None = None,
        timestamp: _Time | None = None,
    ) -> Delivery:
        """Queues a record with the engine's own producer. See `Producer.send`."""

    def read(
        self,
        *topics: str | TopicPartition,
        start: _Start = "earliest",
        end: Literal["now"] = "now",
        isolation: _Isolation = "committed",
    ) -> Scan:
        """The records of topics or partitions, up to what is visible when the scan is iterated over.

        Args:
            topics: Names of topics, or partitions; one at least.
            start: "earliest", "latest", a time (the first record that is not older), or offsets by partition.
            end: "now"; to follow a topic, use a consumer.
            isolation: "committed" leaves out the records of aborted transactions and ends before an open one.

        Raises, when it is iterated over:
            UnknownTopicError: A topic or partition does not exist.
            OffsetOutOfRangeError: An offset of `start` lies outside of the log.
            CorruptionError: The log is damaged there; see `CorruptionError.damage`.
        """

    def producer(
        self,
        *,
        acks: Literal[0, 1, -1, "all"] | str | None = None,
        durability: _Durability | None = None,
        compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] | str | None = None,
        linger: _Timeout = None,
        batch_bytes: int | None = None,
        buffer_bytes: int | None = None,
        max_block: _Timeout = None,
        partitioner: str | None = None,
        idempotent: bool = False,
        transactional_id: str | None = None,
        config: _Config | None = None,
    ) -> Producer:
        """A producer with settings of its own. What is None has Kafka's default, or klog's where the documentation says so.

        Args:
            acks: When a delivery is done. "all" (the default, as is -1): when consumers can see the record, which on a topic
                with `klog.durability=fsync` is when the disk has it. 1: when it is written. 0: at once; its offset is not told.
            durability: "os" shortens the wait of `acks="all"` to what is written, "fsync" lengthens that of `acks=1`.
            compression: Of batches; "none".
            linger: How long a batch waits for more records, in seconds; 0.005. One that somebody waits for does not.
            batch_bytes: Size at which a batch is written; 65,536.
            buffer_bytes: Bytes of records that may wait to be written before `send` writes what is queued; 33,554,432.
            max_block: Without effect; a `send` that finds no room writes what is queued.
            partitioner: "murmur2_random" (Kafka's), "murmur2", "consistent_random" (librdkafka's), "consistent", "fnv1a_random",
                "fnv1a" or "random".
            idempotent: False; numbering batches is not supported yet.
            transactional_id: None; transactions are not supported yet.
            config: More options, by Kafka's names; they win over the above.

        Raises:
            ConfigError: An unknown option, with the nearest name, or a value that it does not allow.
            ReadOnlyError: The engine was opened with mode "r".
            UnsupportedError: An option that klog does not have yet.
        """

    def consumer(
        self,
        *topics: str,
        group: str | None = None,
        start: _Start = "earliest",
        isolation: _Isolation = "committed",
        idle_timeout: _Timeout = None,
        config: _Config | None = None,
    ) -> Consumer:
        """A consumer of all partitions of topics, also those that they are given later; without topics, `Consumer.assign` says
        what it reads.

        Args:
            topics: Names.
            group: None; groups are not supported yet.
            start: Where a partition begins that is assigned without an offset: "earliest", "latest" (what is sent from now
                on), a time (the first record that is not older), or offsets by partition, the others at the earliest.
            isolation: "committed" leaves out the records of aborted transactions and waits for open ones.
            idle_timeout: Iterating ends when nothing came for so long; None iterates for ever.
            config: More options, by Kafka's names: "max.poll.records" (500), "auto.offset.reset" (what becomes of a
                position that is outside of the log: "earliest", "latest", or "none" for an error), "check.crcs" (True).

        Raises:
            UnknownTopicError: A topic does not exist. Reading makes none.
            ConfigError: An unknown option, with the nearest name, or a value that it does not allow.
            UnsupportedError: A group.
        """

    def flush(self, timeout: _Timeout = None) -> None:
        """Writes what producers hold and makes durable what anybody has appended to the partitions that this engine has open,
        whatever the topics' durability.

        Raises:
            KlogError: The first failure of a record of `Engine.send` whose delivery nobody asked.
            TimeoutError: Not done in time; it goes on nevertheless. Or another process has kept a lock for longer than
                "request.timeout.ms".
        """

    def verify(self) -> Report:
        """Reads everything and checks everything: batches, checksums, indexes. Changes nothing."""

    def stats(self) -> dict[str, Any]:
        """What is counted in the directory since the first of those who have it open opened it, by the names of
        `Admin.metrics`; under "partitions" a dict for each partition that somebody opened, by `TopicPartition`. With mode "r"
        and nobody who writes, nothing is counted."""

    def report(self) -> Report:
        """What opening, recovering and reading found so far: ends that were cut off and where the bytes are kept, damage."""

    def close(self) -> None:
        """Writes what is queued, makes it durable, and gives the directory back. A second time does nothing. What is still
        open when the interpreter exits is closed then.

        Raises:
            KlogError: The first thing that failed; everything else is closed all the same.
        """

    @property
    def closed(self) -> bool:
        """Whether it was closed."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None, /
    ) -> None: ...

# ---- topics --------------------------------------------------------------------------------------------------------------

@final
class Admin:
    """Looks at topics and changes them, one method for each of the engine's verbs.

    Example:
        admin = engine.admin()
        admin.create_topic("orders", 3, config={"retention.ms": 86_400_000})
        for partition in admin.describe_topic("orders").partitions:
            print(partition.log_start_offset, partition.high_watermark)
    """

    def create_topic(
        self,
        name: str,
        partitions: int | None = None,
        *,
        replication_factor: int | None = None,
        config: _Config | None = None,
    ) -> TopicDescription:
        """Makes a topic, as `Engine.create_topic` does, and describes it."""

    def add_partitions(self, name: str, total: int) -> TopicDescription:
        """Gives a topic more partitions, `total` in all, and describes it. They are there, durably, on return, and producers
        use them from their next record on. Records with keys go to other partitions then than records with the same keys
        before.

        Raises, and then nothing was changed:
            InvalidRequestError: `total` is not larger than what there is: partitions never become fewer. Its code is
                `ErrorCode.INVALID_PARTITIONS`. Or the topic is one of Kafka's own.
            UnknownTopicError: There is no such topic; the message says which was probably meant.
            ReadOnlyError: The engine was opened with mode "r".
        """

    def describe_configs(self, topic: str | None = None) -> dict[str, ConfigEntry]:
        """Every setting of a topic, or without one those of the brokers, by name: the value that holds, where it comes from,
        and what is allowed.

        Raises:
            UnknownTopicError: There is no such topic; the message says which was probably meant.
        """

    def alter_configs(self, topic: str | None, changes: Mapping[str, _Option | None]) -> None:
        """Changes settings, by Kafka's names; None takes one back to what holds without it. All of them are in force,
        durably, on return, or none is; other settings stay as they are.

        Args:
            topic: The topic. With None the settings are those of all brokers, which hold for topics that say nothing
                themselves, and have the names that Kafka's brokers give them: "log.retention.ms".
            changes: As {"retention.ms": 60_000, "preallocate": None}.

        Raises:
            UnknownTopicError: There is no such topic; the message says which was probably meant.
            ConfigError: An unknown setting, with the nearest name, one that is given when opening, or a value out of its
                bounds.
            UnsupportedError: A setting that klog does not have yet.
            ReadOnlyError: The engine was opened with mode "r".
        """

    def delete_topic(self, name: str) -> None:
        """Removes a topic with all its records. It is gone, durably, on return; its files go after `file.delete.delay.ms`.

        Raises:
            UnknownTopicError: There is no such topic; the message says which was probably meant.
            InvalidRequestError: It is one of Kafka's own.
            ReadOnlyError: The engine was opened with mode "r".
        """

    def list_topics(self) -> list[TopicListing]:
        """All topics, sorted by name."""

    def describe_topic(self, name: str) -> TopicDescription:
        """Settings, partitions, leaders, offsets and sizes of a topic.

        Raises:
            UnknownTopicError: There is no such topic; the message says which was probably meant.
        """

    def list_offset(
        self, topic: str, partition: int, which: Literal["earliest", "latest", "max_timestamp"] | _Time
    ) -> ListedOffset:
        """An offset of a partition: the first there is, the high watermark ("latest"), that of the record with the greatest
        timestamp, or that of the first record which is not older than a time.

        Raises:
            UnknownTopicError: There is no such topic or partition.
            InvalidRequestError: Another word.
        """

    def delete_records(self, topic: str, partition: int, before: int | None) -> int:
        """Deletes the records of a partition below an offset, or all that are visible (None). Returns the offset that the
        log starts at now. Durable on return; the space is free once whole segments are below it.

        Raises:
            OffsetOutOfRangeError: Above the high watermark, or negative.
            UnknownTopicError: There is no such topic or partition.
            ReadOnlyError: The engine was opened with mode "r".
        """

    def delete_old_segments(self) -> int:
        """Deletes now what the topics' retention lets go of, without waiting for the next round. Returns how many segments
        went.

        Raises:
            ReadOnlyError: The engine was opened with mode "r".
        """

    def log_dirs(self) -> list[LogDirDescription]:
        """What the log directories hold, by their files: partitions and their sizes, and how much room is left."""

    def attached(self) -> list[AttachedHandle]:
        """The handles that have the directory open for writing, by slot; this one too if it may write. A look, which takes no
        lock, and is old when it returns."""

    def metrics(self) -> list[Metric]:
        """What is counted in the directory since the first of those who have it open opened it: appends, bytes, waits,
        flushes, what dead processes left. The same as `klog stats` shows."""

    def segments(self, topic: str, partition: int = 0) -> list[SegmentDescription]:
        """The segments of a partition, in order. Reads the header of every batch.

        Raises:
            UnknownTopicError: There is no such topic or partition.
        """

    def batches(
        self, topic: str, partition: int = 0, *, from_offset: int | None = None, max_batches: int | None = None
    ) -> list[BatchDescription]:
        """The batches of a partition, by their headers, as they lie in its segments. Reads them and checks their checksums.
        Bytes that do not even begin like a batch are left out; `verify` tells of them.

        Args:
            topic: Its topic.
            partition: From 0.
            from_offset: Begin with the batch that contains it; None begins with the first there is.
            max_batches: 1 or more; None has no limit.

        Raises:
            OffsetOutOfRangeError: `from_offset` lies outside of the log.
            UnknownTopicError: There is no such topic or partition.
        """

    def verify(self, topic: str | None = None) -> Report:
        """Reads everything and checks everything, in one topic or in all: batches, checksums, indexes. Changes nothing.

        Raises:
            UnknownTopicError: There is no such topic.
        """

@final
class Topics(Mapping[str, Topic]):
    """The topics of an engine by name, as they are at each question."""

    def __getitem__(self, name: str, /) -> Topic: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[str]: ...
    def __contains__(self, name: object, /) -> bool: ...
    def keys(self) -> KeysView[str]:
        """The names, as a set-like view."""

    def values(self) -> ValuesView[Topic]:
        """The topics, as a view."""

    def items(self) -> ItemsView[str, Topic]:
        """Names and topics, as a set-like view."""

    @overload
    def get(self, name: str, default: None = None) -> Topic | None:
        """The topic of that name, or else the default."""

    @overload
    def get(self, name: str, default: _T) -> Topic | _T: ...

@final
class Topic:
    """A topic of an open engine. It looks anew at every question, and raises `UnknownTopicError` once the topic is gone."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def id(self) -> str:
        """Its id, as Kafka writes it: 22 characters. It is another one when a topic is deleted and made again."""

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """Its partitions, by number."""

    @property
    def config(self) -> dict[str, str]:
        """The settings that it has of its own, by Kafka's names. All that hold are in `Admin.describe_configs`."""

    def __len__(self) -> int:
        """How many offsets lie between the ends of its partitions: its records, plus what transactions and the cleaner left
        empty."""

    def __bool__(self) -> Literal[True]: ...
    def __iter__(self) -> Iterator[Record]:
        """The records that there are, from the first to the last that is visible now."""

    def read(
        self, *, start: _Start = "earliest", end: Literal["now"] = "now", isolation: _Isolation = "committed"
    ) -> Scan:
        """The records that there are, as a scan. See `Engine.read`."""

    def add_partitions(self, total: int) -> None:
        """Gives it more partitions, `total` in all. See `Admin.add_partitions`."""

    def configure(self, **changes: _Option | None) -> None:
        """Changes settings, as `configure(retention_ms=60_000)`, which is "retention.ms"; None takes one back to what holds
        without it. See `Admin.alter_configs`."""

    def delete_records(self, *, before: Mapping[int, int] | _Time | Literal["end"]) -> None:
        """Deletes old records, durably: below offsets by partition, older than a time, or all that are visible ("end").

        Raises:
            OffsetOutOfRangeError: An offset is above the high watermark, or negative.
            UnknownTopicError: There is no such partition; nothing was deleted.
            ReadOnlyError: The engine was opened with mode "r".
        """

@final
class Partition:
    """A partition of a topic. It looks anew at every question."""

    @property
    def topic(self) -> str:
        """The name of its topic."""

    @property
    def id(self) -> int:
        """Its number, from 0."""

    @property
    def start(self) -> int:
        """The first offset that there is."""

    @property
    def end(self) -> int:
        """The high watermark: every record below is visible."""

    @property
    def stable_end(self) -> int:
        """The last stable offset: every transaction below is decided."""

    @property
    def size(self) -> int:
        """Bytes of its segments."""

    def offset_at(self, when: _Time) -> int | None:
        """The offset of the first record that is not older than `when`; None when all are."""

# ---- sending -------------------------------------------------------------------------------------------------------------

@final
class Producer:
    """Sends records to topics, from `Engine.producer`. As a context manager it closes itself. It can be pickled.

    Example:
        with engine.producer(compression="zstd") as producer:
            for line in lines:
                producer.send("lines", line)
    """

    def send(
        self,
        topic: str,
        value: _Bytes | None = None,
        *,
        key: _Bytes | None = None,
        headers: _Headers | None = None,
        partition: int | None = None,
        timestamp: _Time | None = None,
    ) -> Delivery:
        """Queues a record and returns its delivery, which says when it is acknowledged. Nothing is visible or durable before.

        The bytes are copied. A batch is written when it is full, when it has lingered, at `flush` or `close`, or when
        somebody waits for one of its deliveries.

        Args:
            topic: Made if it is not there and the engine was opened with `auto_create`.
            value: None is a tombstone.
            key: Decides the partition unless that is given; null keys go wherever the producer likes.
            headers: A mapping, or pairs of name and value in order, where a name may come again.
            partition: From 0.
            timestamp: Milliseconds since 1970-01-01 UTC, or an aware datetime; None is now.

        Raises, and then the record is not queued:
            UnknownTopicError: There is no such topic, or no such partition of it.
            RecordTooLargeError: Above `max.request.size`, 1,048,576 bytes.
            InvalidRequestError: A topic name that Kafka does not allow, one of Kafka's own topics, or a timestamp that the
                topic does not allow.
            TimeoutError: Another process keeps the lock that it takes to make the topic or to open the partition for longer
                than "request.timeout.ms".
            TypeError, ValueError, BufferError: A value that is no bytes, a naive datetime, a buffer with gaps.
        """

    @overload
    def send_many(
        self, topic: str, values: Iterable[_Bytes | None], *, keyed: Literal[False] = False, partition: int | None = None
    ) -> Delivery | None:
        """Queues records: values, or with `keyed` pairs of key and value. Returns the delivery of the last one, or None when
        there was none. What comes before one that is refused is sent; see `send`."""

    @overload
    def send_many(
        self,
        topic: str,
        values: Iterable[tuple[_Bytes | None, _Bytes | None]],
        *,
        keyed: Literal[True],
        partition: int | None = None,
    ) -> Delivery | None: ...
    def flush(self, timeout: _Timeout = None) -> None:
        """Writes everything that is queued and waits until it is acknowledged as `acks` says.

        Raises:
            KlogError: The first failure of a record whose delivery nobody asked.
            TimeoutError: Not done in time; it goes on nevertheless.
        """

    @property
    def pending(self) -> int:
        """Records that are queued and not written yet."""

    def close(self) -> None:
        """Flushes, and gives the producer back. A second time does nothing. Raises what `flush` raises."""

    @property
    def closed(self) -> bool:
        """Whether it was closed."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None, /
    ) -> None: ...

@final
class Delivery:
    """A record on its way, from `send`: can be waited for and awaited. The record is delivered whether anybody asks or not,
    and a failure that nobody asked for is raised by the next `flush` or `close`.

    Example:
        print(producer.send("orders", "one").result().offset)
        metadata = await producer.send("orders", "two")
    """

    def result(self, timeout: _Timeout = None) -> RecordMetadata:
        """Waits until the record is acknowledged as `acks` says, and tells where it is. Its batch does not linger any longer.

        Raises:
            KlogError: Why it was not appended.
            StorageError: It was appended and cannot be made durable.
            TimeoutError: Not acknowledged in time, or another process has held a lock for longer than "request.timeout.ms" and
                is named; it may still be, and be there twice if it is sent again.
            ForkedError: The parent process sent it, and had not asked for its result.
        """

    def exception(self, timeout: _Timeout = None) -> KlogError | None:
        """Waits as `result` does, and returns why the record was not delivered; None when it was.

        Raises:
            TimeoutError: Not acknowledged in time, or another process has held a lock for longer than "request.timeout.ms" and
                is named; it may still be.
        """

    def done(self) -> bool:
        """Whether `result` would return without waiting. Does not make anything happen."""

    def add_done_callback(self, function: Callable[[Delivery], object]) -> None:
        """Has `function` called with the delivery once it is done: now if it is, or else by a thread that calls `result` or
        `exception` of it, or `flush` or `close`; never by a thread of the engine. What it raises goes to
        `sys.unraisablehook`."""

    def __await__(self) -> Generator[Any, None, RecordMetadata]: ...

# ---- reading -------------------------------------------------------------------------------------------------------------

@final
class Record:
    """A record that was read. It does not change, can be hashed and pickled, and compares by all that it holds.

    Key and value become bytes when they are asked for first. `raw_key` and `raw_value` show them without a copy, and the record
    itself is a buffer of its value; a view keeps the memory of the whole batch.
    """

    @property
    def topic(self) -> str:
        """The topic that it was read from."""

    @property
    def partition(self) -> int:
        """Its partition, from 0."""

    @property
    def offset(self) -> int:
        """Its place in the partition, from 0."""

    @property
    def timestamp(self) -> int:
        """Milliseconds since 1970-01-01 UTC; -1 for none."""

    @property
    def timestamp_type(self) -> Literal["create", "append"]:
        """Whose clock the timestamp is of: "create" for the producer's, "append" for the log's."""

    @property
    def datetime(self) -> dt.datetime:
        """The timestamp as an aware datetime, in UTC. Raises ValueError when there is none."""

    @property
    def key(self) -> bytes | None:
        """The key; None is null."""

    @property
    def value(self) -> bytes | None:
        """The value; None is null."""

    @property
    def is_tombstone(self) -> bool:
        """Whether the value is null."""

    @property
    def raw_key(self) -> memoryview | None:
        """The key without a copy, read-only."""

    @property
    def raw_value(self) -> memoryview | None:
        """The value without a copy, read-only."""

    @property
    def headers(self) -> tuple[tuple[str, bytes | None], ...]:
        """Names and values, in order; a name may come again, and a value may be None."""

    @overload
    def header(self, name: str, default: None = None) -> bytes | None:
        """The value of a header, the last one of that name, or else the default."""

    @overload
    def header(self, name: str, default: _T) -> bytes | _T | None: ...
    @property
    def position(self) -> Offset:
        """Where reading goes on behind this record: its offset plus one."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class Batch(Sequence[Record]):
    """Records of one partition that were read at once, in offset order, as a sequence. They share their memory, and so do
    slices; it may outlive the consumer and the engine. It cannot be pickled; its records can."""

    @overload
    def __getitem__(self, which: int, /) -> Record: ...
    @overload
    def __getitem__(self, which: slice, /) -> Batch: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Record]: ...
    def __reversed__(self) -> Iterator[Record]: ...
    def __contains__(self, value: object, /) -> bool: ...
    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """The place of a record that equals this one. Raises ValueError when there is none."""

    def count(self, value: Any) -> int:
        """How many records equal this one."""

    def by_partition(self) -> dict[TopicPartition, Batch]:
        """The same records by partition. A batch is of one partition, so there is one, or none when it is empty."""

@final
class Scan:
    """The records of topics or partitions, from where it starts to what is visible when it is iterated over, partition by
    partition. From `Engine.read` and `Topic.read`; each iteration reads anew.

    Example:
        values = [record.value for record in engine.read("orders")]
    """

    def __iter__(self) -> Iterator[Record]: ...
    def batches(self, max_records: int = 10_000) -> Iterator[Batch]:
        """The same records in batches, each of one partition and of at most `max_records`, which is 1 or more."""

@final
class Consumer:
    """Reads records of the partitions that are assigned to it, as they come, from `Engine.consumer`. As a context manager it
    closes itself, and iterating over it yields records as they come. It can be pickled.

    Threads that share one wait for each other, and each record is handed out once.

    Example:
        with engine.consumer("orders", idle_timeout=10) as consumer:
            for record in consumer:
                print(record.offset, record.value)
    """

    def poll(self, timeout: _Timeout = None, *, max_records: int | None = None) -> Batch:
        """The next records of one partition, as soon as there is one; an empty batch when none came in time. Partitions take
        turns. What is returned counts as read: `positions` is behind it.

        Args:
            timeout: None waits for ever, 0 does not wait. With mode "r", in a directory that klog has never written to,
                nothing can come, so nothing is waited for.
            max_records: 1 or more; None takes "max.poll.records".

        Raises:
            CorruptionError: The log is damaged there. The position stays in front of it; to go on behind it, `seek` to
                `Offset(damage.topic, damage.partition, damage.next_offset)`, where `damage` is the error's.
            OffsetOutOfRangeError: The position was deleted, and "auto.offset.reset" is "none".
            TimeoutError: Whatever `timeout` is: another process has been flushing for longer than "request.timeout.ms" what
                has to be durable before it is shown, or keeps the lock of a partition that is opened.
            WakeupError: After `wakeup`.
            BusyError: From a signal handler that interrupts another call of the same consumer.
            ForkedError: The consumer belongs to the parent process.
        """

    def batches(self, max_records: int | None = None) -> Iterator[Batch]:
        """The records in batches, as `poll` returns them, for ever or until `idle_timeout`."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> Record:
        """The next record. Raises what `poll` raises; ends after `idle_timeout`, or when the consumer is closed."""

    def assign(self, *partitions: str | TopicPartition | Offset | tuple[str, int] | tuple[str, int, int]) -> None:
        """Replaces the assignment. A topic's name stands for all its partitions, also those that it is given later, which are
        read from their first record; the others and each `TopicPartition` are read from where the consumer starts, an `Offset`
        from there. With nothing, nothing is assigned.

        Raises, and then the assignment is as it was:
            UnknownTopicError: A topic or partition does not exist.
            OffsetOutOfRangeError: A negative offset. One above the end is noticed when it is polled.
        """

    def seek(
        self,
        where: Offset | tuple[str, int, int] | Literal["earliest", "latest"] | _Time | Mapping[TopicPartition, int],
    ) -> None:
        """Goes on elsewhere: at an `Offset`, at offsets by partition, or in every assigned partition at "earliest", "latest"
        or a time.

        Raises, and then no position has changed:
            NotAssignedError: A partition is not assigned.
            OffsetOutOfRangeError: A negative offset. One above the end is noticed when it is polled.
            InvalidRequestError: Another word, or a partition without an offset.
        """

    def pause(self, *partitions: TopicPartition | tuple[str, int]) -> None:
        """Leaves partitions out until `resume`. Raises `NotAssignedError`."""

    def resume(self, *partitions: TopicPartition | tuple[str, int]) -> None:
        """Reads paused partitions again, from where they were. Raises `NotAssignedError`."""

    @property
    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions that are assigned."""

    @property
    def positions(self) -> dict[TopicPartition, int]:
        """The offset that is read next, by partition."""

    def wakeup(self) -> None:
        """Ends the wait of another thread, or else the next wait, with `WakeupError`. May be called from a signal handler."""

    def close(self) -> None:
        """Gives the consumer back. Ends a wait of another thread with `ClosedError`, and its iteration quietly. A second time
        does nothing. Records that were read stay good."""

    @property
    def closed(self) -> bool:
        """Whether it was closed."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None, /
    ) -> None: ...

# ---- errors --------------------------------------------------------------------------------------------------------------

class ErrorCode(IntEnum):
    """The kinds of errors: Kafka's names and numbers; klog's own are below -1, and the same as in `klog.h`."""

    UNKNOWN_SERVER_ERROR = -1
    OFFSET_OUT_OF_RANGE = 1
    CORRUPT_MESSAGE = 2
    UNKNOWN_TOPIC_OR_PARTITION = 3
    NOT_LEADER_OR_FOLLOWER = 6
    REQUEST_TIMED_OUT = 7
    MESSAGE_TOO_LARGE = 10
    INVALID_TOPIC_EXCEPTION = 17
    RECORD_LIST_TOO_LARGE = 18
    NOT_ENOUGH_REPLICAS = 19
    NOT_ENOUGH_REPLICAS_AFTER_APPEND = 20
    INVALID_REQUIRED_ACKS = 21
    INVALID_TIMESTAMP = 32
    UNSUPPORTED_VERSION = 35
    TOPIC_ALREADY_EXISTS = 36
    INVALID_PARTITIONS = 37
    INVALID_REPLICATION_FACTOR = 38
    INVALID_CONFIG = 40
    INVALID_REQUEST = 42
    POLICY_VIOLATION = 44
    OUT_OF_ORDER_SEQUENCE_NUMBER = 45
    INVALID_PRODUCER_EPOCH = 47
    INVALID_TXN_STATE = 48
    TRANSACTION_COORDINATOR_FENCED = 52
    KAFKA_STORAGE_ERROR = 56
    KAFKA_STORAGE_ERROR_DISK_FULL = 56
    FENCED_LEADER_EPOCH = 74
    UNSUPPORTED_COMPRESSION_TYPE = 76
    INVALID_RECORD = 87
    INCONSISTENT_TOPIC_ID = 103
    INCONSISTENT_CLUSTER_ID = 104
    LOCKED = -9
    READ_ONLY = -13
    CLOSED = -7
    FORKED = -8
    INTERRUPTED = -5
    NOT_ASSIGNED = -29
    BUSY = -6

class KlogError(Exception):
    """Whatever klog refuses or fails at. The message is one sentence that names the value, the limit and the file."""

    code: ErrorCode
    """What kind of error it is."""
    name: str
    """The name of the code, Kafka's own where there is one."""
    retriable: bool
    """Whether the same call may succeed later."""
    fatal: bool
    """Whether the handle can never work again."""
    aborts_transaction: bool
    """Whether the transaction in progress must be aborted. Always False until klog has transactions."""

class UnknownTopicError(KlogError, LookupError):
    """There is no such topic, or no such partition of it."""

class TopicExistsError(KlogError):
    """The topic exists."""

class OffsetOutOfRangeError(KlogError, LookupError):
    """An offset outside the log."""

class NotAssignedError(KlogError, LookupError):
    """The partition is not in the consumer's assignment."""

class ConfigError(KlogError, ValueError):
    """An unknown option, or a value that it does not allow."""

class InvalidRequestError(KlogError, ValueError):
    """An argument that klog does not allow."""

class RecordTooLargeError(KlogError, ValueError):
    """A record or a batch above the limit."""

class UnsupportedError(KlogError, NotImplementedError):
    """klog cannot do this, or not yet."""

class ClosedError(KlogError, RuntimeError):
    """The handle, or its engine, was closed."""

class ForkedError(ClosedError):
    """The handle belongs to the parent process."""

class BusyError(KlogError, RuntimeError):
    """The handle is in use by the very thread that asks for it."""

class LockedError(KlogError, BlockingIOError):
    """Somebody has the directory whom nobody can share it with; or this handle lost its place there."""

class ReadOnlyError(KlogError, PermissionError):
    """The engine was opened for reading only."""

class StorageError(KlogError, OSError):
    """The disk refused; the log may be closed for writing. `errno` says why, where a system call failed."""

class DiskFullError(StorageError):
    """No space is left; nothing was appended."""

class CorruptionError(KlogError):
    """Bytes on the disk that do not check out; see `damage`."""

    damage: Damage | None
    """Which bytes, and where reading can go on; None when it is not a partition that is damaged."""

class InconsistentIdError(KlogError):
    """The directory belongs to another topic or another cluster."""

class NotLeaderError(KlogError):
    """This broker does not lead the partition."""

class NotEnoughReplicasError(KlogError):
    """Too few replicas are in sync."""

class FencedError(KlogError):
    """Somebody newer has taken over."""

class TimeoutError(KlogError, builtins.TimeoutError):
    """Not done in time; nothing was undone."""

class WakeupError(KlogError):
    """`Consumer.wakeup` ended the wait."""
