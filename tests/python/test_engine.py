"""Opening, closing, and what an engine says of itself."""

import os
import pickle
import re
import stat

import klog
import pytest
from conftest import fingerprints


def test_a_directory_is_made_and_is_a_log_dir(path):
    with klog.open(path) as engine:
        assert engine.path == str(path)
        assert not engine.closed
        assert re.fullmatch(r"[A-Za-z0-9_-]{22}", engine.cluster_id)
        assert f"cluster.id={engine.cluster_id}" in (path / "meta.properties").read_text()
        assert repr(engine) == f"<klog.Engine on '{path}'>"
    assert engine.closed
    assert repr(engine) == f"<klog.Engine on '{path}', closed>"


def test_files_are_the_users_alone(path):
    with klog.open(path) as engine:
        engine.send("orders", "one").result()
    for directory, _, files in os.walk(path):
        assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700
        for name in files:
            assert stat.S_IMODE(os.stat(os.path.join(directory, name)).st_mode) == 0o600


@pytest.mark.parametrize("make", [str, os.fspath, os.fsencode, lambda path: path])
def test_a_path_is_text_bytes_or_pathlike(path, make):
    if isinstance(make(path), bytes):
        with pytest.raises(TypeError):
            klog.open(make(path))
    else:
        klog.open(make(path)).close()
        assert (path / "meta.properties").exists()


@pytest.mark.parametrize("path", [None, ":memory:"])
def test_without_a_path_the_engine_lives_in_memory(path):
    with klog.open(path) as engine:
        assert engine.path is None
        assert "in memory" in repr(engine)
        assert engine.send("orders", "one").result().offset == 0
        assert [record.value for record in engine.read("orders")] == [b"one"]


def test_what_was_sent_is_there_after_reopening(path):
    with klog.open(path) as engine:
        engine.send("orders", "one")  # nobody waits: close writes it
        cluster = engine.cluster_id
    with klog.open(path) as engine:
        assert engine.cluster_id == cluster
        assert [record.value for record in engine.read("orders")] == [b"one"]
        assert engine.report() == klog.Report(ok=True, problems=())
        assert engine.verify().ok


def test_closing_twice_does_nothing_the_second_time(path):
    engine = klog.open(path)
    engine.close()
    engine.close()
    with engine:
        pass


def test_an_exception_closes_the_engine_and_goes_on(path):
    with pytest.raises(ZeroDivisionError), klog.open(path) as engine:
        engine.send("orders", "one")
        raise ZeroDivisionError
    with klog.open(path, mode="r") as engine:
        assert len(engine.topic("orders")) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda engine: engine.cluster_id,
        lambda engine: engine.topic("orders"),
        lambda engine: list(engine.topics),
        lambda engine: engine.create_topic("more"),
        lambda engine: engine.delete_topic("orders"),
        lambda engine: engine.admin().list_topics(),
        lambda engine: engine.send("orders", "two"),
        lambda engine: engine.read("orders"),
        lambda engine: engine.producer(),
        lambda engine: engine.consumer("orders"),
        lambda engine: engine.flush(),
        lambda engine: engine.verify(),
        lambda engine: engine.report(),
    ],
)
def test_every_call_of_a_closed_engine_says_so(path, call):
    with klog.open(path) as engine:
        engine.send("orders", "one").result()
    with pytest.raises(klog.ClosedError, match="closed") as raised:
        call(engine)
    assert raised.value.fatal


