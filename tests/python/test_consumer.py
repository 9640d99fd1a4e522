"""Reading topics as they grow, and reading what is there."""

import datetime as dt
import threading

import klog
import pytest
from klog import Offset, TopicPartition


def fill(engine, topic, count, partition=0):
    """Sends records whose value is their offset and whose timestamp is a thousand times that."""
    producer = engine.producer(linger=3600)
    for number in range(count):
        producer.send(topic, b"%d" % number, partition=partition, timestamp=1000 * number)
    producer.flush()


def offsets(records):
    return [record.offset for record in records]


@pytest.fixture
def orders(memory):
    """Ten records in each of two partitions."""
    memory.create_topic("orders", 2)
    for partition in range(2):
        fill(memory, "orders", 10, partition)
    return memory


FIRST, SECOND = TopicPartition("orders", 0), TopicPartition("orders", 1)


def test_a_poll_returns_a_batch_of_one_partition(orders):
    consumer = orders.consumer("orders")
    batches = [consumer.poll(0), consumer.poll(0)]
    assert sorted(batch[0].partition for batch in batches) == [0, 1]
    for batch in batches:
        assert type(batch) is klog.Batch
        assert offsets(batch) == list(range(10))
        assert {record.partition for record in batch} == {batch[0].partition}
    assert consumer.positions == {FIRST: 10, SECOND: 10}


@pytest.mark.parametrize("timeout", [0, 0.0, dt.timedelta(0), 0.001])
def test_a_poll_that_finds_nothing_returns_an_empty_batch(memory, timeout):
    memory.create_topic("orders")
    assert len(memory.consumer("orders").poll(timeout)) == 0
    assert len(memory.consumer().poll(timeout=timeout)) == 0


def test_a_poll_returns_at_most_so_many_records(orders):
    consumer = orders.consumer()
    consumer.assign(FIRST)
    assert offsets(consumer.poll(0, max_records=3)) == [0, 1, 2]
    assert consumer.positions == {FIRST: 3}
    assert offsets(consumer.poll(0, max_records=1)) == [3]
    assert offsets(consumer.poll(0, max_records=2**62)) == [4, 5, 6, 7, 8, 9]


def test_the_most_that_a_poll_returns_is_an_option(orders):
    consumer = orders.consumer(config={"max.poll.records": 4})
    consumer.assign(FIRST)
    assert offsets(consumer.poll(0)) == [0, 1, 2, 3]
    assert offsets(consumer.poll(0, max_records=5)) == [4, 5, 6, 7, 8]
    assert [offsets(batch) for batch in orders.consumer(idle_timeout=0, config={"max.poll.records": 6}).batches()] == []


@pytest.mark.parametrize("count", [0, -1])
def test_fewer_than_one_record_cannot_be_asked_for(orders, count):
    for call in [
        lambda: orders.consumer("orders").poll(0, max_records=count),
        lambda: orders.consumer("orders").batches(count),
        lambda: orders.read("orders").batches(count),
    ]:
        with pytest.raises(klog.InvalidRequestError, match=f"max_records is {count}; allowed are 1 and more"):
            call()


@pytest.mark.parametrize(
    "call",
    [
        lambda consumer: consumer.poll("1"),
        lambda consumer: consumer.poll(0, 5),
        lambda consumer: consumer.poll(0, max_records="5"),
        lambda consumer: consumer.assign(7),
        lambda consumer: consumer.assign(("orders", "0")),
        lambda consumer: consumer.assign(["orders", 0]),
        lambda consumer: consumer.assign(("orders", 0, "1")),
        lambda consumer: consumer.seek(1.5),
        lambda consumer: consumer.seek(None),
        lambda consumer: consumer.seek({"orders": 1}),
        lambda consumer: consumer.pause("orders"),
        lambda consumer: consumer.resume(0),
    ],
)
def test_arguments_of_the_wrong_type_are_refused(orders, call):
    consumer = orders.consumer("orders")
    with pytest.raises((TypeError, ValueError)):
        call(consumer)
    assert consumer.positions == {FIRST: 0, SECOND: 0}


