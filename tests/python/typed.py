"""Uses everything once, for the type checker: it is checked and never run."""

import asyncio
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import assert_type

import klog
from klog import Offset, TopicPartition


def opening() -> None:
    with klog.open("data", mode="r", lock_timeout=dt.timedelta(seconds=1), config={"num.partitions": 3}) as engine:
        assert_type(engine, klog.Engine)
        assert_type(engine.path, str | None)
        assert_type(engine.verify().problems, tuple[str, ...])
    klog.open("data", mode="x")  # type: ignore[arg-type]
    klog.open("data", brokers=None)  # type: ignore[arg-type]
    klog.Engine.missing  # type: ignore[attr-defined]


def topics(engine: klog.Engine) -> None:
    mapping: Mapping[str, klog.Topic] = engine.topics
    assert_type(mapping["orders"].partitions[0].offset_at(0), int | None)
    assert_type(engine.topics.get("orders"), klog.Topic | None)
    assert_type(engine.topics.get("orders", 7), klog.Topic | int)
    assert_type(engine.topic("orders").config, dict[str, str])
    engine.topic("orders").configure(retention_ms=1, preallocate=None)
    admin = engine.admin()
    assert_type(admin.create_topic("orders", 3, config={"retention.ms": 1}).partitions[0].isr, tuple[int, ...])
    assert_type(admin.list_offset("orders", 0, dt.datetime.now(dt.timezone.utc)).offset, int)
    assert_type([topic.is_internal for topic in admin.list_topics()], list[bool])
    admin.alter_configs("orders", {"retention.ms": None, "preallocate": True})
    admin.alter_configs(None, {"log.retention.ms": 1})
    assert_type(admin.describe_configs(), dict[str, klog.ConfigEntry])
    assert_type(admin.describe_configs("orders")["retention.ms"].value, str | None)
    assert_type(admin.add_partitions("orders", 4), klog.TopicDescription)
    assert_type(engine.topic("orders").add_partitions(5), None)
    assert_type([segment.is_active for segment in admin.segments("orders")], list[bool])
    assert_type(admin.batches("orders", 1, from_offset=7, max_batches=1)[0].problem, str | None)
    assert_type(admin.log_dirs()[0].replicas[0].partition, TopicPartition | None)
    admin.alter_configs({"retention.ms": 1})  # type: ignore[call-arg, arg-type]
    admin.batches("orders", 0, 7)  # type: ignore[call-arg]
    engine.topic("orders").configure(retention_ms=[])  # type: ignore[arg-type]
    admin.list_offset("orders", 0, "newest")  # type: ignore[arg-type]
    admin.delete_records("orders", 0)  # type: ignore[call-arg]


def adopting() -> None:
    adoption = klog.adopt("data", retention_ms=1, lock_timeout=None)
    assert_type(adoption.left_alone, tuple[str, ...])
    assert_type(adoption.report, klog.Report)
    klog.adopt("data")  # type: ignore[call-arg]


async def sending(engine: klog.Engine) -> None:
    with engine.producer(acks="all", compression="zstd", linger=0.1) as producer:
        delivery = producer.send("orders", b"value", key="key", headers=[("name", None), ("name", bytearray(b"1"))])
        assert_type(delivery, klog.Delivery)
        assert_type(delivery.result(1), klog.RecordMetadata)
        assert_type(delivery.exception(), klog.KlogError | None)
        assert_type(await delivery, klog.RecordMetadata)
        await asyncio.gather(delivery)
        producer.send_many("orders", ["one", b"two", None])
        producer.send_many("orders", [("key", b"two"), (None, None)], keyed=True)
        producer.send("orders", 7)  # type: ignore[arg-type]
        producer.send("orders", b"value", b"key")  # type: ignore[call-arg]


def reading(engine: klog.Engine) -> Iterator[bytes | None]:
    with engine.consumer("orders", start={TopicPartition("orders", 0): 7}, idle_timeout=1) as consumer:
        batch = consumer.poll(1, max_records=10)
        records: Sequence[klog.Record] = batch
        assert_type(batch[0], klog.Record)
        assert_type(batch[1:], klog.Batch)
        assert_type(consumer.positions, dict[TopicPartition, int])
        consumer.assign("orders", TopicPartition("orders", 0), Offset("orders", 0, 7), ("orders", 1))
        consumer.seek(records[0].position)
        consumer.seek("latest")
        consumer.seek("first")  # type: ignore[arg-type]
        for record in consumer:
            assert_type(record.headers, tuple[tuple[str, bytes | None], ...])
            assert_type(record.header("name"), bytes | None)
            assert_type(record.raw_value, memoryview | None)
            record.value = b""  # type: ignore[misc]
            yield record.value
    yield from (record.value for record in engine.read("orders", TopicPartition("orders", 0), start=0))
    for each in engine.topic("orders").read().batches():
        assert_type(each, klog.Batch)


def failing(engine: klog.Engine) -> None:
    try:
        engine.flush(timeout=1)
    except klog.CorruptionError as error:
        assert_type(error.damage, klog.Damage | None)
    except klog.KlogError as error:
        assert_type(error.code, klog.ErrorCode)
        assert_type((error.name, error.retriable), tuple[str, bool])
