"""The verbs about topics and partitions, on the admin handle and on topics themselves."""

import datetime as dt
import os
import re
import time
from collections.abc import Mapping

import klog
import pytest
from conftest import fingerprints, segments


@pytest.fixture
def admin(memory):
    return memory.admin()


def fill(engine, topic, timestamps):
    for timestamp in timestamps:
        engine.send(topic, b"%d" % timestamp, timestamp=timestamp, partition=0).result()


def test_a_topic_is_made_and_described(admin):
    made = admin.create_topic("orders", 3, config={"retention.ms": 60_000, "compression.type": "zstd"})
    assert made == admin.describe_topic("orders")
    assert type(made) is klog.TopicDescription
    assert (made.name, made.is_internal) == ("orders", False)
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", made.id)
    assert made.configs == {"retention.ms": "60000", "compression.type": "zstd"}
    assert [partition.partition for partition in made.partitions] == [0, 1, 2]
    for number, partition in enumerate(made.partitions):
        assert type(partition) is klog.PartitionDescription
        assert partition == (number, 1, 0, (1,), (1,), 0, 0, 0, 0, 0, 1)


def test_a_description_is_as_of_now(memory, admin):
    made = admin.create_topic("orders")
    memory.send("orders", b"one").result()
    [partition] = admin.describe_topic("orders").partitions
    assert (partition.log_start_offset, partition.last_stable_offset) == (0, 1)
    assert (partition.high_watermark, partition.log_end_offset, partition.bytes) == (1, 1, 61 + 7 + len(b"one"))
    assert made.partitions[0].bytes == 0


def test_topics_are_listed_by_name(admin):
    for name, partitions in [("b", 2), ("a", 1), ("c", 3)]:
        admin.create_topic(name, partitions)
    listed = admin.list_topics()
    assert [(topic.name, topic.partitions, topic.replication_factor) for topic in listed] == [
        ("a", 1, 1),
        ("b", 2, 1),
        ("c", 3, 1),
    ]
    assert all(type(topic) is klog.TopicListing and not topic.is_internal for topic in listed)
    assert listed[0].id == admin.describe_topic("a").id


def test_a_topic_that_exists_is_not_made_again(memory, admin):
    admin.create_topic("orders", 3)
    for create in [admin.create_topic, memory.create_topic]:
        with pytest.raises(klog.TopicExistsError, match="orders") as raised:
            create("orders", 1)
        assert raised.value.code is klog.ErrorCode.TOPIC_ALREADY_EXISTS
    assert len(memory.create_topic("orders", 1, exist_ok=True).partitions) == 3


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"name": "a/b"}, klog.InvalidRequestError),
        ({"name": ""}, klog.InvalidRequestError),
        ({"name": "orders", "partitions": 0}, klog.InvalidRequestError),
        ({"name": "orders", "partitions": -1}, klog.InvalidRequestError),
        ({"name": "orders", "replication_factor": 2}, klog.InvalidRequestError),
        ({"name": "orders", "config": {"retention.ms": -2}}, klog.ConfigError),
        ({"name": "orders", "config": {"segment.bytes": 10}}, klog.ConfigError),
        ({"name": "orders", "config": {"compression.type": "none"}}, klog.ConfigError),
        ({"name": "orders", "config": {"cleanup.policy": "compact"}}, klog.UnsupportedError),
        ({"name": 7}, TypeError),
        ({"name": "orders", "partitions": "3"}, TypeError),
        ({"name": "orders", "partitions": 2**31}, klog.InvalidRequestError),
        ({"name": "orders", "config": ["retention.ms"]}, TypeError),
        ({"name": "orders", "config": {"retention.ms": None}}, TypeError),
        ({"name": "orders", "config": {7: 7}}, TypeError),
    ],
)
def test_what_cannot_be_made_is_refused_and_nothing_is_made(memory, admin, arguments, error):
    for create in [admin.create_topic, memory.create_topic]:
        with pytest.raises(error):
            create(**arguments)
    assert admin.list_topics() == []