def test_handles_of_a_closed_engine_say_so(path):
    engine = klog.open(path)
    topic = engine.create_topic("orders")
    admin, producer, consumer, scan = engine.admin(), engine.producer(), engine.consumer("orders"), engine.read("orders")
    partition = topic.partitions[0]
    engine.close()
    for call in [
        lambda: producer.send("orders", "one"),
        lambda: producer.flush(),
        lambda: producer.pending,
        lambda: consumer.poll(0),
        lambda: consumer.assign("orders"),
        lambda: iter(scan),
        lambda: scan.batches(),
        lambda: topic.id,
        lambda: len(topic),
        lambda: partition.end,
        lambda: admin.describe_topic("orders"),
        lambda: admin.add_partitions("orders", 2),
        lambda: admin.describe_configs(),
        lambda: admin.alter_configs("orders", {}),
        lambda: admin.log_dirs(),
        lambda: admin.segments("orders"),
        lambda: admin.batches("orders"),
        lambda: topic.add_partitions(2),
        lambda: "orders" in engine.topics,
    ]:
        with pytest.raises(klog.ClosedError):
            call()
    producer.close()
    consumer.close()


def test_a_second_opener_is_told_who_has_the_directory_to_itself(path, program):
    script = """
import klog, sys
engine = klog.open(sys.argv[1], config={"klog.exclusive": True})
print('open', flush=True)
sys.stdin.read()
"""
    first = program(script, path)
    assert first.line() == "open"
    with pytest.raises(klog.LockedError) as raised:
        klog.open(path, lock_timeout=0)
    assert isinstance(raised.value, BlockingIOError)
    assert raised.value.retriable
    assert f"process {first.process.pid} (-c (python))" in str(raised.value)
    assert first.output() == ""
    klog.open(path, lock_timeout=0).close()


def test_the_same_process_is_no_exception(path):
    alone = {"klog.exclusive": True}
    with klog.open(path, config=alone), pytest.raises(klog.LockedError, match=f"this process, {os.getpid()}"):
        klog.open(path, lock_timeout=0)
    with klog.open(path), pytest.raises(klog.LockedError, match=f"this process, {os.getpid()}"):
        klog.open(path, lock_timeout=0, config=alone)


def test_several_handles_of_one_directory_see_each_other(path):
    with klog.open(path) as one, klog.open(path, config={"klog.lock": "futex"}) as other:
        assert one.send("orders", "one").result().offset == 0
        assert other.send("orders", "two").result().offset == 1
        assert [record.value for record in one.read("orders")] == [b"one", b"two"]
        other.create_topic("more", 2)
        assert [topic for topic in one.topics] == ["more", "orders"]
        one.delete_topic("orders")
        with pytest.raises(klog.UnknownTopicError):
            other.topic("orders")


def test_a_second_opener_may_wait_for_the_first_to_end(path, thread):
    first = klog.open(path, config={"klog.exclusive": True})
    second = thread(lambda: klog.open(path, lock_timeout=None))
    first.send("orders", "one").result()
    first.close()
    with second.result() as engine:
        assert len(engine.topic("orders")) == 1


def test_reading_only_changes_nothing(path):
    with klog.open(path) as engine:
        engine.send("orders", "one").result()
    before = fingerprints(path)
    with klog.open(path, mode="r") as engine:
        assert [record.value for record in engine.read("orders")] == [b"one"]
        assert [record.value for record in engine.consumer("orders", idle_timeout=0)] == [b"one"]
        for call in [
            lambda: engine.send("orders", "two"),
            lambda: engine.producer(),
            lambda: engine.create_topic("more"),
            lambda: engine.delete_topic("orders"),
            lambda: engine.topic("orders").configure(retention_ms=1),
            lambda: engine.topic("orders").delete_records(before="end"),
            lambda: engine.admin().delete_records("orders", 0, None),
            lambda: engine.topic("orders").add_partitions(2),
            lambda: engine.admin().add_partitions("orders", 2),
            lambda: engine.admin().alter_configs("orders", {"retention.ms": 1}),
            lambda: engine.admin().alter_configs(None, {"log.retention.ms": 1}),
            lambda: engine.admin().delete_old_segments(),
        ]:
            with pytest.raises(klog.ReadOnlyError, match="for reading only") as raised:
                call()
            assert isinstance(raised.value, PermissionError)
    assert fingerprints(path) == before


