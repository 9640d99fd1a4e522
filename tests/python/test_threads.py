"""Many threads at once: nobody holds up anybody, and nothing gets lost."""

import threading

import klog
import pytest


def test_everything_at_once_comes_to_an_end(path, thread):
    records, writers = 300, 3
    with klog.open(path, durability="os") as engine:
        engine.create_topic("orders", writers)
        start = threading.Barrier(writers + 4)
        producer = engine.producer(linger=0.001, batch_bytes=2000)
        served = []

        def write(partition):
            start.wait()
            for number in range(records):
                delivery = producer.send("orders", b"%d" % number, partition=partition)
                if number % 50 == 0:
                    assert delivery.result().offset == number
                if number % 70 == 0:
                    delivery.add_done_callback(served.append)

        def read():
            consumer = engine.consumer("orders")
            start.wait()
            seen = 0
            while seen < records * writers:
                seen += len(consumer.poll())
            return seen

        def change():
            start.wait()
            for number in range(20):
                engine.create_topic(f"topic-{number}").configure(retention_ms=number)
                assert engine.admin().describe_topic(f"topic-{number}").configs["retention.ms"] == str(number)
                engine.delete_topic(f"topic-{number}")

        def flush():
            start.wait()
            for _ in range(20):
                engine.flush()
                producer.flush()
                assert "orders" in list(engine.topics)

        work = [lambda partition=partition: write(partition) for partition in range(writers)]
        threads = [thread(each) for each in [*work, read, read, change, flush]]
        results = [each.result() for each in threads]
        assert results[writers : writers + 2] == [records * writers] * 2
        producer.flush()
        assert len(served) == writers * len(range(0, records, 70))
        for partition in range(writers):
            read_back = engine.read(klog.TopicPartition("orders", partition))
            assert [record.value for record in read_back] == [b"%d" % number for number in range(records)]
        assert engine.verify().ok


def test_a_thread_that_waits_lets_others_run(memory, thread):
    memory.create_topic("orders")
    memory.create_topic("answers")
    questions, answers = memory.consumer("orders"), memory.consumer("answers")

    def answer():
        for number in range(200):
            [record] = questions.poll()
            assert record.value == b"%d" % number
            memory.send("answers", record.value).result()

    answering = thread(answer)
    for number in range(200):
        memory.send("orders", b"%d" % number).result()
        [record] = answers.poll()
        assert record.value == b"%d" % number
    answering.result()


def test_closing_while_others_work_ends_their_work_with_an_error(path, thread):
    engine = klog.open(path, durability="os")
    engine.create_topic("orders")
    start = threading.Barrier(4)

    def work(call):
        start.wait()
        while True:
            call()

    consumer = engine.consumer("orders")
    calls = [lambda: engine.send("orders", b"one").result(), consumer.poll, engine.flush]
    threads = [thread(lambda call=call: work(call)) for call in calls]
    start.wait()
    engine.close()
    for each in threads:
        each.join(120)
        assert isinstance(each.error, klog.ClosedError), each.error
    with klog.open(path) as engine:
        assert engine.report().ok
        assert engine.verify().ok


@pytest.mark.parametrize("config", [{}, {"klog.exclusive": True}, {"klog.lock": "ofd"}])
def test_threads_may_open_one_directory_again_and_again(path, thread, config):
    def work():
        for _ in range(5):
            with klog.open(path, lock_timeout=None, config=config) as engine:
                engine.send("orders", b"one").result()

    for each in [thread(work) for _ in range(3)]:
        each.result()
    with klog.open(path) as engine:
        assert len(engine.topic("orders")) == 15


def test_a_thread_that_ends_with_the_interpreter_does_not_hold_it_up(path, program):
    script = """
import contextlib, klog, sys, threading
engine = klog.open(sys.argv[1])
engine.create_topic("orders")
consumer = engine.consumer("orders")

def wait():
    with contextlib.suppress(klog.ClosedError):
        consumer.poll()

threading.Thread(target=wait, daemon=True).start()
engine.send("more", b"one")
"""
    assert program(script, path).output() == ""
    with klog.open(path) as engine:
        assert len(engine.topic("more")) == 1