def test_an_unknown_setting_is_refused_with_the_nearest_name(memory, admin):
    memory.create_topic("orders")
    for call in [
        lambda: memory.create_topic("more", config={"retention.m": 1}),
        lambda: admin.alter_configs("orders", {"retention.m": 1}),
        lambda: memory.topic("orders").configure(retention_m=1),
    ]:
        with pytest.raises(klog.ConfigError, match="no topic option 'retention.m'; did you mean 'retention.ms'"):
            call()


def test_an_unknown_topic_is_refused_with_the_nearest_name(memory, admin):
    memory.create_topic("orders")
    for call in [
        lambda: admin.describe_topic("order"),
        lambda: admin.delete_topic("order"),
        lambda: admin.add_partitions("order", 2),
        lambda: admin.describe_configs("order"),
        lambda: admin.segments("order"),
        lambda: admin.batches("order"),
        lambda: admin.batches("order", from_offset=0),
        lambda: admin.alter_configs("order", {"retention.ms": 1}),
        lambda: admin.list_offset("order", 0, "latest"),
        lambda: admin.delete_records("order", 0, None),
        lambda: admin.verify("order"),
        lambda: memory.topic("order"),
        lambda: memory.topics["order"],
        lambda: memory.delete_topic("order"),
        lambda: memory.consumer("order"),
        lambda: memory.consumer().assign("order"),
        lambda: next(iter(memory.read("order"))),
    ]:
        with pytest.raises(klog.UnknownTopicError, match="no topic 'order'; did you mean 'orders'"):
            call()


def test_settings_are_changed_and_taken_back(memory, admin):
    topic = memory.create_topic("orders", config={"retention.ms": 1000})
    admin.alter_configs("orders", {"retention.bytes": 5000, "preallocate": True, "min.cleanable.dirty.ratio": 0.25})
    assert topic.config == {
        "retention.ms": "1000",
        "retention.bytes": "5000",
        "preallocate": "true",
        "min.cleanable.dirty.ratio": "0.25",
    }
    topic.configure(retention_ms=None, retention_bytes=None, preallocate=None)
    assert topic.config == {"min.cleanable.dirty.ratio": "0.25"}
    with pytest.raises(klog.ConfigError):
        admin.alter_configs("orders", {"retention.ms": 7, "segment.bytes": 0})
    assert topic.config == {"min.cleanable.dirty.ratio": "0.25"}
    topic.configure()
    for changes in [["retention.ms"], {"retention.ms": []}, {7: 7}, None]:
        with pytest.raises(TypeError):
            admin.alter_configs("orders", changes)


def test_every_setting_is_described_with_where_it_comes_from(path):
    with klog.open(path, num_partitions=3) as engine:
        admin = engine.admin()
        topic = engine.create_topic("orders", config={"retention.bytes": 5000})
        settings = admin.describe_configs("orders")
        assert list(settings) == sorted(settings)
        assert all(type(entry) is klog.ConfigEntry and entry.name == name for name, entry in settings.items())
        assert settings["retention.bytes"][:4] == ("retention.bytes", "5000", "DYNAMIC_TOPIC_CONFIG", False)
        # What a directory that klog made says for all topics.
        assert settings["retention.ms"][1:3] == ("-1", "DYNAMIC_DEFAULT_BROKER_CONFIG")
        segment_bytes = settings["segment.bytes"]
        assert segment_bytes[1:3] == ("1073741824", "DEFAULT_CONFIG")
        assert (segment_bytes.type, segment_bytes.bounds) == ("int", "1048576 to 2147483647")
        assert "segment is finished" in segment_bytes.doc
        assert settings["flush.ms"].value is None
        assert settings["cleanup.policy"].bounds is None
        assert topic.config == {"retention.bytes": "5000"}

        brokers = admin.describe_configs()
        assert brokers["log.retention.ms"][1:4] == ("-1", "DYNAMIC_DEFAULT_BROKER_CONFIG", False)
        assert brokers["num.partitions"][1:4] == ("3", "STATIC_BROKER_CONFIG", True)
        assert brokers["klog.spare"][1:4] == ("true", "DEFAULT_CONFIG", True)
        assert brokers == admin.describe_configs(None)