def test_iterating_yields_records_as_they_come(orders, thread):
    consumer = orders.consumer()
    consumer.assign(FIRST)
    seen = []

    def read():
        for record in consumer:
            seen.append(record.offset)
            if record.offset == 10:
                return

    reader = thread(read)
    orders.send("orders", b"10", partition=0).result()
    reader.result()
    assert seen == list(range(11))


def test_iterating_ends_when_nothing_comes_for_long_enough(orders):
    consumer = orders.consumer("orders", idle_timeout=0)
    assert sorted((record.partition, record.offset) for record in consumer) == [
        (partition, offset) for partition in range(2) for offset in range(10)
    ]
    orders.send("orders", b"more", partition=0).result()
    assert offsets(consumer) == [10]
    orders.send("orders", b"more", partition=0).result()
    assert [offsets(batch) for batch in consumer.batches()] == [[11]]


def test_what_iteration_has_not_handed_out_counts_as_unread(orders):
    consumer = orders.consumer()
    consumer.assign(FIRST)
    assert next(consumer).offset == 0
    assert next(consumer).offset == 1
    assert consumer.positions == {FIRST: 2}
    assert offsets(consumer.poll(0, max_records=2)) == [2, 3]
    assert next(consumer).offset == 4
    assert offsets(consumer.poll(0)) == [5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("start", "first"),
    [
        ("earliest", 0),
        ("latest", 10),
        (4000, 4),
        (4001, 5),
        (99_000, 10),
        (dt.datetime.fromtimestamp(7, dt.timezone.utc), 7),
    ],
)
def test_reading_starts_where_it_is_told(orders, start, first):
    consumer = orders.consumer("orders", start=start)
    assert consumer.positions == {FIRST: first, SECOND: first}
    consumer.assign(SECOND)
    assert consumer.positions == {SECOND: first}
    consumer.seek("earliest")
    consumer.seek(start)
    assert consumer.positions == {SECOND: first}
    assert offsets(consumer.poll(0)) == list(range(first, 10))
    assert offsets(orders.read(FIRST, start=start)) == list(range(first, 10))


def test_reading_starts_at_offsets_by_partition(orders):
    consumer = orders.consumer("orders", start={FIRST: 4})
    assert consumer.positions == {FIRST: 4, SECOND: 0}
    assert offsets(orders.read("orders", start={("orders", 0): 8, SECOND: 9})) == [8, 9, 9]


@pytest.mark.parametrize("start", ["first", "4000", ""])
def test_a_start_that_is_none_is_refused(orders, start):
    for call in [
        lambda: orders.consumer("orders", start=start),
        lambda: orders.read("orders", start=start),
        lambda: orders.consumer("orders").seek(start),
    ]:
        with pytest.raises(klog.InvalidRequestError, match="say earliest or latest, a time, or offsets by partition"):
            call()
    with pytest.raises(ValueError, match="naive"):
        orders.consumer("orders", start=dt.datetime(2022, 1, 3))


def test_assigning_replaces_what_was_assigned(orders):
    consumer = orders.consumer("orders")
    assert consumer.assignment == {FIRST, SECOND}
    assert type(consumer.assignment) is frozenset
    consumer.assign(SECOND)
    assert consumer.assignment == {SECOND}
    consumer.assign(("orders", 0), Offset("orders", 1, 5))
    assert consumer.positions == {FIRST: 0, SECOND: 5}
    consumer.assign(("orders", 0, 3))
    assert consumer.positions == {FIRST: 3}
    orders.create_topic("more", 3)
    consumer.assign("more", FIRST)
    assert len(consumer.assignment) == 4
    consumer.assign()
    assert consumer.assignment == frozenset()
    assert len(consumer.poll(0)) == 0


