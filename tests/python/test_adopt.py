"""Adopting directories that klog did not make: retention is told, and metadata made where there is none."""

import hashlib

import klog
import pytest
from conftest import fingerprints
from test_golden import unpack

DAY_MS = 86_400_000


@pytest.fixture
def zookeeper_era(tmp_path):
    """A copy of a directory of a broker with ZooKeeper."""
    path, _ = unpack("seed-era", None, tmp_path)
    return path


def read_everything(path):
    """The records of each partition of the users' topics."""
    with klog.open(path, mode="r") as engine:
        found = {}
        for topic in engine.admin().list_topics():
            if not topic.is_internal:
                for record in engine.read(topic.name):
                    found.setdefault((topic.name, record.partition), []).append(record)
        return found


def test_a_directory_of_the_zookeeper_era_can_be_written_to_once_it_is_adopted(zookeeper_era):
    before = read_everything(zookeeper_era)
    assert sum(map(len, before.values())) > 300
    logs = {file: hashlib.sha256(file.read_bytes()).digest() for file in zookeeper_era.rglob("*.log")}
    with pytest.raises(klog.UnsupportedError, match="ZooKeeper"):
        klog.open(zookeeper_era, mode="rw")

    adoption = klog.adopt(zookeeper_era, retention_ms=-1)
    assert type(adoption) is klog.Adoption
    assert (adoption.cluster_id, adoption.node_id, adoption.made_metadata) == ("Zk9vZGVmYXVsdENsdXN0ZQ", 0, True)
    assert adoption.left_alone == ()
    assert type(adoption.report) is klog.Report
    assert {file: hashlib.sha256(file.read_bytes()).digest() for file in logs} == logs

    assert read_everything(zookeeper_era) == before
    with klog.open(zookeeper_era, mode="rw") as engine:
        topics = engine.admin().list_topics()
        assert len(topics) == adoption.topics
        assert sum(topic.partitions for topic in topics) == adoption.partitions
        sent = engine.send("peter-overview01", b"klog was here", timestamp=1).result()
        assert sent.offset == 1
        assert engine.verify().ok
    after = read_everything(zookeeper_era)
    old, new = after.pop(("peter-overview01", 0))
    assert (old.value, old.timestamp, new.value) == (b" First message", 1641213117088, b"klog was here")
    assert [old] == before.pop(("peter-overview01", 0))
    assert after == before


def test_nothing_is_deleted_by_age_before_a_directory_is_adopted_and_opened(zookeeper_era):
    def retention(engine, topic):
        return engine.admin().describe_configs(topic)["retention.ms"][1:3]

    before = read_everything(zookeeper_era)
    with klog.open(zookeeper_era, mode="r") as engine:
        assert retention(engine, "keyed") == ("-1", "NOT_ADOPTED")
    klog.adopt(zookeeper_era, retention_ms=DAY_MS)
    assert read_everything(zookeeper_era) == before
    with klog.open(zookeeper_era, mode="rw", threads=False) as engine:
        assert retention(engine, "keyed") == (str(DAY_MS), "DYNAMIC_DEFAULT_BROKER_CONFIG")
        engine.topic("peter-overview01").configure(retention_ms=-1)
        assert retention(engine, "peter-overview01") == ("-1", "DYNAMIC_TOPIC_CONFIG")
        # All records are of long ago.
        assert engine.admin().delete_old_segments() > 3
        assert len(engine.topic("keyed")) == 0
        assert len(engine.topic("peter-overview01")) == 1


def test_metadata_newer_than_klog_changes_is_not_adopted(tmp_path):
    path, _ = unpack("basic", None, tmp_path)
    before = read_everything(path)
    with pytest.raises(klog.UnsupportedError, match="the metadata.version of this directory is 30"):
        klog.adopt(path, retention_ms=DAY_MS)
    assert read_everything(path) == before