def test_what_all_brokers_say_holds_for_topics_that_say_nothing(memory, admin):
    memory.create_topic("orders", config={"segment.bytes": 3_000_000})
    memory.create_topic("more")
    admin.alter_configs(None, {"log.segment.bytes": 2_000_000, "message.max.bytes": 5000})
    assert admin.describe_configs("orders")["segment.bytes"][1:3] == ("3000000", "DYNAMIC_TOPIC_CONFIG")
    assert admin.describe_configs("more")["segment.bytes"][1:3] == ("2000000", "DYNAMIC_DEFAULT_BROKER_CONFIG")
    assert admin.describe_configs()["log.segment.bytes"][1:3] == ("2000000", "DYNAMIC_DEFAULT_BROKER_CONFIG")
    with pytest.raises(klog.RecordTooLargeError):
        memory.send("more", b"x" * 6000).result()
    admin.alter_configs(None, {"log.segment.bytes": None, "message.max.bytes": None})
    assert admin.describe_configs("more")["segment.bytes"].source == "DEFAULT_CONFIG"
    assert memory.send("more", b"x" * 6000).result().offset == 0


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"retention.ms": 1}, "no broker option 'retention.ms'; did you mean 'log.retention.ms'"),
        ({"num.partitions": 3}, "num.partitions cannot be altered; give it when opening"),
        ({"klog.retention.enable": True}, "klog.retention.enable cannot be altered; 'klog adopt' sets it"),
        ({"log.segment.bytes": 13}, "log.segment.bytes is 13; allowed are 1048576 to"),
        ({"log.segment.bytes": 2_000_000, "log.roll.ms": 0}, "log.roll.ms is 0"),
    ],
)
def test_what_brokers_cannot_say_is_refused_and_nothing_is_changed(admin, changes, what):
    before = admin.describe_configs()
    with pytest.raises(klog.ConfigError, match=re.escape(what)):
        admin.alter_configs(None, changes)
    assert admin.describe_configs() == before


def test_wrong_types_are_refused_by_every_verb(memory, admin):
    memory.create_topic("orders")
    for call in [
        lambda: admin.add_partitions("orders"),
        lambda: admin.add_partitions("orders", None),
        lambda: admin.add_partitions("orders", "2"),
        lambda: admin.add_partitions("orders", 2.0),
        lambda: admin.add_partitions(7, 2),
        lambda: admin.alter_configs({"retention.ms": 1}),
        lambda: admin.alter_configs(7, {"retention.ms": 1}),
        lambda: admin.describe_configs(b"orders"),
        lambda: admin.segments(None),
        lambda: admin.segments("orders", "0"),
        lambda: admin.batches("orders", None),
        lambda: admin.batches("orders", 0, 0),
        lambda: admin.batches("orders", from_offset="earliest"),
        lambda: admin.batches("orders", max_batches=1.5),
        lambda: admin.log_dirs("orders"),
        lambda: memory.topic("orders").add_partitions("2"),
    ]:
        with pytest.raises(TypeError):
            call()
    assert len(memory.topic("orders").partitions) == 1


