"""Readers of Kafka's format that are not klog: those of kafka-python and aiokafka.

Each returns the batches of a segment, with every checksum compared, in one and the same shape.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from aiokafka.record.memory_records import MemoryRecords as AiokafkaRecords
from kafka.record import MemoryRecords as KafkaPythonRecords

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


class ReadRecord(NamedTuple):
    """A record as a reader found it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class ReadBatch(NamedTuple):
    """A batch as a reader found it."""

    base_offset: int
    next_offset: int
    codec: str
    timestamp_type: int
    is_control: bool
    is_transactional: bool
    producer: tuple[int, int, int]
    records: tuple[ReadRecord, ...]


def _batches(records: Any) -> list[ReadBatch]:
    batches = []
    while records.has_next():
        batch = records.next_batch()
        assert batch.magic == 2
        assert batch.validate_crc(), f"the checksum of the batch at offset {batch.base_offset} is wrong"
        batches.append(
            ReadBatch(
                base_offset=batch.base_offset,
                next_offset=batch.next_offset,
                codec=CODECS[batch.compression_type],
                timestamp_type=batch.timestamp_type,
                is_control=bool(batch.is_control_batch),
                is_transactional=bool(batch.is_transactional),
                producer=(batch.producer_id, batch.producer_epoch, batch.base_sequence),
                records=tuple(
                    ReadRecord(record.offset, record.timestamp, record.key, record.value, tuple(record.headers))
                    for record in batch
                ),
            )
        )
    return batches


def kafka_python(segment: Path) -> list[ReadBatch]:
    """The batches of a segment, as kafka-python reads them. Nothing is left over behind them."""
    content = segment.read_bytes()
    assert KafkaPythonRecords(content).valid_bytes() == len(content)
    return _batches(KafkaPythonRecords(content))


def aiokafka(segment: Path) -> list[ReadBatch]:
    """The batches of a segment, as aiokafka reads them."""
    return _batches(AiokafkaRecords(segment.read_bytes()))


READERS = {"kafka-python": kafka_python, "aiokafka": aiokafka}
