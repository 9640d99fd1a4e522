"""What a child process can do with the handles of its parent."""

import os
import signal
from collections import Counter

import klog
import pytest

# How many children the storm has; a campaign asks for more.
FORKS = int(os.environ.get("KLOG_TEST_FORKS", "60"))
SEED = int(os.environ.get("KLOG_TEST_SEED", "1"))

# Runs `work` in a child, and prints what it prints.
HEAD = """
import klog, os, sys, warnings
warnings.filterwarnings("ignore", category=DeprecationWarning)  # of Python, about threads and fork


def in_child(work):
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            work()
            sys.stdout.flush()
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def error(work):
    try:
        print("no error:", work())
    except Exception as raised:
        print(type(raised).__name__, "parent process" in str(raised))


path = sys.argv[1]
"""


def run(program, path, script, *arguments):
    return program(HEAD + script, path, *arguments).output().splitlines()


def test_a_consumer_belongs_to_its_parent(path, program):
    script = """
engine = klog.open(path)
engine.send("orders", b"one").result()
consumer, scanning = engine.consumer("orders"), iter(engine.read("orders"))

def work():
    for call in [lambda: consumer.poll(0), lambda: next(consumer), lambda: consumer.positions, consumer.wakeup]:
        error(call)
    error(lambda: next(scanning))
    print(consumer.closed)
    consumer.close()

in_child(work)
print([record.value for record in consumer.poll(0)], [record.value for record in scanning])
"""
    assert run(program, path, script) == ["ForkedError True"] * 5 + ["False", "[b'one'] [b'one']"]


def test_a_child_uses_the_engine_beside_its_parent(path, program):
    script = """
engine = klog.open(path)
producer = engine.producer(linger=3600)
queued = producer.send("orders", b"queued in the parent")

def work():
    print(producer.pending, producer.send("orders", b"the child's").result().offset)
    print([record.value for record in engine.consumer("orders").poll()], engine.send("orders", b"more").result().offset)
    grandchild = os.fork()
    if grandchild == 0:
        print(producer.send("orders", b"the grandchild's").result().offset, flush=True)
        engine.close()
        os._exit(0)
    assert os.waitpid(grandchild, 0)[1] == 0
    engine.close()
    error(lambda: engine.cluster_id)

in_child(work)
print(producer.pending, queued.result().offset)
print([record.value for record in engine.read("orders")])
"""
    assert run(program, path, script) == [
        "0 0",
        "[b\"the child's\"] 1",
        "2",
        "ClosedError False",
        "1 3",
        "[b\"the child's\", b'more', b\"the grandchild's\", b'queued in the parent']",
    ]


def test_a_child_is_told_that_its_parent_has_the_directory_to_itself(path, program):
    script = """
engine = klog.open(path, lock_timeout=0, config={"klog.exclusive": True})
engine.send("orders", b"one").result()
producer = engine.producer()

def work():
    for call in [lambda: engine.send("orders", b"two"), lambda: producer.send("orders", b"two"), engine.flush]:
        try:
            call()
        except klog.LockedError as raised:
            print(f"process {os.getppid()}" in str(raised))
    producer.close()
    engine.close()
    error(lambda: engine.cluster_id)

in_child(work)
engine.send("orders", b"two").result()
print(len(engine.topic("orders")))
"""
    assert run(program, path, script) == ["True", "True", "True", "ClosedError False", "2"]


def test_an_engine_in_memory_belongs_to_its_parent(path, program):
    script = """
engine = klog.open()
engine.send("orders", b"one").result()

def work():
    for call in [lambda: engine.send("orders", b"two"), lambda: engine.cluster_id, lambda: list(engine.topics)]:
        error(call)
    engine.close()

in_child(work)
print(len(engine.topic("orders")))
"""
    assert run(program, path, script) == ["ForkedError True"] * 3 + ["1"]


def test_a_delivery_that_is_not_done_belongs_to_its_parent(path, program):
    script = """
engine = klog.open(path)
producer = engine.producer(linger=3600)
done = producer.send("orders", b"one")
done.result()
delivery = producer.send("orders", b"two")
delivery.add_done_callback(lambda _: print("called"))

def work():
    print(done.result().offset)
    error(delivery.result)
    print(delivery.done())

in_child(work)
print(delivery.result().offset)
"""
    assert run(program, path, script) == ["0", "ForkedError True", "False", "called", "1"]


