"""Records and batches: what is in them, and the memory that they share."""

import copy
import ctypes
import datetime as dt
import gc
import pickle
from collections.abc import Sequence

import klog
import pytest


@pytest.fixture
def batch(memory):
    producer = memory.producer(linger=3600)
    for number in range(10):
        producer.send("orders", b"value %d" % number, key=b"key", headers={"n": b"%d" % number}, timestamp=1000 + number)
    producer.flush()
    return memory.consumer("orders").poll(0)


@pytest.fixture
def record(batch):
    return batch[3]


@pytest.fixture
def tombstone(memory):
    memory.send("graves", None, timestamp=0).result()
    [record] = memory.read("graves")
    return record


def test_a_record_has_its_parts(record):
    assert (record.topic, record.partition, record.offset) == ("orders", 0, 3)
    assert (record.timestamp, record.timestamp_type) == (1003, "create")
    assert record.datetime == dt.datetime(1970, 1, 1, 0, 0, 1, 3000, dt.timezone.utc)
    assert (record.key, record.value, record.headers) == (b"key", b"value 3", (("n", b"3"),))
    assert not record.is_tombstone
    assert record.position == klog.Offset("orders", 0, 4)
    assert repr(record) == (
        "Record(topic='orders', partition=0, offset=3, timestamp=1003, key=b'key', value=b'value 3')"
    )


def test_null_is_not_empty(tombstone):
    assert (tombstone.key, tombstone.value, tombstone.headers) == (None, None, ())
    assert (tombstone.raw_key, tombstone.raw_value, tombstone.is_tombstone) == (None, None, True)
    assert "key=None, value=None" in repr(tombstone)
    with pytest.raises(BufferError, match="tombstone"):
        memoryview(tombstone)


def test_a_long_value_is_cut_in_what_is_printed(memory):
    memory.send("orders", bytes(1000)).result()
    [record] = memory.read("orders")
    assert repr(record).endswith("'... (1000 bytes))")
    assert len(repr(record)) < 500


def test_a_header_is_found_by_name_and_the_last_one_wins(memory):
    headers = [("a", b"1"), ("b", None), ("a", b"2")]
    memory.send("orders", b"", headers=headers).result()
    [record] = memory.read("orders")
    assert record.headers == tuple(headers)
    assert (record.header("a"), record.header("a", 7)) == (b"2", b"2")
    assert record.header("b", 7) is None
    assert (record.header("c"), record.header("c", 7)) == (None, 7)
    with pytest.raises(TypeError):
        record.header(7)


def test_bytes_are_made_once(record):
    assert record.key is record.key
    assert record.value is record.value


def test_raw_parts_and_buffers_are_views_that_cannot_be_written(record):
    for view, part in [(record.raw_key, b"key"), (record.raw_value, b"value 3"), (memoryview(record), b"value 3")]:
        assert type(view) is memoryview
        assert (view, view.readonly, view.format, view.contiguous) == (part, True, "B", True)
        with pytest.raises(TypeError):
            view[0] = 0
    assert bytes(record) == b"value 3"
    with pytest.raises(TypeError, match="not writable"):
        ctypes.c_char.from_buffer(record)


def test_views_keep_their_memory(memory):
    memory.send("orders", bytes(range(256)) * 100).result()
    consumer = memory.consumer("orders")
    view = consumer.poll(0)[0].raw_value
    consumer.close()
    memory.close()
    del consumer
    gc.collect()
    assert view == bytes(range(256)) * 100


def test_memory_that_is_still_seen_is_not_used_again(memory):
    producer = memory.producer(linger=3600)
    consumer = memory.consumer()
    memory.create_topic("orders")
    consumer.assign("orders")
    views = []
    for number in range(20):
        producer.send("orders", b"%d" % number * 1000)
        producer.flush()
        views.append(consumer.poll(0)[0].raw_value)
    assert [view.tobytes() for view in views] == [b"%d" % number * 1000 for number in range(20)]


class Buffer(ctypes.Structure):
    """The beginning of a `Py_buffer`, with room for the rest."""

    _fields_ = [("address", ctypes.c_void_p), ("rest", ctypes.c_char * 128)]