def test_a_reader_beside_a_writer_is_not_locked_out(path, engine):
    engine.send("orders", "one").result()
    with klog.open(path, mode="r", lock_timeout=0) as reader:
        assert list(reader.topics) == ["orders"]


@pytest.mark.parametrize("mode", ["r", "rw"])
def test_a_directory_that_is_not_there_is_made_only_when_asked_for(path, mode):
    with pytest.raises(klog.StorageError) as raised:
        klog.open(path, mode=mode)
    assert isinstance(raised.value, OSError)
    assert str(path) in str(raised.value)
    assert not path.exists()


def test_a_directory_of_something_else_is_left_as_it_was(tmp_path):
    (tmp_path / "letter.txt").write_text("dear reader")
    with pytest.raises(klog.KlogError):
        klog.open(tmp_path)
    assert os.listdir(tmp_path) == ["letter.txt"]


@pytest.mark.parametrize("mode", ["r", "rw", "rwc"])
def test_an_empty_path_is_refused_with_what_was_probably_meant(tmp_path, monkeypatch, mode):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(klog.InvalidRequestError, match="the path of the directory is empty; '.' is") as raised:
        klog.open("", mode=mode)
    assert isinstance(raised.value, ValueError)
    assert os.listdir() == []


def test_a_mode_that_does_not_exist_is_refused(path):
    with pytest.raises(klog.InvalidRequestError, match="mode is 'w'; allowed are r, rw and rwc"):
        klog.open(path, mode="w")
    with pytest.raises(klog.InvalidRequestError, match="in memory"):
        klog.open(mode="r")


def test_several_brokers_are_refused_for_now(path, tmp_path):
    for brokers in [3, [tmp_path / "a", tmp_path / "b"]]:
        with pytest.raises(klog.UnsupportedError, match="several brokers") as raised:
            klog.open(path, brokers=brokers)
        assert isinstance(raised.value, NotImplementedError)
    assert not path.exists()


