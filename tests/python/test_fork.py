"""What a child process can do with the handles of its parent."""

import klog

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


def run(program, path, script):
    return program(HEAD + script, path).output().splitlines()


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


def test_a_child_is_told_that_its_parent_has_the_directory(path, program):
    script = """
engine = klog.open(path)
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
