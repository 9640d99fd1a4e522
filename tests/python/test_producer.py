"""Sending records."""

import array
import datetime as dt
import hashlib
import threading

import klog
import pytest
from conftest import segments

SEED = "4ee08df96fb5a1c1783b3d0e85dc4456133cb650b6933231c748863b11979d10"


def records(engine, topic="orders"):
    return list(engine.read(topic))


def test_the_seed_is_the_82_bytes_that_kafka_writes(path):
    with klog.open(path) as engine:
        engine.create_topic("peter-overview01", 1)
        metadata = engine.send("peter-overview01", b" First message", timestamp=1641213117088).result()
        assert metadata == ("peter-overview01", 0, 0, 1641213117088)
    partition = path / "peter-overview01-0"
    content = (partition / "00000000000000000000.log").read_bytes()
    assert len(content) == 82
    assert hashlib.sha256(content).hexdigest() == SEED
    assert (partition / "00000000000000000000.index").read_bytes() == b""
    assert (partition / "00000000000000000000.timeindex").read_bytes().hex() == "0000017e1fecc2a000000000"
    assert "peter-overview01 0 1" in (path / "replication-offset-checkpoint").read_text().splitlines()


def test_the_seed_is_the_same_through_a_producer_and_a_datetime(path):
    moment = dt.datetime(2022, 1, 3, 12, 31, 57, 88_000, tzinfo=dt.timezone.utc)
    with klog.open(path) as engine, engine.producer() as producer:
        producer.send("peter-overview01", " First message", timestamp=moment)
    content = (path / "peter-overview01-0" / "00000000000000000000.log").read_bytes()
    assert hashlib.sha256(content).hexdigest() == SEED


@pytest.mark.parametrize(
    ("part", "stored"),
    [
        (None, None),
        (b"", b""),
        ("", b""),
        (b"bytes", b"bytes"),
        ("h\u00e9llo \U0001f600", "h\u00e9llo \U0001f600".encode()),
        (bytearray(b"array"), b"array"),
        (memoryview(b"a view")[2:], b"view"),
        (memoryview(b""), b""),
        (array.array("H", [1, 256]), array.array("H", [1, 256]).tobytes()),
        (memoryview(b"abcd").cast("B", (2, 2)), b"abcd"),
    ],
)
def test_keys_values_and_headers_are_buffers_text_or_null(memory, part, stored):
    memory.send("orders", part, key=part, headers={"name": part}).result()
    [record] = records(memory)
    assert (record.key, record.value, record.headers) == (stored, stored, (("name", stored),))


@pytest.mark.parametrize("part", [7, 1.5, ["a"], object(), ("a", "b")])
def test_what_is_no_bytes_is_refused_and_not_queued(memory, part):
    memory.create_topic("orders")
    for send in [
        lambda: memory.send("orders", part),
        lambda: memory.send("orders", b"", key=part),
        lambda: memory.send("orders", b"", headers={"name": part}),
        lambda: memory.producer().send("orders", part),
        lambda: memory.producer().send_many("orders", [part]),
    ]:
        with pytest.raises(TypeError, match="expected str, bytes, another C-contiguous buffer or None"):
            send()
    memory.flush()
    assert records(memory) == []


def test_a_buffer_with_gaps_and_text_without_utf8_are_refused(memory):
    with pytest.raises(BufferError):
        memory.send("orders", memoryview(b"abcd")[::2])
    with pytest.raises(UnicodeEncodeError):
        memory.send("orders", "\udc80")


def test_what_is_sent_is_copied(memory):
    value = bytearray(b"before")
    delivery = memory.producer(linger=3600).send("orders", value)
    value[:] = b"after!"
    delivery.result()
    assert records(memory)[0].value == b"before"


@pytest.mark.parametrize(
    ("headers", "stored"),
    [
        (None, ()),
        ({}, ()),
        ([], ()),
        ({"a": b"1", "b": None}, (("a", b"1"), ("b", None))),
        ([("a", "1"), ("a", b""), ("", None)], (("a", b"1"), ("a", b""), ("", None))),
        ((pair for pair in [("\u00fc", b"2")]), (("\u00fc", b"2"),)),
    ],
)
def test_headers_keep_their_order_and_may_repeat(memory, headers, stored):
    memory.send("orders", b"", headers=headers).result()
    assert records(memory)[0].headers == stored