def test_an_assignment_that_is_refused_changes_nothing(orders):
    consumer = orders.consumer()
    consumer.assign(Offset("orders", 0, 5))
    for wrong, error in [
        (("orders", 2), klog.UnknownTopicError),
        (("orders", -1), klog.UnknownTopicError),
        ("other", klog.UnknownTopicError),
        (Offset("orders", 1, -1), klog.OffsetOutOfRangeError),
    ]:
        with pytest.raises(error):
            consumer.assign(SECOND, wrong)
        assert consumer.positions == {FIRST: 5}


def test_seeking_moves_one_some_or_all(orders):
    consumer = orders.consumer("orders")
    consumer.seek(Offset("orders", 0, 7))
    assert consumer.positions == {FIRST: 7, SECOND: 0}
    consumer.seek({FIRST: 1, ("orders", 1): 2})
    assert consumer.positions == {FIRST: 1, SECOND: 2}
    consumer.seek("latest")
    assert consumer.positions == {FIRST: 10, SECOND: 10}
    consumer.seek(("orders", 1, 9))
    assert offsets(consumer.poll(0)) == [9]
    consumer.seek(next(iter(orders.read(FIRST, start=3000))).position)
    assert consumer.positions[FIRST] == 4


def test_a_seek_that_is_refused_moves_nothing(orders):
    consumer = orders.consumer()
    consumer.assign(FIRST)
    for where, error in [
        (Offset("orders", 1, 5), klog.NotAssignedError),
        ({FIRST: 5, SECOND: 5}, klog.NotAssignedError),
        (Offset("orders", 0, -1), klog.OffsetOutOfRangeError),
        (FIRST, klog.InvalidRequestError),
    ]:
        with pytest.raises(error):
            consumer.seek(where)
        assert consumer.positions == {FIRST: 0}


def test_what_is_outside_of_the_log_is_reset_or_an_error(orders):
    place = Offset("orders", 0, 99)
    consumer = orders.consumer(config={"auto.offset.reset": "earliest"})
    consumer.assign(place)
    assert offsets(consumer.poll()) == list(range(10))
    consumer = orders.consumer(config={"auto.offset.reset": "latest"})
    consumer.assign(place)
    assert offsets(consumer.poll(0)) == []
    assert consumer.positions == {FIRST: 10}
    consumer = orders.consumer(config={"auto.offset.reset": "none"})
    consumer.assign(place)
    with pytest.raises(klog.OffsetOutOfRangeError, match="offset 99 is out of range") as raised:
        consumer.poll(0)
    assert raised.value.code is klog.ErrorCode.OFFSET_OUT_OF_RANGE
    with pytest.raises(klog.OffsetOutOfRangeError):
        list(orders.read("orders", start={FIRST: 99}))


def test_paused_partitions_are_left_out(orders):
    consumer = orders.consumer("orders")
    consumer.pause(FIRST)
    assert {record.partition for record in consumer.poll(0)} == {1}
    assert len(consumer.poll(0)) == 0
    consumer.resume(FIRST, SECOND)
    assert {record.partition for record in consumer.poll(0)} == {0}
    consumer.assign(FIRST)
    for call in [consumer.pause, consumer.resume]:
        with pytest.raises(klog.NotAssignedError) as raised:
            call(SECOND)
        assert isinstance(raised.value, LookupError)


def test_pausing_holds_what_iteration_has_read_ahead(orders):
    consumer = orders.consumer(idle_timeout=0)
    consumer.assign(FIRST)
    assert next(consumer).offset == 0
    consumer.pause(FIRST)
    assert offsets(consumer) == []
    consumer.resume(FIRST)
    assert offsets(consumer) == list(range(1, 10))


def test_partitions_take_turns(orders):
    consumer = orders.consumer("orders", config={"max.partition.fetch.bytes": 1, "max.poll.records": 100})
    for partition in range(2):
        fill(orders, "orders", 10, partition)
    seen = [consumer.poll(0)[0].partition for _ in range(4)]
    assert sorted(seen[:2]) == sorted(seen[2:]) == [0, 1]