def test_partitions_are_added_and_an_open_producer_uses_them(path):
    with klog.open(path) as engine:
        topic, admin = engine.create_topic("orders"), engine.admin()
        with engine.producer() as producer:
            for number in range(50):
                producer.send("orders", b"old", key=b"%d" % number)
            producer.flush()
            with pytest.raises(klog.UnknownTopicError, match="not 2"):
                producer.send("orders", b"new", partition=2)
            described = admin.add_partitions("orders", 3)
            assert described == admin.describe_topic("orders")
            assert [one.partition for one in described.partitions] == [0, 1, 2]
            assert producer.send("orders", b"new", partition=2).result()[:3] == ("orders", 2, 0)
            sent = [producer.send("orders", b"new", key=b"%d" % number).result().partition for number in range(50)]
        assert set(sent) == {0, 1, 2}
        # The engine's own producer was not even made before.
        assert engine.send("orders", b"new", partition=1).result().partition == 1
        assert [partition.id for partition in topic.partitions] == [0, 1, 2]
        assert topic.add_partitions(5) is None
        assert len(topic.partitions) == 5
    with klog.open(path, mode="r") as engine:
        assert len(engine.topic("orders").partitions) == 5
        assert sorted(record.value for record in engine.read("orders")) == [b"new"] * 52 + [b"old"] * 50


def test_partitions_never_become_fewer(path):
    with klog.open(path, threads=False) as engine:
        engine.create_topic("orders", 3)
    with klog.open(path, threads=False) as engine:
        topic, admin = engine.topic("orders"), engine.admin()
        before = fingerprints(path, with_memory=False)
        for total in [3, 2, 1, 0, -1]:
            for add in [topic.add_partitions, lambda total: admin.add_partitions("orders", total)]:
                with pytest.raises(klog.InvalidRequestError, match=f"3 partitions and cannot have {total};") as raised:
                    add(total)
                assert raised.value.code is klog.ErrorCode.INVALID_PARTITIONS
                assert (int(raised.value.code), raised.value.name) == (37, "INVALID_PARTITIONS")
                assert not raised.value.retriable
        with pytest.raises(klog.InvalidRequestError, match="most at once"):
            topic.add_partitions(2**31 - 1)
        for internal in ["__consumer_offsets", "__cluster_metadata"]:
            with pytest.raises(klog.InvalidRequestError, match=internal):
                admin.add_partitions(internal, 60)
        assert fingerprints(path, with_memory=False) == before


def test_topics_are_deleted(memory, admin):
    for name in ["a", "b", "c", "d"]:
        memory.create_topic(name)
    admin.delete_topic("a")
    memory.delete_topic("b", "c")
    with pytest.raises(klog.UnknownTopicError):
        memory.delete_topic("b")
    memory.delete_topic("b", missing_ok=True)
    memory.delete_topic()
    assert [topic.name for topic in admin.list_topics()] == ["d"]


def test_a_deleted_topic_leaves_nothing_for_the_next_of_its_name(memory):
    topic = memory.create_topic("orders")
    consumer = memory.consumer("orders")
    memory.send("orders", b"one").result()
    before = topic.id
    memory.delete_topic("orders")
    for call in [lambda: topic.id, lambda: topic.partitions, lambda: len(topic), lambda: list(topic)]:
        with pytest.raises(klog.UnknownTopicError):
            call()
    memory.create_topic("orders")
    assert topic.id != before
    assert len(topic) == 0
    assert memory.send("orders", b"two").result().offset == 0
    consumer.close()


def test_offsets_are_listed(memory, admin):
    memory.create_topic("orders", 2)
    assert admin.list_offset("orders", 0, "earliest") == klog.ListedOffset(0, -1)
    assert admin.list_offset("orders", 0, "max_timestamp") == (-1, -1)
    fill(memory, "orders", [1000, 3000, 2000])
    for which, found in [
        ("earliest", (0, -1)),
        ("latest", (3, -1)),
        ("max_timestamp", (1, 3000)),
        (0, (0, 1000)),
        (1001, (1, 3000)),
        (dt.datetime.fromtimestamp(3, dt.timezone.utc), (1, 3000)),
        (3001, (-1, -1)),
    ]:
        assert admin.list_offset("orders", 0, which) == found, which
    assert admin.list_offset("orders", 1, "latest").offset == 0