def test_a_record_that_was_read_is_good_in_the_child(path, program):
    script = """
engine = klog.open(path)
engine.send("orders", b"one", key=b"k").result()
[record] = engine.read("orders")
in_child(lambda: print(record.key, record.value, bytes(record.raw_value)))
"""
    assert run(program, path, script) == ["b'k' b'one' b'one'"]


def test_a_child_may_open_a_directory_of_its_own(path, program):
    script = """
engine = klog.open(path)
engine.send("orders", b"one").result()

def work():
    with klog.open(path + "-child") as own:
        print(own.send("orders", b"one").result().offset)
        print([record.value for record in own.consumer("orders").poll()])

in_child(work)
"""
    assert run(program, path, script) == ["0", "[b'one']"]


def test_a_child_goes_on_with_the_engine_once_its_parent_has_left(path, program):
    script = """
engine = klog.open(path)
producer = engine.producer(linger=3600)
producer.send("orders", b"queued in the parent")
reading, writing = os.pipe()
child = os.fork()
if child == 0:
    os.read(reading, 1)
    print(producer.send("orders", b"sent by the child").result().offset, flush=True)
    engine.close()
    os._exit(0)
engine.close()
os.write(writing, b".")
assert os.waitpid(child, 0)[1] == 0
with klog.open(path) as engine:
    print([record.value for record in engine.read("orders")], engine.report().ok)
"""
    assert run(program, path, script) == ["1", "[b'queued in the parent', b'sent by the child'] True"]


def test_a_child_of_multiprocessing_writes_what_it_queued_when_it_ends(path, program):
    script = """
import multiprocessing

engine = klog.open(path)
engine.create_topic("orders")
context = multiprocessing.get_context("fork")
parent_has_left = context.Event()

def work():
    parent_has_left.wait()
    engine.send("orders", b"one")  # nobody waits, nobody closes

child = context.Process(target=work)
child.start()
engine.close()
parent_has_left.set()
child.join()
assert child.exitcode == 0
with klog.open(path) as engine:
    print([record.value for record in engine.read("orders")], engine.report().ok)
"""
    assert run(program, path, script) == ["[b'one'] True"]


def test_forking_while_threads_work_hangs_nobody(path, program):
    # A child hung that was forked while a thread imported `datetime`, to see whether a timeout is a timedelta.
    script = """
import threading

engine = klog.open(path, durability="os")
engine.create_topic("orders")
consumer = engine.consumer("orders")
is_over = False

def write():
    while not is_over:
        engine.send("orders", b"one").result()

def read():
    while not is_over:
        consumer.poll(0.001)

threads = [threading.Thread(target=each, daemon=True) for each in [write, write, read]]
for each in threads:
    each.start()

def work():
    error(lambda: consumer.poll(0))
    consumer.close()
    print(consumer.closed)

for _ in range(20):
    in_child(work)
is_over = True
for each in threads:
    each.join()
"""
    assert run(program, path, script) == ["ForkedError True", "False"] * 20