def test_a_poll_waits_for_what_is_sent(memory, thread):
    memory.create_topic("orders")
    consumer = memory.consumer("orders")
    poll = thread(consumer.poll)
    memory.send("orders", b"one").result()
    assert [record.value for record in poll.result()] == [b"one"]


def test_wakeup_ends_the_wait_of_another_thread(memory, thread):
    memory.create_topic("orders")
    consumer = memory.consumer("orders")
    for call in [consumer.poll, lambda: next(consumer), lambda: next(consumer.batches())]:
        waiting = thread(call)
        consumer.wakeup()
        with pytest.raises(klog.WakeupError) as raised:
            waiting.result()
        assert raised.value.retriable


def test_a_wakeup_that_comes_early_ends_the_next_wait_and_only_that(orders):
    consumer = orders.consumer("orders", start="latest")
    consumer.wakeup()
    consumer.wakeup()
    with pytest.raises(klog.WakeupError):
        consumer.poll(0)
    assert len(consumer.poll(0)) == 0


def test_closing_ends_the_waits_of_others(memory, thread):
    memory.create_topic("orders")
    consumer = memory.consumer("orders")
    waiting = [thread(consumer.poll), thread(consumer.poll), thread(lambda: list(consumer))]
    consumer.close()
    for one in waiting[:2]:
        with pytest.raises(klog.ClosedError, match="the consumer is closed"):
            one.result()
    assert waiting[2].result() == []


def test_closing_the_engine_ends_the_waits_of_its_consumers(path, thread):
    engine = klog.open(path)
    engine.create_topic("orders")
    waiting = thread(engine.consumer("orders").poll)
    engine.close()
    with pytest.raises(klog.ClosedError):
        waiting.result()


def test_a_closed_consumer_says_so(orders):
    with orders.consumer("orders") as consumer:
        batch = consumer.poll(0)
        assert not consumer.closed
    assert consumer.closed
    consumer.close()
    consumer.wakeup()
    for call in [
        lambda: consumer.poll(0),
        lambda: consumer.assignment,
        lambda: consumer.positions,
        lambda: consumer.assign(FIRST),
        lambda: consumer.seek("earliest"),
        lambda: consumer.pause(),
        lambda: consumer.resume(),
    ]:
        with pytest.raises(klog.ClosedError, match="the consumer is closed"):
            call()
    assert list(consumer) == []
    assert offsets(batch) == list(range(10))


def test_what_klog_does_not_have_yet_is_refused(orders):
    for options in [{"group": "readers"}, {"config": {"group.id": "readers"}}]:
        with pytest.raises(klog.UnsupportedError, match="group.id is not supported yet"):
            orders.consumer("orders", **options)
    with pytest.raises(klog.UnsupportedError, match="end='never' is not supported yet"):
        orders.read("orders", end="never")


def test_options_are_checked(orders):
    for options, what in [
        ({"isolation": "all"}, "isolation is 'all'; allowed are committed and uncommitted"),
        ({"config": {"max.poll.record": 1}}, "no consumer option 'max.poll.record'; did you mean 'max.poll.records'"),
        ({"config": {"max.poll.records": 0}}, "max.poll.records is 0; allowed are 1 to"),
        ({"config": {"check.crcs": 1}}, "true or false"),
    ]:
        with pytest.raises(klog.ConfigError) as raised:
            orders.consumer("orders", **options)
        assert what in str(raised.value)
    with pytest.raises(klog.ConfigError, match="isolation"):
        orders.read("orders", isolation="all")
    with pytest.raises(ValueError, match="0 or more"):
        orders.consumer("orders", idle_timeout=-1)
    with pytest.raises(TypeError):
        orders.consumer(FIRST)