def test_offsets_of_what_does_not_exist_are_refused(memory, admin):
    memory.create_topic("orders", 2)
    for partition in [-1, 2]:
        with pytest.raises(klog.UnknownTopicError):
            admin.list_offset("orders", partition, "latest")
    with pytest.raises(klog.InvalidRequestError, match="no offset 'newest': say earliest, latest or max_timestamp"):
        admin.list_offset("orders", 0, "newest")
    for which in [None, 1.5, b"latest"]:
        with pytest.raises(TypeError):
            admin.list_offset("orders", 0, which)


def test_records_are_deleted_below_an_offset(memory, admin):
    fill(memory, "orders", range(5))
    assert admin.delete_records("orders", 0, 2) == 2
    assert admin.delete_records("orders", 0, 1) == 2
    assert [record.offset for record in memory.read("orders")] == [2, 3, 4]
    for before in [6, -2]:
        with pytest.raises(klog.OffsetOutOfRangeError) as raised:
            admin.delete_records("orders", 0, before)
        assert isinstance(raised.value, LookupError)
    assert admin.delete_records("orders", 0, None) == 5
    assert len(memory.topic("orders")) == 0
    with pytest.raises(TypeError):
        admin.delete_records("orders", 0)


def test_records_of_a_topic_are_deleted_below_offsets_times_or_all(memory):
    topic = memory.create_topic("orders", 2)
    fill(memory, "orders", range(5))
    memory.send("orders", b"other", partition=1).result()
    topic.delete_records(before={0: 1})
    assert (topic.partitions[0].start, topic.partitions[1].start) == (1, 0)
    topic.delete_records(before=3)
    assert (topic.partitions[0].start, topic.partitions[1].start) == (3, 0)
    with pytest.raises(klog.UnknownTopicError, match="has 2 partitions, and none is 2"):
        topic.delete_records(before={0: 4, 2: 0})
    assert topic.partitions[0].start == 3
    for before in ["start", 1.5, [3], None]:
        with pytest.raises(TypeError):
            topic.delete_records(before=before)
    topic.delete_records(before="end")
    assert [(partition.start, partition.end) for partition in topic.partitions] == [(5, 5), (1, 1)]


def test_old_segments_go_when_told_to(path):
    with klog.open(path) as engine:
        config = {"segment.ms": 60_000, "retention.ms": 3_600_000, "file.delete.delay.ms": 0}
        engine.create_topic("orders", config=config)
        assert engine.admin().delete_old_segments() == 0
        fill(engine, "orders", [100_000 * number for number in range(5)])
        engine.send("orders", b"now").result()
        assert len(segments(path / "orders-0")) == 6
        assert engine.admin().delete_old_segments() == 5
        assert [record.value for record in engine.read("orders")] == [b"now"]


def test_everything_can_be_verified(path):
    with klog.open(path) as engine:
        fill(engine, "orders", range(3))
        fill(engine, "more", range(3))
        assert engine.admin().verify() == engine.verify() == klog.Report(True, ())
    segment = path / "orders-0" / "00000000000000000000.log"
    content = bytearray(segment.read_bytes())
    content[70] ^= 1
    segment.write_bytes(content)
    with klog.open(path, mode="r") as engine:
        assert engine.admin().verify("more").ok
        for report in [engine.verify(), engine.admin().verify("orders")]:
            assert not report.ok
            assert segment.name in " ".join(report.problems)