def test_adopting_again_changes_the_retention(zookeeper_era):
    def said(name):
        with klog.open(zookeeper_era, mode="r") as engine:
            entry = engine.admin().describe_configs()[name]
            return entry.value, entry.source

    klog.adopt(zookeeper_era, retention_ms=7 * DAY_MS, retention_bytes=10**12)
    assert said("log.retention.ms") == (str(7 * DAY_MS), "DYNAMIC_DEFAULT_BROKER_CONFIG")
    assert said("log.retention.bytes") == (str(10**12), "DYNAMIC_DEFAULT_BROKER_CONFIG")
    again = klog.adopt(zookeeper_era, retention_ms=-1)
    assert not again.made_metadata
    assert said("log.retention.ms") == ("-1", "DYNAMIC_DEFAULT_BROKER_CONFIG")
    assert said("log.retention.bytes")[0] == "-1"


def test_what_is_refused_changes_nothing(zookeeper_era):
    before = fingerprints(zookeeper_era)
    for arguments, error, what in [
        ({"retention_ms": -2}, klog.ConfigError, "log.retention.ms is -2; allowed are -1"),
        ({"retention_ms": 1, "retention_bytes": -2}, klog.ConfigError, "log.retention.bytes is -2; allowed are -1"),
        ({}, TypeError, "retention_ms"),
        ({"retention_ms": None}, TypeError, None),
        ({"retention_ms": "1"}, TypeError, None),
        ({"retention_ms": 1.0}, TypeError, None),
        ({"retention_ms": 1, "retention_bytes": None}, TypeError, None),
        ({"retention_ms": 1, "lock_timeout": "1"}, TypeError, None),
        ({"retention_ms": 1, "assume_lost": 7}, TypeError, None),
    ]:
        with pytest.raises(error, match=what):
            klog.adopt(zookeeper_era, **arguments)
    assert fingerprints(zookeeper_era) == before


def test_a_partition_that_is_missing_was_another_brokers(zookeeper_era, tmp_path):
    (zookeeper_era / "keyed-1").rename(tmp_path / "elsewhere")
    before = fingerprints(zookeeper_era)
    with pytest.raises(klog.UnsupportedError, match="topic 'keyed' has no partition 1 here"):
        klog.adopt(zookeeper_era, retention_ms=-1)
    assert fingerprints(zookeeper_era) == before


def test_only_a_directory_with_logs_can_be_adopted(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("dear reader")
    before = fingerprints(tmp_path)
    for path, what in [(tmp_path / "empty", "nothing to adopt"), (tmp_path / "file", "not a directory"), (tmp_path / "no", "no")]:
        with pytest.raises(klog.StorageError, match=what):
            klog.adopt(path, retention_ms=-1)
    with pytest.raises(klog.InvalidRequestError, match="empty"):
        klog.adopt("", retention_ms=-1)
    for path in [None, 7]:
        with pytest.raises(TypeError):
            klog.adopt(path, retention_ms=-1)
    assert fingerprints(tmp_path) == before


def test_what_holds_no_partition_is_left_alone(zookeeper_era):
    waiting = zookeeper_era / "old-0.0123456789abcdef0123456789abcdef-delete"
    waiting.mkdir()
    (waiting / "00000000000000000000.log").write_bytes(b"")
    adoption = klog.adopt(zookeeper_era, retention_ms=-1)
    assert adoption.left_alone == (waiting.name,)
    assert (waiting / "00000000000000000000.log").exists()


def test_a_directory_that_somebody_has_to_himself_cannot_be_adopted(path, thread):
    with klog.open(path, config={"klog.exclusive": True}) as engine:
        engine.send("orders", b"one").result()
        with pytest.raises(klog.LockedError, match="this process"):
            klog.adopt(path, retention_ms=-1, lock_timeout=0)
        waiting = thread(lambda: klog.adopt(path, retention_ms=DAY_MS, lock_timeout=None))
        engine.send("orders", b"two").result()
    # klog's own directory may be told, too.
    assert waiting.result()[2:5] == (False, 1, 1)
    with klog.open(path, mode="r") as engine:
        assert engine.admin().describe_configs("orders")["retention.ms"].value == str(DAY_MS)
        assert len(engine.topic("orders")) == 2
