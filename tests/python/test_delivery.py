"""What became of a record that was sent."""

import asyncio
import sys

import klog
import pytest


@pytest.fixture
def producer(memory):
    return memory.producer(linger=3600)


@pytest.fixture
def failing(memory):
    """Sends a record that will be refused when its batch is written."""
    memory.create_topic("orders", config={"max.message.bytes": 100})
    producer = memory.producer(linger=3600)
    return lambda: producer.send("orders", bytes(200))


def test_a_delivery_says_where_the_record_is(producer):
    delivery = producer.send("orders", b"one", timestamp=1641213117088)
    assert repr(delivery) == "<klog.Delivery, on its way>"
    metadata = delivery.result()
    assert metadata == klog.RecordMetadata("orders", 0, 0, 1641213117088)
    assert type(metadata) is klog.RecordMetadata
    assert delivery.exception() is None
    assert repr(delivery) == "<klog.Delivery, done>"


@pytest.mark.parametrize("timeout", [None, 60, 60.5])
def test_asking_twice_is_the_same(producer, timeout):
    delivery = producer.send("orders", b"one")
    assert delivery.result(timeout) == delivery.result(timeout) == delivery.result(0)


def test_not_waiting_is_a_timeout_that_says_the_record_may_come(producer):
    delivery = producer.send("orders", b"one")
    with pytest.raises(klog.TimeoutError, match="may still be delivered") as raised:
        delivery.result(timeout=0)
    assert isinstance(raised.value, TimeoutError)
    assert raised.value.retriable
    with pytest.raises(klog.TimeoutError):
        delivery.exception(0)
    with pytest.raises(ValueError, match="0 or more"):
        delivery.result(-1)
    assert delivery.result().offset == 0


def test_a_failure_is_raised_or_returned(failing):
    delivery = failing()
    error = delivery.exception()
    assert isinstance(error, klog.RecordTooLargeError)
    with pytest.raises(klog.RecordTooLargeError) as raised:
        delivery.result()
    assert str(raised.value) == str(error)


def test_a_delivery_can_be_awaited(memory, producer, failing):
    async def main():
        waiting = producer.send("more", b"one")
        first = await waiting
        again = await waiting
        both = await asyncio.gather(*(asyncio.ensure_future(wrap(producer.send("more", b""))) for _ in range(2)))
        with pytest.raises(klog.RecordTooLargeError):
            await failing()
        return first, again, both

    async def wrap(delivery):
        return await delivery

    first, again, both = asyncio.run(main())
    assert first == again == ("more", 0, 0, first.timestamp)
    assert sorted(metadata.offset for metadata in both) == [1, 2]
    memory.flush()


def test_callbacks_run_when_somebody_waits(producer):
    called = []
    delivery = producer.send("orders", b"one")
    delivery.add_done_callback(called.append)
    delivery.add_done_callback(lambda delivery: called.append(delivery.result().offset))
    assert called == []
    delivery.result()
    assert called == [delivery, 0]
    delivery.add_done_callback(called.append)
    assert called == [delivery, 0, delivery]


@pytest.mark.parametrize("serve", ["flush", "close"])
def test_callbacks_run_at_flush_and_close(producer, serve):
    called = []
    for value in [b"one", b"two"]:
        producer.send("orders", value).add_done_callback(lambda delivery: called.append(delivery.result().offset))
    getattr(producer, serve)()
    assert called == [0, 1]


def test_a_callback_that_raises_harms_nobody(producer, monkeypatch):
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda raised: seen.append(raised.exc_type))
    delivery = producer.send("orders", b"one")
    delivery.add_done_callback(lambda _: 1 / 0)
    delivery.add_done_callback(lambda _: seen.append("next"))
    assert delivery.result().offset == 0
    assert seen == [ZeroDivisionError, "next"]


def test_many_deliveries_with_callbacks_are_served_along_the_way(memory):
    called = 0

    def count(_):
        nonlocal called
        called += 1

    producer = memory.producer(acks=1, linger=0, batch_bytes=1000)
    for _ in range(5000):
        producer.send("orders", bytes(10)).add_done_callback(count)
    assert called > 0
    producer.flush()
    assert called == 5000


def test_a_delivery_outlives_its_producer_and_its_engine():
    engine = klog.open()
    producer = engine.producer(linger=3600)
    delivery, other = producer.send("orders", b"one"), producer.send("orders", b"two")
    producer.close()
    assert delivery.result().offset == 0
    engine.close()
    assert other.result().offset == 1