def test_segments_and_batches_tell_how_the_records_lie(path):
    with klog.open(path) as engine:
        admin = engine.admin()
        engine.create_topic("orders", 2, config={"segment.ms": 60_000})
        producer = engine.producer(linger=60, compression="zstd")
        for timestamp in [1000, 3000, 2000]:
            producer.send("orders", b"x" * 1000, timestamp=timestamp, partition=0)
        producer.flush()
        engine.send("orders", b"later", timestamp=100_000, partition=0).result()
        [first, second] = admin.segments("orders")
        assert type(first) is klog.SegmentDescription
        assert first == (
            "orders-0/00000000000000000000.log",
            0,
            3,
            (path / first.file).stat().st_size,
            0,
            1,
            3,
            1000,
            3000,
            False,
        )
        assert (second.base_offset, second.next_offset, second.is_active) == (3, 4, True)
        assert (second.first_timestamp, second.max_timestamp) == (100_000, 100_000)
        [empty] = admin.segments("orders", 1)
        assert (empty.bytes, empty.batches, empty.records, empty.max_timestamp) == (0, 0, 0, -1)

        [batch, last] = admin.batches("orders")
        assert type(batch) is klog.BatchDescription
        assert (batch.file, batch.position, batch.bytes) == (first.file, 0, first.bytes)
        assert (batch.base_offset, batch.last_offset, batch.records, batch.codec) == (0, 2, 3, "zstd")
        assert (batch.is_crc_ok, batch.problem, batch.max_timestamp) == (True, None, 3000)
        assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (-1, -1, -1)
        assert (batch.is_transactional, batch.is_control, batch.leader_epoch) == (False, False, 0)
        assert (last.file, last.codec, last.base_offset) == (second.file, "none", 3)

        assert admin.batches("orders", from_offset=2) == [batch, last]
        assert admin.batches("orders", from_offset=3) == [last]
        assert admin.batches("orders", 0, from_offset=4) == []
        assert admin.batches("orders", max_batches=1) == [batch]
        assert admin.batches("orders", 1) == []
        for from_offset in [-1, 5]:
            with pytest.raises(klog.OffsetOutOfRangeError):
                admin.batches("orders", from_offset=from_offset)
        with pytest.raises(klog.InvalidRequestError, match="max_batches is 0; allowed are 1 and more"):
            admin.batches("orders", max_batches=0)
        for look in [admin.segments, admin.batches]:
            for partition in [-1, 2]:
                with pytest.raises(klog.UnknownTopicError, match=f"not {partition}"):
                    look("orders", partition)
        # The first there is, when there was one before it.
        admin.delete_records("orders", 0, 3)
        assert admin.batches("orders") == [last]