@pytest.mark.parametrize("headers", [7, "ab", [("a",)], [("a", b"1", b"2")], [(7, b"1")], {7: b"1"}, [None]])
def test_headers_that_are_none_are_refused(memory, headers):
    with pytest.raises((TypeError, ValueError)):
        memory.send("orders", b"", headers=headers)


@pytest.mark.parametrize(
    ("moment", "stored"),
    [
        (0, 0),
        (1641213117088, 1641213117088),
        (dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc), 0),
        (dt.datetime(2022, 1, 3, 13, 31, 57, 88_999, tzinfo=dt.timezone(dt.timedelta(hours=1))), 1641213117088),
    ],
)
def test_timestamps_are_milliseconds_or_aware_datetimes(memory, moment, stored):
    assert memory.send("orders", b"", timestamp=moment).result().timestamp == stored
    [record] = records(memory)
    assert (record.timestamp, record.timestamp_type) == (stored, "create")
    assert record.datetime == dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc) + dt.timedelta(milliseconds=stored)


@pytest.mark.parametrize(
    ("moment", "error"),
    [
        (dt.datetime(2022, 1, 3), ValueError),
        (dt.date(2022, 1, 3), TypeError),
        ("2022-01-03", TypeError),
        (1.5, TypeError),
        (True, TypeError),
        (1 << 63, klog.InvalidRequestError),
        ((1 << 63) - 1, klog.InvalidRequestError),
    ],
)
def test_timestamps_that_are_none_are_refused(memory, moment, error):
    with pytest.raises(error):
        memory.send("orders", b"", timestamp=moment)


def test_without_a_timestamp_it_is_now(memory):
    before = dt.datetime.now(dt.timezone.utc).replace(microsecond=0)
    memory.send("orders", b"").result()
    assert before <= records(memory)[0].datetime <= dt.datetime.now(dt.timezone.utc)


def test_the_log_may_set_its_own_timestamps(memory):
    memory.create_topic("orders", config={"message.timestamp.type": "LogAppendTime"})
    metadata = memory.send("orders", b"", timestamp=1641213117088).result()
    [record] = records(memory)
    assert record.timestamp == metadata.timestamp > 1641213117088
    assert record.timestamp_type == "append"


def test_keys_decide_the_partition_as_in_kafka(memory):
    memory.create_topic("orders", 3)
    # murmur2 of Kafka's Java client: Utils.toPositive(Utils.murmur2(key)) % 3.
    for key, partition in [(b"21", 2), (b"foobar", 2), (b"a", 1), (b"", 0)]:
        assert memory.send("orders", b"", key=key).result().partition == murmur2(key) % 3, (key, partition)


def murmur2(data):
    """Kafka's, written down once more, made positive."""
    mask, multiplier = 0xFFFFFFFF, 0x5BD1E995
    hashed = 0x9747B28C ^ len(data)
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * multiplier & mask
        hashed = hashed * multiplier & mask ^ (k ^ k >> 24) * multiplier & mask
    if whole < len(data):
        hashed = (hashed ^ int.from_bytes(data[whole:], "little")) * multiplier & mask
    hashed = (hashed ^ hashed >> 13) * multiplier & mask
    return (hashed ^ hashed >> 15) & 0x7FFFFFFF


def test_an_explicit_partition_wins_over_the_key(memory):
    memory.create_topic("orders", 3)
    for partition in range(3):
        assert memory.send("orders", b"", key=b"a", partition=partition).result()[:3] == ("orders", partition, 0)


@pytest.mark.parametrize("partition", [-1, 3, 2**31 - 1])
def test_a_partition_that_does_not_exist_is_refused(memory, partition):
    memory.create_topic("orders", 3)
    with pytest.raises(klog.UnknownTopicError, match=f"partitions 0 to 2, and not {partition}"):
        memory.send("orders", b"", partition=partition)


@pytest.mark.parametrize("partition", ["0", 0.0])
def test_a_partition_that_is_no_number_is_refused(memory, partition):
    with pytest.raises(TypeError):
        memory.send("orders", b"", partition=partition)
    with pytest.raises(klog.InvalidRequestError, match="partition is 2147483648; the largest is 2147483647"):
        memory.send("orders", b"", partition=2**31)


