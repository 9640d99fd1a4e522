"""Segments that klog writes, read by other people's readers, record for record."""

import random

import klog
import pytest
from conftest import segments
from readers import CODECS, READERS, ReadRecord

SEED = 20220103


def some_bytes(rng):
    """A part of a record: null, empty, or up to some thousand bytes, some of which compress."""
    size = rng.choice([None, 0, 1, 10, 100, 5000])
    if size is None:
        return None
    return rng.randbytes(size) if rng.random() < 0.5 else bytes(rng.choices(b"abc", k=size))


def some_headers(rng):
    names = ["", "a", "name", "name", "\u00fcber", "long" * 50]
    return tuple((rng.choice(names), some_bytes(rng)) for _ in range(rng.choice([0, 0, 1, 3, 20])))


def some_records(rng, count, timestamp):
    """Records without offsets yet."""
    return [
        ReadRecord(-1, timestamp + rng.randrange(-1000, 1000), some_bytes(rng), some_bytes(rng), some_headers(rng))
        for _ in range(count)
    ]


@pytest.mark.parametrize("codec", CODECS)
def test_what_klog_writes_is_what_others_read(path, codec):
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    sent = []
    with klog.open(path) as engine:
        # A segment ends when its first record is two minutes older than the newest.
        engine.create_topic("orders", config={"segment.ms": 120_000})
        with engine.producer(compression=codec, linger=3600, batch_bytes=20_000) as producer:
            for number in range(12):
                for record in some_records(rng, rng.randrange(1, 60), 1_700_000_000_000 + 50_000 * number):
                    producer.send(
                        "orders",
                        record.value,
                        key=record.key,
                        headers=record.headers,
                        timestamp=record.timestamp,
                    )
                    sent.append(record._replace(offset=len(sent)))
                producer.flush()
        mine = [
            ReadRecord(record.offset, record.timestamp, record.key, record.value, record.headers)
            for record in engine.read("orders")
        ]
    assert mine == sent
    written = segments(path / "orders-0")
    assert len(written) >= 4
    for reader in READERS.values():
        batches = [(segment, batch) for segment in written for batch in reader(segment)]
        assert len(batches) >= 12
        assert [record for _, batch in batches for record in batch.records] == sent
        assert {batch.codec for _, batch in batches} == {codec}
        next_offset = 0
        for segment, batch in batches:
            assert batch.base_offset == next_offset
            assert int(segment.stem) <= batch.base_offset
            assert (batch.timestamp_type, batch.is_control, batch.is_transactional) == (0, False, False)
            assert batch.producer[:2] == (-1, -1)
            next_offset = batch.next_offset
        assert next_offset == len(sent)


def test_a_wrong_checksum_is_noticed_by_the_readers_too(path):
    with klog.open(path) as engine:
        engine.send("orders", b"one").result()
    [segment] = segments(path / "orders-0")
    content = bytearray(segment.read_bytes())
    content[-2] ^= 1
    segment.write_bytes(content)
    for reader in READERS.values():
        with pytest.raises(AssertionError, match="checksum"):
            reader(segment)


def test_the_logs_own_timestamps_are_read_by_others(path):
    with klog.open(path) as engine:
        engine.create_topic("orders", config={"message.timestamp.type": "LogAppendTime"})
        timestamp = engine.send("orders", b"one", timestamp=0).result().timestamp
    [segment] = segments(path / "orders-0")
    for reader in READERS.values():
        [batch] = reader(segment)
        assert batch.timestamp_type == 1
        assert batch.records == (ReadRecord(0, timestamp, None, b"one", ()),)