def test_batches_that_are_damaged_say_why(path):
    with klog.open(path) as engine:
        fill(engine, "orders", range(3))
    segment = path / "orders-0" / "00000000000000000000.log"
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1  # in the second of three batches of equal size
    segment.write_bytes(content)
    with klog.open(path, mode="r") as engine:
        batches = engine.admin().batches("orders")
        assert [(batch.is_crc_ok, batch.base_offset) for batch in batches] == [(True, 0), (False, 1), (True, 2)]
        assert batches[0].problem is batches[2].problem is None
        assert batches[1].problem.startswith("CRC ")
        [whole] = engine.admin().segments("orders")
        assert (whole.batches, whole.damaged_bytes) == (3, 0)
    content[len(content) // 3 + 16] = 9  # no batch has that version
    segment.write_bytes(content)
    with klog.open(path, mode="r") as engine:
        [damaged] = engine.admin().segments("orders")
        assert (damaged.batches, damaged.damaged_bytes) == (2, len(content) // 3)


def test_log_dirs_tell_what_lies_in_them(path):
    with klog.open(path) as engine:
        [empty] = engine.admin().log_dirs()
        assert type(empty) is klog.LogDirDescription
        assert (empty.path, empty.replicas) == (str(path), ())
        assert 0 <= empty.usable_bytes <= empty.total_bytes
        engine.create_topic("gone")
        engine.create_topic("orders", 2)
        engine.send("orders", b"one", partition=1).result()
        engine.delete_topic("gone")
        [found] = engine.admin().log_dirs()
        gone, first, second = found.replicas
        assert type(first) is klog.ReplicaDescription
        assert (first.directory, first.partition, first.segments) == ("orders-0", ("orders", 0), 1)
        assert type(second.partition) is klog.TopicPartition
        assert (first.log_bytes, second.log_bytes) == (0, engine.topic("orders").partitions[1].size)
        assert second.bytes == sum(file.stat().st_size for file in (path / "orders-1").iterdir())
        assert gone.partition is None
        assert re.fullmatch(r"gone-0\.[0-9a-f]{32}-delete", gone.directory)


def test_who_is_attached_is_shown_with_what_it_holds(path):
    with klog.open(path) as first, klog.open(path) as second:
        one, other = first.admin().attached()
        assert type(one) is klog.AttachedHandle
        assert (one.slot, other.slot) == (0, 1)
        assert one.pid == other.pid == os.getpid()
        assert one.pid_namespace == os.stat("/proc/self/ns/pid").st_ino
        assert "python" in one.program
        assert 0 <= time.time() * 1000 - one.since < 60_000
        assert not one.is_dead and not other.is_dead
        # Which of the two looks after the directory is a race.
        holds = [held.what for handle in second.admin().attached() for held in handle.holds]
        assert set(holds) <= {"housekeeping"}
    with klog.open(path, mode="r") as reader:
        assert reader.admin().attached() == []


def test_what_is_counted_is_the_same_for_every_handle(path):
    with klog.open(path) as first, klog.open(path) as second:
        first.create_topic("orders", 2)
        for value in [b"one", b"two"]:
            first.send("orders", value, partition=1).result()
        second.send("orders", b"three", partition=1).result()
        stats = second.stats()
        assert (stats["attached"], stats["attachments"], stats["deaths"]) == (2, 2, 0)
        counts = stats["partitions"][klog.TopicPartition("orders", 1)]
        assert (counts["appends"], counts["steals"], counts["recoveries"], counts["cuts"]) == (3, 0, 0, 0)
        assert counts["append_bytes"] == first.topic("orders").partitions[1].size
        assert 0 < counts["flushes"] <= 3 and counts["flush_ns"] > 0
        assert klog.TopicPartition("orders", 1) in first.stats()["partitions"]
        metrics = first.admin().metrics()
        assert type(metrics[0]) is klog.Metric
        by_name = {(metric.name, metric.partition): metric for metric in metrics}
        appends = by_name["appends", ("orders", 1)]
        assert (appends.value, appends.kind, appends.help) == (3, "counter", "Batches that were appended.")
        assert (by_name["attached", None].value, by_name["attached", None].kind) == (2, "gauge")
    with klog.open(path, mode="r") as reader:
        assert (reader.stats()["attached"], reader.stats()["partitions"]) == (0, {})


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**5000, -(10**5000)], ids=["2**63", "-2**63-1", "long", "-long"])
def test_a_number_that_does_not_fit_is_refused_by_the_name_of_its_argument(memory, admin, number):
    topic = memory.create_topic("orders")
    producer, consumer = memory.producer(), memory.consumer("orders")
    shown = "a number of thousands of digits" if abs(number) > 2**64 else str(number)
    bound = "the largest is" if number > 0 else "the smallest is -"
    for name, call in [
        ("partitions", lambda: memory.create_topic("more", number)),
        ("partitions", lambda: admin.create_topic("more", number)),
        ("replication_factor", lambda: memory.create_topic("more", replication_factor=number)),
        ("replication_factor", lambda: admin.create_topic("more", replication_factor=number)),
        ("total", lambda: admin.add_partitions("orders", number)),
        ("total", lambda: topic.add_partitions(number)),
        ("partition", lambda: admin.list_offset("orders", number, "latest")),
        ("the time in ms", lambda: admin.list_offset("orders", 0, number)),
        ("partition", lambda: admin.delete_records("orders", number, 0)),
        ("before", lambda: admin.delete_records("orders", 0, number)),
        ("partition", lambda: topic.delete_records(before={number: 0})),
        ("offset", lambda: topic.delete_records(before={0: number})),
        ("the time in ms", lambda: topic.delete_records(before=number)),
        ("the time in ms", lambda: topic.partitions[0].offset_at(number)),
        ("partition", lambda: admin.segments("orders", number)),
        ("partition", lambda: admin.batches("orders", number)),
        ("from_offset", lambda: admin.batches("orders", from_offset=number)),
        ("max_batches", lambda: admin.batches("orders", max_batches=number)),
        ("partition", lambda: memory.send("orders", partition=number)),
        ("the time in ms", lambda: memory.send("orders", timestamp=number)),
        ("partition", lambda: producer.send("orders", partition=number)),
        ("partition", lambda: producer.send_many("orders", [b"one"], partition=number)),
        ("batch_bytes", lambda: memory.producer(batch_bytes=number)),
        ("buffer_bytes", lambda: memory.producer(buffer_bytes=number)),
        ("partition", lambda: memory.read(("orders", number))),
        ("offset", lambda: memory.read("orders", start={("orders", 0): number})),
        ("max_records", lambda: topic.read().batches(number)),
        ("max_records", lambda: consumer.poll(0, max_records=number)),
        ("max_records", lambda: consumer.batches(number)),
        ("partition", lambda: consumer.assign(("orders", number))),
        ("offset", lambda: consumer.seek(klog.Offset("orders", 0, number))),
        ("partition", lambda: consumer.pause(("orders", number))),
        ("num_partitions", lambda: klog.open(num_partitions=number)),
        ("brokers", lambda: klog.open(brokers=number)),
        ("assume_lost", lambda: klog.open(assume_lost=[number])),
        ("retention_ms", lambda: klog.adopt("x", retention_ms=number)),
        ("retention_bytes", lambda: klog.adopt("x", retention_ms=-1, retention_bytes=number)),
    ]:
        with pytest.raises(klog.InvalidRequestError) as raised:
            call()
        assert str(raised.value).startswith(f"{name} is {shown}; {bound}"), name
        assert isinstance(raised.value, ValueError)
    assert [topic.name for topic in admin.list_topics()] == ["orders"]
    assert len(topic) == 0


