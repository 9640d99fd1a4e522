"""Directories of real Kafka brokers: opened for writing and appended to by klog, then read by other people's readers.

The archives are in `tests/data/golden`; the README there says how each was made and what its JSON says.
"""

import base64
import hashlib
import json
import tarfile

import klog
import pytest
from conftest import PROJECT, segments
from readers import READERS, ReadRecord

GOLDEN = PROJECT / "tests" / "data" / "golden"

CASES = [
    ("basic", None, ()),
    ("codecs", None, ()),
    ("segments", None, ()),
    ("compaction", None, ()),
    ("transactions", None, ()),
    ("groups", None, ()),
    ("epochs", "1", (2, 3)),
    ("epochs", "2", (1, 3)),
    ("epochs", "3", (1, 2)),
]


def unpack(case, node, directory):
    """Where the directory is now, and what a reader must get back from it."""
    with tarfile.open(GOLDEN / f"{case}.tar.gz") as archive:
        archive.extractall(directory, filter="data")
    expected = json.loads((GOLDEN / f"{case}.json").read_text())
    if node is None:
        return directory / case, expected
    return directory / case / node, expected["nodes"][node]


def same_bytes(expected, found):
    """Whether bytes are those of the JSON: base64, null, or size and hash."""
    if expected is None or found is None:
        return expected is found
    if isinstance(expected, str):
        return base64.b64decode(expected) == found
    return (expected["size"], expected["sha256"]) == (len(found), hashlib.sha256(found).hexdigest())


def assert_record(what, expected, found):
    what = f"{what}, offset {found.offset}"
    assert (found.offset, found.timestamp) == (expected["offset"], expected["timestamp"]), what
    assert same_bytes(expected["key"], found.key), what
    assert same_bytes(expected["value"], found.value), what
    assert len(found.headers) == len(expected["headers"]), what
    for (expected_name, expected_value), (name, value) in zip(expected["headers"], found.headers, strict=True):
        assert name == expected_name, what
        assert same_bytes(expected_value, value), what


def append(path, lost):
    """Appends a record to each partition of the users' topics; topic, partition and record of each."""
    appended = {}
    with klog.open(path, mode="rw", assume_lost=lost, threads=False) as engine:
        for topic in engine.admin().list_topics():
            for partition in range(0 if topic.is_internal else topic.partitions):
                value = f"klog was here: {topic.name}-{partition}".encode()
                headers = (("from", b"klog"), ("none", None))
                sent = engine.send(topic.name, value, key=b"klog", headers=headers, partition=partition).result()
                assert sent[:2] == (topic.name, partition)
                record = ReadRecord(sent.offset, sent.timestamp, b"klog", value, headers)
                appended[topic.name, partition] = record
        assert engine.verify().ok
    return appended


@pytest.mark.parametrize(("case", "node", "lost"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_old_and_new_batches_are_read_by_others(tmp_path, case, node, lost):
    path, expected = unpack(case, node, tmp_path)
    appended = append(path, lost)
    assert appended
    unread = set(appended)
    for partition in expected["partitions"]:
        place = (partition["topic"], partition["partition"])
        if place[0] == "__cluster_metadata":
            continue
        for name, reader in READERS.items():
            what = f"{name}: {place[0]}-{place[1]}"
            found = [batch for segment in segments(path / f"{place[0]}-{place[1]}") for batch in reader(segment)]
            new = [found.pop()] if place in appended else []
            assert len(found) == len(partition["batches"]), what
            for batch, golden in zip(found, partition["batches"], strict=True):
                assert batch.base_offset == golden["base_offset"], what
                assert batch.codec == golden["codec"], what
                assert batch.producer[:2] == (golden["producer_id"], golden["producer_epoch"]), what
                assert batch.is_control == golden["control"], what
                assert batch.is_transactional == golden["transactional"], what
                if batch.is_control:
                    continue
                assert len(batch.records) == len(golden["records"]), what
                for record, golden_record in zip(batch.records, golden["records"], strict=True):
                    assert_record(what, golden_record, record)
            if new:
                assert new[0].records == (appended[place],), what
                assert new[0].base_offset == partition["log_end_offset"], what
                unread.discard(place)
    assert not unread, "partitions that the JSON does not know"


def test_a_node_of_several_is_for_reading_only_while_the_others_may_live(tmp_path):
    path, _ = unpack("epochs", "1", tmp_path)
    with pytest.raises(klog.StorageError, match="brokers 2 .*, 3 .* are missing"):
        klog.open(path, mode="rw")
    with klog.open(path, mode="r") as engine:
        assert len(engine.topics) > 0


def test_a_directory_of_the_zookeeper_era_is_for_reading_only(tmp_path):
    path, _ = unpack("seed-era", None, tmp_path)
    with pytest.raises(klog.UnsupportedError, match="ZooKeeper"):
        klog.open(path, mode="rw")
    with klog.open(path, mode="r") as engine:
        [record] = engine.read("peter-overview01")
        assert (record.value, record.timestamp) == (b" First message", 1641213117088)


@pytest.mark.parametrize("isolation", ["committed", "uncommitted"])
def test_records_of_transactions_are_read_as_the_isolation_says(tmp_path, isolation):
    path, expected = unpack("transactions", None, tmp_path)
    with klog.open(path, mode="r") as engine:
        compared = 0
        for partition in expected["partitions"]:
            if partition["topic"].startswith("__"):
                continue
            place = klog.TopicPartition(partition["topic"], partition["partition"])
            ranges = partition[f"read_{isolation}_offsets"]
            offsets = [offset for first, last in ranges for offset in range(first, last + 1)]
            assert [record.offset for record in engine.read(place, isolation=isolation)] == offsets
            consumer = engine.consumer(isolation=isolation)
            consumer.assign(place)
            assert [record.offset for record in consumer] == offsets
            compared += 1
        assert compared > 3