@pytest.mark.parametrize("topic", ["", ".", "..", "a/b", "a b", "x" * 250])
def test_a_topic_name_that_kafka_does_not_allow_is_refused(memory, topic):
    with pytest.raises(klog.InvalidRequestError) as raised:
        memory.send(topic, b"")
    assert raised.value.code is klog.ErrorCode.INVALID_TOPIC_EXCEPTION
    assert len(memory.topics) == 0


@pytest.mark.parametrize("topic", ["__consumer_offsets", "__transaction_state", "__cluster_metadata"])
def test_kafkas_own_topics_are_not_sent_to(memory, topic):
    with pytest.raises(klog.InvalidRequestError, match="Kafka's own"):
        memory.send(topic, b"")


def test_a_record_above_the_limit_is_refused_with_the_limit(memory):
    with pytest.raises(klog.RecordTooLargeError, match="1048576") as raised:
        memory.send("orders", bytes(1 << 20))
    assert isinstance(raised.value, ValueError)
    assert memory.send("orders", bytes(1_000_000)).result().offset == 0


def test_a_batch_that_the_topic_refuses_fails_its_delivery(memory):
    memory.create_topic("orders", config={"max.message.bytes": 100})
    with pytest.raises(klog.RecordTooLargeError, match="100"):
        memory.send("orders", bytes(200)).result()
    memory.flush()  # somebody was told of it


def test_a_failure_that_nobody_asked_for_is_raised_by_flush_once(memory):
    memory.create_topic("orders", config={"max.message.bytes": 100})
    memory.send("orders", bytes(200))
    with pytest.raises(klog.RecordTooLargeError):
        memory.flush()
    memory.flush()


def test_a_failure_that_nobody_asked_for_is_raised_by_close(memory):
    memory.create_topic("orders", config={"max.message.bytes": 100})
    with pytest.raises(klog.RecordTooLargeError), memory.producer() as producer:
        producer.send("orders", bytes(200))
    producer.close()


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_every_codec_is_written_and_read_back(path, codec):
    with klog.open(path) as engine, engine.producer(compression=codec, linger=3600) as producer:
        values = [b"value %d" % number for number in range(1000)]
        producer.send_many("orders", values)
        producer.flush()
        assert [record.value for record in engine.read("orders")] == values
    [segment] = segments(path / "orders-0")
    assert segment.read_bytes()[22] & 7 == ["none", "gzip", "snappy", "lz4", "zstd"].index(codec)


def test_a_batch_lingers_until_somebody_waits(memory):
    producer = memory.producer(linger=3600)
    first, second = producer.send("orders", b"one"), producer.send("orders", b"two")
    assert (producer.pending, first.done(), len(memory.topic("orders"))) == (2, False, 0)
    assert first.result().offset == 0
    assert (producer.pending, second.done(), len(memory.topic("orders"))) == (0, True, 2)


def test_a_batch_does_not_linger_for_ever(memory):
    # Nobody flushes and nobody asks: the consumer sees the records because their batch has lingered long enough.
    producer = memory.producer(linger=dt.timedelta(milliseconds=1))
    producer.send("orders", b"one")
    assert [record.value for record in memory.consumer("orders").poll()] == [b"one"]


def test_a_full_batch_is_written_at_once(memory):
    producer = memory.producer(linger=3600, batch_bytes=1000)
    producer.send_many("orders", [bytes(100)] * 20)
    assert 0 < producer.pending < 20


@pytest.mark.parametrize("acks", [0, 1, "all", -1, "-1"])
def test_acks_are_numbers_or_all(memory, acks):
    delivery = memory.producer(acks=acks).send("orders", b"one")
    assert delivery.result().offset == (-1 if acks == 0 else 0)


@pytest.mark.parametrize("durability", ["os", "fsync"])
def test_a_producer_has_a_durability_of_its_own(path, durability):
    with klog.open(path) as engine:
        assert engine.producer(acks=1, durability=durability).send("orders", b"one").result().offset == 0


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"acks": 2}, "acks is '2'"),
        ({"compression": "brotli"}, "compression.type is 'brotli'; it must be one of none, gzip, snappy, lz4, zstd"),
        ({"durability": "disk"}, "klog.durability is 'disk'"),
        ({"partitioner": "round"}, "partitioner is 'round'"),
        ({"batch_bytes": -1}, "batch.size is -1; allowed are 0 to"),
        ({"buffer_bytes": -1}, "buffer.memory is -1"),
        ({"config": {"compression.gzip.level": 10}}, "compression.gzip.level is '10'; it must be -1 or 1 to 9"),
        ({"config": {"linger.mss": 10}}, "no producer option 'linger.mss'; did you mean 'linger.ms'"),
        ({"config": {"partitioner.ignore.keys": "yes"}}, "true or false"),
    ],
)
def test_producer_options_are_checked(memory, options, what):
    with pytest.raises(klog.ConfigError) as raised:
        memory.producer(**options)
    assert what in str(raised.value)
    assert raised.value.code is klog.ErrorCode.INVALID_CONFIG