def address(view):
    """Where the memory of a view is."""
    buffer = Buffer()
    assert ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(view), ctypes.byref(buffer), 0) == 0
    found = buffer.address
    ctypes.pythonapi.PyBuffer_Release(ctypes.byref(buffer))
    return found


def test_records_that_were_read_together_share_one_piece_of_memory(batch):
    first, second = address(batch[0].raw_value), address(batch[1].raw_value)
    # Behind one value come its headers, and the framing and the key of the next record: some 20 bytes.
    assert len(b"value 0") < second - first < 40
    assert address(batch[1:][0].raw_value) == address(memoryview(batch[1])) == second


def test_records_compare_by_all_that_they_hold(memory, record):
    again = list(memory.read("orders"))
    assert record == again[3]
    assert record != again[4]
    assert hash(record) == hash(again[3])
    assert len({record, again[3], again[4]}) == 2
    assert record != "record"
    assert record != None  # noqa: E711
    with pytest.raises(TypeError):
        record < again[4]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_records_can_be_pickled(record, tombstone, protocol):
    for each in [record, tombstone]:
        back = pickle.loads(pickle.dumps(each, protocol))
        assert back == each
        assert (back.key, back.value, back.headers) == (each.key, each.value, each.headers)
        assert (back.timestamp_type, back.position, repr(back)) == (each.timestamp_type, each.position, repr(each))
        assert back.raw_value == each.raw_value
    assert copy.deepcopy(record) == record


def test_values_can_be_pickled(memory):
    memory.create_topic("orders")
    for value in [
        klog.TopicPartition("orders", 0),
        klog.Offset("orders", 0, 7),
        memory.send("orders", b"").result(),
        memory.admin().describe_topic("orders"),
        memory.verify(),
    ]:
        back = pickle.loads(pickle.dumps(value))
        assert (back, type(back)) == (value, type(value))


def test_records_cannot_be_changed_or_made(record):
    with pytest.raises(AttributeError):
        record.value = b"other"
    with pytest.raises(AttributeError):
        record.other = 1
    with pytest.raises(TypeError):
        klog.Record()


def test_a_batch_is_a_sequence(batch):
    assert isinstance(batch, Sequence)
    assert len(batch) == 10
    assert [record.offset for record in batch] == list(range(10))
    assert [record.offset for record in reversed(batch)] == list(range(9, -1, -1))
    assert (batch[0].offset, batch[-1].offset, batch[True].offset) == (0, 9, 1)
    assert batch[4] in batch
    assert "record" not in batch
    assert (batch.index(batch[4]), batch.index(batch[4], -8), batch.count(batch[4]), batch.count(7)) == (4, 4, 1, 0)
    assert repr(batch) == "<klog.Batch of 10 records of orders-0 from offset 0>"
    for start, stop in [(5, None), (0, 4), (-5, -1)]:
        with pytest.raises(ValueError, match="not in the batch"):
            batch.index(batch[4], start, stop)
    for index in [10, -11]:
        with pytest.raises(IndexError, match=f"no record {index} in a batch of 10"):
            batch[index]
    for index in ["0", 0.0, None]:
        with pytest.raises(TypeError):
            batch[index]


@pytest.mark.parametrize(
    "which",
    [slice(None), slice(2, 5), slice(-3, None), slice(None, None, 3), slice(None, None, -1), slice(8, 2, -2), slice(5, 5)],
)
def test_slices_are_batches(batch, which):
    sliced = batch[which]
    offsets = list(range(10))[which]
    assert type(sliced) is klog.Batch
    assert [record.offset for record in sliced] == offsets
    assert [record.offset for record in reversed(sliced)] == offsets[::-1]
    assert [record.offset for record in sliced[::-2]] == offsets[::-2]
    assert [record.offset for record in sliced[1:][:2]] == offsets[1:][:2]
    assert bool(sliced) == bool(offsets)


def test_a_batch_knows_its_partition(memory, batch):
    parted = batch[2:4].by_partition()
    assert {place: [record.offset for record in records] for place, records in parted.items()} == {("orders", 0): [2, 3]}
    empty = memory.consumer().poll(0)
    assert (len(empty), list(empty), bool(empty), empty.by_partition()) == (0, [], False, {})
    assert repr(empty) == "<klog.Batch of no records>"
    with pytest.raises(IndexError):
        empty[0]