# The parent produces and consumes on several threads and forks at random moments. Each child uses what it inherited, in an
# order of its own, and ends in one of the ways in which children end. A pipe tells which records were acknowledged.
STORM = """
import random, signal, threading, time

chance = random.Random(int(sys.argv[2]))
engine = klog.open(path, durability="os")
engine.create_topic("storm", 3)
producer, lingering = engine.producer(), engine.producer(linger=0.005)
consumer = engine.consumer("storm")
latest = producer.send("storm", b"first")
acknowledged, write_end = os.pipe()
is_over = False

def tell(text):
    os.write(write_end, text.encode() + b"\\n")

def write(name, send):
    number = 0
    global latest
    while not is_over:
        latest = send("storm", f"{name}-{number}", partition=number % 3)
        if number % 3 == 0:
            latest.result()
            tell(f"{name}-{number}")
            threading.Event().wait(0.002)
        number += 1

def read():
    while not is_over:
        consumer.poll(0.001)

def gather():
    with os.fdopen(acknowledged, "rb") as lines:
        told.extend(line.decode().strip() for line in lines)

def child(name, chance):
    signal.alarm(100)  # whoever hangs dies of it
    inherited = latest
    way = chance.choice(["_exit", "exit", "raise", "kill", "nothing", "exec"])
    uses = [
        lambda: engine.send("storm", f"{name}-engine", partition=0).result() and tell(f"{name}-engine"),
        lambda: producer.send("storm", f"{name}-plain", partition=1).result() and tell(f"{name}-plain"),
        lambda: lingering.send("storm", f"{name}-lingering", partition=2).result() and tell(f"{name}-lingering"),
        lambda: [record.value for record in engine.read("storm")][0] or None,
        lambda: refused(lambda: consumer.poll(0)),
        lambda: refused(lambda: next(consumer)),
        lambda: refused(lambda: inherited.result()) if not inherited.done() else inherited.result(),
        lambda: engine.create_topic(f"made-{name}", exist_ok=True),
        lambda: engine.flush(),
    ]
    chance.shuffle(uses)
    for use in uses[: chance.randrange(len(uses) + 1)] if way != "nothing" else []:
        use()
    if way == "_exit":
        os._exit(0)
    if way == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if way == "exec":
        os.execv("/bin/true", ["true"])
    # What is queued and not waited for is written before an orderly end.
    if way == "exit":
        lingering.send("storm", f"{name}-last", partition=0)
        tell(f"{name}-last")
        sys.exit(0)
    if way == "raise":
        consumer.close()
        raise SystemExit(0)

def refused(call):
    try:
        call()
    except klog.ForkedError:
        return
    raise AssertionError("a handle of the parent's worked")

told = []
threads = [threading.Thread(target=write, args=("one", producer.send)),
           threading.Thread(target=write, args=("two", lingering.send)),
           threading.Thread(target=read), threading.Thread(target=gather)]
for each in threads:
    each.start()
ended = []
for number in range(int(sys.argv[3])):
    threading.Event().wait(chance.random() * 0.02)  # a moment of its own, and nothing waits for it
    seed = chance.random()
    pid = os.fork()
    if pid == 0:
        child(f"child-{number}", random.Random(seed))
        sys.exit(0)
    ended.append(os.waitpid(pid, 0)[1])
is_over = True
for each in threads[:3]:
    each.join()
engine.close()
os.close(write_end)
threads[3].join()
print(ended)
print(told)
"""


def test_children_that_are_forked_under_load_neither_hang_nor_lose_a_record(path, program):
    print(f"KLOG_TEST_SEED={SEED}")
    ended, told = run(program, path, STORM, SEED, FORKS)
    bad = [status for status in eval(ended) if status not in (0, signal.SIGKILL)]
    assert not bad, bad
    with klog.open(path) as engine:
        counts = Counter(record.value.decode() for record in engine.read("storm"))
        assert engine.verify().ok
        assert engine.report().ok
    assert len(told := eval(told)) > FORKS
    assert not [value for value in told if counts[value] != 1]
    assert not [value for value, count in counts.items() if count > 1]
    # In order, and without a hole: a thread's records of one partition come as it sent them.
    for name in ["one", "two"]:
        numbers = {int(value.split("-")[1]) for value in counts if value.startswith(f"{name}-")}
        assert numbers == set(range(len(numbers)))


def test_the_death_of_a_parent_is_noticed_while_its_child_lives(path, program):
    script = """
engine = klog.open(path)
engine.send("orders", b"one").result()
if os.fork() == 0:
    engine.cluster_id if sys.argv[2] == "used" else None
    print("child", flush=True)
    sys.stdin.read()
    os._exit(0)
else:
    sys.stdin.read()
"""
    for use in ["unused", "used"]:
        parent = program(HEAD + script, path, use)
        assert parent.line() == "child"
        os.kill(parent.process.pid, signal.SIGKILL)
        os.waitpid(parent.process.pid, 0)
        if use == "unused":
            # Nothing of the parent's is left: one can have the directory to oneself.
            klog.open(path, lock_timeout=0, config={"klog.exclusive": True}).close()
        else:
            with pytest.raises(klog.LockedError):
                klog.open(path, lock_timeout=0, config={"klog.exclusive": True})
        with klog.open(path, config={"request.timeout.ms": 1000}) as engine:
            engine.send("orders", b"two").result()