def test_a_scan_reads_what_is_there_and_ends(orders):
    scan = orders.read("orders")
    assert repr(scan) == "<klog.Scan of orders>"
    assert sorted(offsets(scan)) == sorted(2 * list(range(10)))
    orders.send("orders", b"more", partition=0).result()
    assert len(offsets(scan)) == 21
    assert offsets(orders.read(FIRST, start=5000)) == [5, 6, 7, 8, 9, 10]
    assert repr(orders.read("orders", FIRST)) == "<klog.Scan of orders, orders-0>"
    assert [offsets(batch) for batch in orders.read(SECOND).batches(4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_scan_ends_where_it_was_when_it_began(orders):
    reading = iter(orders.read(FIRST))
    seen = []
    for record in reading:
        seen.append(record.offset)
        orders.send("orders", b"more", partition=0).result()
    assert seen == list(range(10))
    assert next(reading, None) is None


def test_a_scan_needs_something_to_read(orders):
    with pytest.raises(klog.InvalidRequestError, match="at least one topic"):
        orders.read()
    for wrong in [7, ("orders",), ("orders", "0")]:
        with pytest.raises((TypeError, ValueError)):
            orders.read(wrong)
    with pytest.raises(klog.UnknownTopicError, match="has partitions 0 to 1|2"):
        list(orders.read(("orders", 2)))


def test_threads_that_share_a_consumer_get_each_record_once(orders, thread):
    fill(orders, "orders", 5000)
    consumer = orders.consumer("orders", idle_timeout=0, config={"max.poll.records": 7})
    start = threading.Barrier(4)

    def read():
        start.wait()
        return [(record.partition, record.offset) for record in consumer]

    def poll():
        start.wait()
        seen = []
        while batch := consumer.poll(0):
            seen += [(record.partition, record.offset) for record in batch]
        return seen

    threads = [thread(work) for work in [read, read, poll, poll]]
    seen = [place for worker in threads for place in worker.result()]
    assert sorted(seen) == [(0, offset) for offset in range(5010)] + [(1, offset) for offset in range(10)]


def test_threads_that_share_a_scan_iterator_get_each_record_once(orders, thread):
    fill(orders, "orders", 5000)
    reading = iter(orders.read("orders"))
    threads = [thread(lambda: [(record.partition, record.offset) for record in reading]) for _ in range(4)]
    seen = [place for worker in threads for place in worker.result()]
    assert len(seen) == len(set(seen)) == 5020


@pytest.mark.parametrize("start", ["earliest", "latest", {("orders", 0): 1}], ids=str)
def test_partitions_that_a_topic_is_given_later_are_read_from_their_first_record(memory, start):
    topic = memory.create_topic("orders")
    memory.send("orders", b"before").result()
    other = memory.create_topic("other")
    with memory.consumer("orders", start=start) as by_opening, memory.consumer(start=start) as by_assigning:
        by_assigning.assign("other", "orders")
        for consumer in [by_opening, by_assigning]:
            while consumer.poll(0):
                pass
        topic.add_partitions(3)
        other.add_partitions(2)
        for number, partition in enumerate([1, 2, 0, 1]):
            memory.send("orders", b"%d" % number, partition=partition).result()
        for consumer in [by_opening, by_assigning]:
            found = []
            while batch := consumer.poll(0):
                found += [record.value for record in batch]
            assert sorted(found) == [b"0", b"1", b"2", b"3"]
        assert by_opening.assignment == {("orders", 0), ("orders", 1), ("orders", 2)}
        assert len(by_assigning.assignment) == 5


def test_what_is_assigned_by_partition_stays_as_it_is(memory):
    topic = memory.create_topic("orders", 2)
    with memory.consumer() as consumer:
        consumer.assign(("orders", 0), klog.Offset("orders", 1, 0))
        topic.add_partitions(3)
        memory.send("orders", b"new", partition=2).result()
        assert len(consumer.poll(0)) == 0
        assert consumer.assignment == {("orders", 0), ("orders", 1)}


def test_a_scan_ends_where_the_topic_did_when_it_began(memory):
    topic = memory.create_topic("orders")
    memory.send("orders", b"old").result()
    found = iter(memory.read("orders"))
    topic.add_partitions(2)
    memory.send("orders", b"new", partition=1).result()
    assert [record.value for record in found] == [b"old"]
    assert [record.value for record in memory.read("orders")] == [b"old", b"new"]