def test_an_unknown_option_is_refused_with_the_nearest_name(path):
    with pytest.raises(klog.ConfigError, match="no engine option 'num.partition'; did you mean 'num.partitions'"):
        klog.open(path, config={"num.partition": 3})
    with pytest.raises(TypeError, match="partitons"):
        klog.open(path, partitons=3)
    assert not path.exists()


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"durability": "disk"}, "os, fsync"),
        ({"num_partitions": 0}, "num.partitions is 0; allowed are 1 to"),
        ({"config": {"threads": "maybe"}}, "on, off"),
        ({"config": {"num.partitions": "many"}}, "num.partitions is 'many'"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_with_what_is(path, options, what):
    with pytest.raises(klog.ConfigError, match=re.escape(what)) as raised:
        klog.open(path, **options)
    assert isinstance(raised.value, ValueError)
    assert not path.exists()


@pytest.mark.parametrize(
    "options",
    [{"config": [("num.partitions", 1)]}, {"num_partitions": "1"}, {"lock_timeout": "1"}, {"brokers": "x"}, {"mode": None}],
)
def test_values_of_the_wrong_type_are_refused(path, options):
    with pytest.raises(TypeError):
        klog.open(path, **options)
    assert not path.exists()


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_a_timeout_that_is_none_is_refused(path, timeout):
    with pytest.raises(ValueError, match="0 or more seconds"):
        klog.open(path, lock_timeout=timeout)


def test_topics_are_made_when_sent_to_unless_that_is_switched_off(path):
    with klog.open(path, num_partitions=4) as engine:
        engine.send("orders", "one").result()
        assert len(engine.topic("orders").partitions) == 4
    with klog.open(path, auto_create=False) as engine:
        with pytest.raises(klog.UnknownTopicError, match="no topic 'order'; did you mean 'orders'") as raised:
            engine.send("order", "two")
        assert isinstance(raised.value, LookupError)
        assert list(engine.topics) == ["orders"]


def test_reading_makes_no_topic(engine):
    for call in [
        lambda: engine.topic("orders"),
        lambda: engine.consumer("orders"),
        lambda: list(engine.read("orders")),
    ]:
        with pytest.raises(klog.UnknownTopicError):
            call()
    assert len(engine.topics) == 0


@pytest.mark.parametrize("durability", ["os", "fsync"])
def test_the_durability_of_new_topics_is_the_engines(path, durability):
    with klog.open(path, durability=durability) as engine:
        engine.create_topic("orders")
        assert engine.admin().describe_topic("orders").configs.get("klog.durability", "fsync") == durability


def test_an_engine_without_threads_does_everything_in_its_calls(path, program):
    script = (
        "import klog, os, sys\n"
        "with klog.open(sys.argv[1], threads=False) as engine:\n"
        "    engine.send('orders', 'one')\n"
        "    engine.flush()\n"
        "    engine.send('orders', 'two').result()\n"
        "    print(len(os.listdir('/proc/self/task')), len(engine.topic('orders')))\n"
    )
    assert program(script, path).output() == "1 2\n"


def test_flush_makes_what_was_sent_durable_and_visible(path):
    with klog.open(path, durability="os") as engine:
        producer = engine.producer(linger=3600)
        delivery = producer.send("orders", "one")
        assert not delivery.done()
        engine.flush()
        assert delivery.done()
        assert engine.topic("orders").partitions[0].end == 1


def test_what_is_open_when_the_interpreter_exits_is_closed(path, program):
    script = "import klog, sys; klog.open(sys.argv[1]).producer(linger=3600).send('orders', 'one')"
    assert program("import klog, sys\nengine = klog.open(sys.argv[1])\nengine.send('orders', 'one')", path).output() == ""
    with klog.open(path) as engine:
        assert len(engine.topic("orders")) == 1
    # The last handle takes the engine with it, and what it queued.
    assert program(script, path).output() == ""
    with klog.open(path) as engine:
        assert len(engine.topic("orders")) == 2


def test_handles_cannot_be_made_or_pickled_and_say_so(engine):
    engine.send("orders", "one").result()
    scan, consumer = engine.read("orders"), engine.consumer("orders")
    handles = [engine, engine.admin(), engine.topics, engine.topic("orders"), engine.topic("orders").partitions[0]]
    handles += [engine.producer(), consumer, consumer.poll(0), scan, iter(scan), engine.send("orders", "two")]
    for handle in handles:
        kind = type(handle)
        with pytest.raises(TypeError, match=f"cannot create '.*{kind.__name__}' instances"):
            kind()
        if kind in (klog.Engine, klog.Producer, klog.Consumer):
            continue  # see test_processes.py
        with pytest.raises(TypeError, match=f"cannot pickle '.*{kind.__name__}' object"):
            pickle.dumps(handle)


def test_a_damaged_segment_is_reported_and_stepped_over(path):
    with klog.open(path) as engine:
        for number in range(3):
            engine.send("orders", str(number)).result()
    segment = path / "orders-0" / "00000000000000000000.log"
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1  # in the second of three batches of equal size
    segment.write_bytes(content)
    with klog.open(path) as engine:
        report = engine.verify()
        assert not report.ok
        assert "00000000000000000000.log" in report.problems[0]
        consumer = engine.consumer("orders")
        seen = []
        with pytest.raises(klog.CorruptionError, match="reading can go on at offset 2") as raised:
            while True:
                seen += [record.offset for record in consumer.poll(0)]
        damage = raised.value.damage
        assert (damage.topic, damage.partition, damage.first_offset, damage.next_offset) == ("orders", 0, 1, 2)
        assert damage.file.endswith("00000000000000000000.log")
        assert (damage.position, damage.bytes) == (len(content) // 3, len(content) // 3)
        consumer.seek(klog.Offset(damage.topic, damage.partition, damage.next_offset))
        assert seen + [record.offset for record in consumer.poll(0)] == [0, 2]
    assert klog.CorruptionError("made by hand").damage is None