def test_options_by_kafkas_names_win(memory):
    producer = memory.producer(acks="all", config={"acks": 0, "partitioner.ignore.keys": True, "linger.ms": 1})
    assert producer.send("orders", b"one").result().offset == -1


@pytest.mark.parametrize("options", [{"linger": -1}, {"max_block": float("nan")}])
def test_waits_are_checked(memory, options):
    with pytest.raises(ValueError, match="0 or more seconds"):
        memory.producer(**options)


@pytest.mark.parametrize("options", [{"idempotent": True}, {"transactional_id": "t"}])
def test_what_klog_does_not_have_yet_is_refused(memory, options):
    with pytest.raises(klog.UnsupportedError, match="not supported yet"):
        memory.producer(**options)


def test_options_are_keywords(memory):
    with pytest.raises(TypeError):
        memory.producer("all")
    with pytest.raises(TypeError, match="liger"):
        memory.producer(liger=1)
    with pytest.raises(TypeError):
        memory.send("orders", b"value", b"key")


def test_many_are_sent_at_once(memory):
    producer = memory.producer()
    last = producer.send_many("orders", (b"%d" % number for number in range(1000)))
    assert last.result().offset == 999
    assert [record.value for record in records(memory)] == [b"%d" % number for number in range(1000)]
    assert producer.send_many("orders", []) is None


def test_pairs_are_sent_at_once(memory):
    memory.create_topic("orders", 2)
    pairs = [("a", b"1"), (None, b"2"), (b"c", None), (None, None)]
    assert memory.producer().send_many("orders", pairs, keyed=True, partition=1).result().partition == 1
    stored = [(record.key, record.value) for record in records(memory)]
    assert stored == [(b"a", b"1"), (None, b"2"), (b"c", None), (None, None)]


def test_what_comes_before_one_that_is_refused_is_sent(memory):
    producer = memory.producer()
    with pytest.raises(TypeError):
        producer.send_many("orders", [b"one", b"two", 3, b"four"])
    with pytest.raises(ZeroDivisionError):
        producer.send_many("orders", (b"%d" % (1 // (2 - number)) for number in range(3)))
    producer.flush()
    assert [record.value for record in records(memory)][:2] == [b"one", b"two"]


def test_an_iterable_may_use_the_producer_itself(memory):
    producer = memory.producer()

    def values():
        yield b"one"
        producer.send("other", b"two").result()
        yield b"three"

    producer.send_many("orders", values()).result()
    assert (len(memory.topic("orders")), len(memory.topic("other"))) == (2, 1)


def test_a_producer_is_closed_once_and_says_so(memory):
    with memory.producer(linger=3600) as producer:
        producer.send("orders", b"one")
        assert not producer.closed
    assert producer.closed
    assert len(memory.topic("orders")) == 1
    producer.close()
    for call in [lambda: producer.send("orders", b""), lambda: producer.flush(), lambda: producer.pending]:
        with pytest.raises(klog.ClosedError, match="the producer is closed"):
            call()
    memory.send("orders", b"two").result()


def test_a_producer_that_is_dropped_writes_what_it_has(memory):
    memory.producer(linger=3600).send("orders", b"one")
    memory.flush()
    assert len(memory.topic("orders")) == 1


def test_threads_share_a_producer(memory, thread):
    memory.create_topic("orders", 4)
    producer = memory.producer(batch_bytes=500)
    start = threading.Barrier(4)

    def work(number):
        start.wait()
        return [producer.send("orders", b"%d %d" % (number, each), partition=number) for each in range(500)]

    threads = [thread(lambda number=number: work(number)) for number in range(4)]
    for number, worker in enumerate(threads):
        assert [delivery.result().offset for delivery in worker.result()] == list(range(500))
        read = memory.read(klog.TopicPartition("orders", number))
        assert [record.value for record in read] == [b"%d %d" % (number, each) for each in range(500)]