def test_a_number_of_32_bits_has_their_bounds(memory, admin):
    with pytest.raises(klog.InvalidRequestError, match="^partitions is 2147483648; the largest is 2147483647$"):
        memory.create_topic("orders", 2**31)
    with pytest.raises(klog.InvalidRequestError, match="^partition is -2147483649; the smallest is -2147483648$"):
        admin.list_offset("orders", -(2**31) - 1, "latest")


def test_topics_are_a_mapping_that_is_up_to_date(memory):
    topics = memory.topics
    assert isinstance(topics, Mapping)
    assert (len(topics), list(topics), "orders" in topics, topics.get("orders")) == (0, [], False, None)
    memory.create_topic("orders", 2)
    memory.create_topic("more")
    assert (len(topics), list(topics), "orders" in topics) == (2, ["more", "orders"], True)
    assert topics["orders"].name == topics.get("orders").name == "orders"
    assert topics.get("other", 7) == 7
    assert [name for name, topic in topics.items() if len(topic.partitions) == 2] == ["orders"]
    assert topics.keys() & {"orders", "other"} == {"orders"}
    assert [topic.name for topic in topics.values()] == ["more", "orders"]
    assert 7 not in topics
    assert repr(topics) == "<klog.Topics ['more', 'orders']>"
    with pytest.raises(klog.UnknownTopicError):
        topics["other"]
    with pytest.raises(TypeError):
        topics[7]


def test_a_topic_answers_for_its_partitions(memory):
    topic = memory.create_topic("orders", 2, config={"retention.ms": 1000})
    assert (topic.name, len(topic), bool(topic), list(topic)) == ("orders", 0, True, [])
    fill(memory, "orders", [1000, 3000, 2000])
    first, second = topic.partitions
    assert (first.topic, first.id, second.id) == ("orders", 0, 1)
    assert (first.start, first.end, first.stable_end, second.end) == (0, 3, 3, 0)
    assert first.size > 0 == second.size
    assert (first.offset_at(0), first.offset_at(1001), first.offset_at(3001)) == (0, 1, None)
    assert [record.offset for record in topic] == [0, 1, 2]
    assert [record.offset for record in topic.read(start=1001)] == [1, 2]
    assert (repr(topic), repr(second)) == ("<klog.Topic 'orders'>", "<klog.Partition orders-1>")
