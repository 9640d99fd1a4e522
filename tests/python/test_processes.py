"""Several processes in one directory: handles that are sent to another process, pools of workers, readers beside writers, and
what programs do to their descriptors."""

import contextlib
import copy
import fcntl
import mmap
import multiprocessing
import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
import time

import klog
import pytest
from conftest import PROJECT

F_OFD_SETLK = 37


def sent(handle):
    """The handle as another process gets it."""
    return pickle.loads(pickle.dumps(handle))


def test_an_engine_is_pickled_by_path_and_options(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    config = {"num.partitions": 3, "klog.lock": "ofd", "request.timeout.ms": 1234}
    with klog.open(path.name, mode="rw" if path.exists() else "rwc", durability="os", lock_timeout=7, config=config) as engine:
        engine.send("orders", b"one").result()
        pickled = pickle.dumps(engine)
        monkeypatch.chdir("/")
        with pickle.loads(pickled) as other, copy.copy(engine) as third:
            assert other.path == str(path)
            assert other.cluster_id == engine.cluster_id == third.cluster_id
            assert len(other.topic("orders").partitions) == 3
            assert other.create_topic("more").config["klog.durability"] == "os"
            other.send("orders", b"two").result()
            assert pickle.loads(pickle.dumps(other)).__reduce__() == engine.__reduce__()
        assert not engine.closed
        assert {record.value for record in engine.read("orders")} == {b"one", b"two"}


def test_an_engine_that_was_sent_opens_the_directory_at_its_first_call(path):
    with klog.open(path) as engine:
        other = sent(engine)
    assert not (path / ".kafka_cleanshutdown").exists() or other.path == str(path)
    with klog.open(path, config={"klog.exclusive": True}, lock_timeout=0):
        pass  # it has not opened anything yet
    with other:
        assert other.send("orders", b"one").result().offset == 0
        with pytest.raises(klog.LockedError):
            klog.open(path, config={"klog.exclusive": True}, lock_timeout=0)
    path.rename(path.with_name("elsewhere"))
    lost = sent(klog.open(path.with_name("elsewhere"), mode="rw"))
    path.with_name("elsewhere").rename(path)
    with pytest.raises(klog.StorageError, match="elsewhere"):
        lost.cluster_id


def test_a_producer_is_pickled_with_its_settings_and_without_what_it_queued(path, engine):
    engine.create_topic("orders")
    with engine.producer(linger=3600, compression="zstd", config={"max.request.size": 1000}) as producer:
        delivery = producer.send("orders", b"queued")
        other = sent(producer)
        assert (producer.pending, other.pending) == (1, 0)
        other.send("orders", b"another's" * 10)
        assert other.pending == 1
        with pytest.raises(klog.RecordTooLargeError):
            other.send("orders", b"x" * 2000)
        other.close()
        assert other.closed and not producer.closed
        assert delivery.result().offset == 1
    assert {batch.codec for batch in engine.admin().batches("orders")} == {"zstd"}


def test_a_consumer_is_pickled_with_its_assignment_and_positions(path, engine):
    topic = engine.create_topic("orders", 2)
    for number in range(10):
        engine.send("orders", b"%d" % number, partition=number % 2).result()
    with engine.consumer("orders", idle_timeout=0, config={"max.poll.records": 2}) as consumer:
        first = next(consumer)  # and has read more than it gave
        consumer.pause(("orders", 1 - first.partition))
        other = sent(consumer)
        assert other.positions == consumer.positions
        assert other.assignment == consumer.assignment
        rest = [record.value for record in other]
        assert rest == [record.value for record in consumer]
        assert len(rest) == 4
        other.resume(("orders", 0), ("orders", 1))
        assert len(other.poll(0)) == 2
        assert len(list(other)) == 3
        # A whole topic stays one.
        again = sent(other)
        topic.add_partitions(3)
        engine.send("orders", b"in a new partition", partition=2).result()
        assert [record.value for record in again] == [b"in a new partition"]
        again.close()
        assert again.closed and not consumer.closed


def test_a_consumer_that_starts_at_offsets_or_a_time_is_pickled_with_that(path, engine):
    engine.create_topic("orders", 2)
    for number in range(6):
        engine.send("orders", b"%d" % number, partition=number % 2, timestamp=1000 + number).result()
    for start in ["latest", "earliest", 1003, {("orders", 1): 2}]:
        with engine.consumer(start=start, idle_timeout=0) as consumer:
            other = sent(consumer)
            for each in (consumer, other):
                each.assign("orders")
            assert other.positions == consumer.positions
            other.close()


def test_what_cannot_be_sent_says_so(path, engine, memory):
    memory.send("orders", b"one").result()
    for handle in [memory, memory.producer(), memory.consumer("orders")]:
        with pytest.raises(TypeError, match="in memory"):
            pickle.dumps(handle)
    with pytest.raises(TypeError, match="alone learns its fate"):
        pickle.dumps(engine.send("orders", b"one"))
    producer, consumer = engine.producer(), engine.consumer("orders")
    producer.close()
    consumer.close()
    other = sent(engine)
    other.close()
    for handle in [producer, consumer, other]:
        with pytest.raises(klog.ClosedError):
            pickle.dumps(handle)


def append(arguments):
    """What a worker of a pool does."""
    handle, worker = arguments
    sent = [handle.send("jobs", f"{worker}-{number}", partition=worker % 3) for number in range(20)]
    if worker % 2:
        sent[-1].result()
    handle.close()
    return os.getpid()


kept = None


def keep(handle):
    """Begins a worker that keeps what it was given."""
    global kept
    kept = handle


def append_with_kept(worker):
    return [kept.send("jobs", f"{worker}-{number}", partition=worker % 3).result().offset for number in range(20)]


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("kind", ["engine", "producer"])
def test_workers_of_a_pool_append_through_what_they_were_given(path, method, kind):
    context = multiprocessing.get_context(method)
    with klog.open(path, durability="os") as engine:
        engine.create_topic("jobs", 3)
        handle = engine if kind == "engine" else engine.producer(linger=0.01)
        with context.Pool(3) as pool:
            assert len(set(pool.map(append, [(handle, worker) for worker in range(9)], chunksize=1))) >= 1
            pool.close()
            pool.join()
        with context.Pool(3, keep, (handle,)) as pool:
            offsets = pool.map(append_with_kept, range(9, 18), chunksize=1)
            pool.close()
            pool.join()
        assert all(mine == sorted(mine) for mine in offsets)
        values = [record.value.decode() for record in engine.read("jobs")]
        assert sorted(values) == sorted(f"{worker}-{number}" for worker in range(18) for number in range(20))
        for worker in range(18):
            mine = [value for value in values if value.startswith(f"{worker}-")]
            assert mine == [f"{worker}-{number}" for number in range(20)]


READER = """
import klog, os, sys
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
with klog.open(sys.argv[1], mode="r") as engine:
    assert not os.access(sys.argv[1], os.W_OK)
    with engine.consumer("orders", start="latest") as consumer:
        print("ready", len(consumer.poll(0)), flush=True)
        print([record.value for record in consumer.poll(60)], flush=True)
        print([record.value for record in consumer.poll(60)], flush=True)
        print(consumer.poll(0.05) == [] or len(consumer.poll(0)), flush=True)
        sys.stdin.readline()
        print(sorted(engine.topics), [record.value for record in engine.read("later")], flush=True)
        print([record.value for record in engine.consumer("later").poll(60)], flush=True)
        sys.stdin.readline()
        print([record.value for record in consumer.poll(60)], flush=True)
"""


@pytest.fixture
def readable():
    """A directory that anybody may look into, in which one may be made that others only read."""
    import shutil
    import tempfile

    place = tempfile.mkdtemp()
    os.chmod(place, 0o755)
    yield os.path.join(place, "data")
    shutil.rmtree(place)


def let_others_read(path):
    subprocess.run(["chmod", "-R", "a+rX,go-w", path], check=True)


def test_one_who_may_only_read_follows_those_who_write(readable, program):
    with klog.open(readable) as engine:
        engine.send("orders", b"before").result()
        let_others_read(readable)
        reader = program(READER, readable)
        assert reader.line() == "ready 0"
        engine.send("orders", b"one").result()
        assert reader.line() == "[b'one']"
        with klog.open(readable) as another:
            another.send("orders", b"two").result()
        assert reader.line() == "[b'two']"
        assert reader.line() in ("0", "True")
        engine.send("later", b"first").result()
        let_others_read(readable)
        reader.go_on()
        assert reader.line() == "['later', 'orders'] [b'first']"
        assert reader.line() == "[b'first']"
    # Everybody has left; somebody comes anew, and the reader has stayed.
    with klog.open(readable) as engine:
        engine.send("noise", b"first of this instance").result()
        engine.send("orders", b"three").result()
        let_others_read(readable)
        reader.go_on()
        assert reader.line() == "[b'three']"
    assert reader.end()[0] == 0


def test_a_reader_follows_writers_that_come_after_others_have_died(path, program):
    dying = program("import klog, sys; klog.open(sys.argv[1]).send('orders', b'one').result(); print('sent', flush=True); sys.stdin.read()", path)
    assert dying.line() == "sent"
    dying.signal(signal.SIGKILL)
    dying.end()
    with klog.open(path, mode="r") as reader, reader.consumer("orders") as consumer:
        assert [record.value for record in consumer.poll(0)] == [b"one"]
        with klog.open(path) as engine:
            engine.create_topic("more")
            engine.send("orders", b"two").result()
            assert [record.value for record in consumer.poll(60)] == [b"two"]
            assert sorted(reader.topics) == ["more", "orders"]


def test_a_program_that_closes_every_descriptor_is_told_and_writes_into_no_file_of_its_own(path, program):
    script = """
import klog, os, sys, threading
engine = klog.open(sys.argv[1], durability="os")
producer = engine.producer()
producer.send("orders", b"before").result()
print("open", flush=True)
sys.stdin.readline()
os.closerange(3, 65536)
threading.Event().wait(1)  # it is noticed within about 100 ms; what is written before that may go anywhere
mine = [os.open(sys.argv[2] + f"-{number}", os.O_RDWR | os.O_CREAT) for number in range(700)]
errors = set()
for _ in range(3):
    try:
        producer.send("orders", b"lost").result()
    except klog.KlogError as error:
        errors.add(type(error).__name__)
        last = str(error)
print(sorted(errors), "descriptors" in last, flush=True)
try:
    engine.close()
except klog.KlogError:
    pass
del engine, producer
assert all(os.fstat(number).st_size == 0 for number in mine)
print("unharmed", flush=True)
"""
    daemon = program(script, path, path.parent / "mine")
    assert daemon.line() == "open"
    with klog.open(path) as engine:
        daemon.go_on()
        assert daemon.line() == "['LockedError'] True"
        engine.send("orders", b"the other's").result()
        assert daemon.line() == "unharmed"
        daemon.end()
        engine.send("orders", b"and more").result()
        assert [record.value for record in engine.read("orders")] == [b"before", b"the other's", b"and more"]
    with klog.open(path) as engine:
        assert engine.verify().ok and engine.report().ok


def test_descriptors_do_not_go_to_a_program_that_is_executed(path, program):
    script = """
import klog, os, subprocess, sys
engine = klog.open(sys.argv[1])
engine.send("orders", b"one").result()
consumer = engine.consumer("orders")
consumer.poll()
ours = [number for number in os.listdir("/proc/self/fd") if sys.argv[1] in os.path.realpath(f"/proc/self/fd/{number}")]
theirs = subprocess.run(["ls", "-l", "/proc/self/fd"], close_fds=False, capture_output=True, text=True, check=True).stdout
print(len(ours) >= 3, sys.argv[1] in theirs)
"""
    assert program(script, path).output() == "True False\n"


def test_a_program_that_ends_in_the_middle_holds_nobody_up(path, program):
    script = """
import klog, os, sys, threading
engine = klog.open(sys.argv[1])
producer = engine.producer(linger=3600)
consumer = engine.consumer() if "orders" not in engine.topics else engine.consumer("orders", start="latest")
engine.send("orders", b"one").result()
consumer.assign("orders")
producer.send("orders", b"queued")

def write():
    while True:
        engine.send("orders", b"more").result()

def read():
    while True:
        consumer.poll()

for work in [write, read]:
    threading.Thread(target=work, daemon=True).start()
engine.send("orders", b"two").result()
print("writing", flush=True)
{end}
"""
    for end in ["os._exit(0)", "sys.exit(0)", "os.abort()", "raise SystemExit(0)", "", "del engine, producer, consumer"]:
        ending = program(script.replace("{end}", end), path)
        assert ending.line() == "writing"
        code, _, errors = ending.end()
        assert code == (-signal.SIGABRT if "abort" in end else 0), errors
        with klog.open(path, config={"klog.exclusive": True}, lock_timeout=60) as engine:
            values = [record.value for record in engine.read("orders")]
            assert engine.verify().ok
            if end not in ("os._exit(0)", "os.abort()"):
                assert b"queued" in values, end


def hold_locks(path, first=0, count=1000):
    """Holds the locks of partitions of a directory with "klog.lock" "ofd", as a process that was stopped inside. They are
    numbered in the order in which they were opened; the first one is that of the metadata log."""
    holder = os.open(path / ".klog.lck", os.O_RDWR)
    fcntl.fcntl(holder, F_OFD_SETLK, struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 8192 + first, count, 0))
    return holder


def sends_with_locks_held(program, script, path):
    """A program that has a directory open and waits for the locks of its partitions, and who holds them."""
    waiting = program(script, path)
    assert waiting.line() == "ready"
    holder = hold_locks(path)
    waiting.go_on()
    assert waiting.line() == "sending"
    return waiting, holder


@contextlib.contextmanager
def signals_until_told(waiting, number):
    """Sends a signal again and again: one that comes just before a wait for a lock is served when that ends."""
    told = threading.Event()

    def send():
        while not told.wait(0.01):
            waiting.signal(number)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        told.set()
        thread.join()


def test_a_handler_may_use_the_handles_whose_wait_for_a_lock_it_interrupts(path, program):
    # Once a handler ran with the locks of the interrupted call held, and hung on them.
    script = """
import klog, os, signal, sys, threading
engine = klog.open(sys.argv[1], durability="os", config={"klog.lock": "ofd"})
producer = engine.producer(linger=3600)  # nobody but this thread writes
producer.send("orders", b"one").result()
handled, turn = [], threading.Lock()

def handle(*_):
    if not turn.acquire(blocking=False):
        return
    if not producer.pending:  # it does not wait yet
        turn.release()
        return
    handled.append(producer.pending)
    print("handled", flush=True)
    sys.stdin.readline()  # the lock is free from then on
    handled.append(producer.send("orders", b"from the handler").result().offset)

signal.signal(signal.SIGUSR1, handle)
print("ready", flush=True)
sys.stdin.readline()
print("sending", flush=True)
print(producer.send("orders", b"two").result().offset, handled, flush=True)
"""
    waiting, holder = sends_with_locks_held(program, script, path)
    with signals_until_told(waiting, signal.SIGUSR1):
        assert waiting.line() == "handled"
    os.close(holder)
    waiting.go_on()
    assert waiting.line() == "1 [1, 2]"
    assert waiting.output() == ""


def test_ctrl_c_ends_the_wait_for_a_lock_of_a_stopped_process(path, program):
    script = """
import klog, signal, sys, threading
engine = klog.open(sys.argv[1], durability="os", config={"klog.lock": "ofd"})
producer = engine.producer(linger=3600)  # nobody but this thread writes
producer.send("orders", b"one").result()
turn = threading.Lock()

def interrupt(*_):
    if turn.acquire(blocking=False):
        raise KeyboardInterrupt

signal.signal(signal.SIGINT, interrupt)
print("ready", flush=True)
try:
    sys.stdin.readline()
    print("sending", flush=True)
    producer.send("orders", b"more").result()
except KeyboardInterrupt:
    print("interrupted", flush=True)
sys.stdin.readline()
producer.send("orders", b"afterwards").result()
"""
    waiting, holder = sends_with_locks_held(program, script, path)
    with signals_until_told(waiting, signal.SIGINT):
        assert waiting.line() == "interrupted"
    os.close(holder)
    waiting.go_on()
    assert waiting.output() == ""
    with klog.open(path) as engine:
        assert [record.value for record in engine.read("orders")][-1] == b"afterwards"
        assert engine.verify().ok


def test_a_setting_is_followed_while_a_thread_waits_for_a_stopped_process(path, program):
    # Once every call of the process waited for the thread that appends there.
    script = """
import klog, sys, threading
engine = klog.open(sys.argv[1], durability="os", config={"klog.lock": "ofd", "request.timeout.ms": 3600000})
engine.send("held", b"one").result()
engine.send("free", b"two").result()
producer = engine.producer(linger=3600)
delivery = producer.send("held", b"three")
print("ready", flush=True)
sys.stdin.readline()
thread = threading.Thread(target=delivery.result, daemon=True)
thread.start()
while producer.pending:  # until the thread has begun to write it
    pass
print("sending", flush=True)
sys.stdin.readline()
print([record.value for record in engine.read("free")], flush=True)
sys.stdin.readline()
thread.join()
"""
    waiting = program(script, path)
    assert waiting.line() == "ready"
    holder = hold_locks(path, first=1, count=1)
    waiting.go_on()
    assert waiting.line() == "sending"
    with klog.open(path) as engine:
        engine.admin().alter_configs("held", {"max.message.bytes": 9999})
        waiting.go_on()
        assert waiting.line() == "[b'two']"
        os.close(holder)
        waiting.go_on()
        assert waiting.output() == ""
        assert [record.value for record in engine.read("held")] == [b"one", b"three"]


def hold_flush_lock(path, slot):
    """Holds the flush lock of the first partition in the name of whoever has the slot, as one that was stopped inside."""
    with open(path / ".klog.shm", "r+b") as file:
        memory = mmap.mmap(file.fileno(), 0)
    (state,) = struct.unpack_from("=I", memory, 4096 + slot * 64 + 4)
    block = 69632 + 256  # behind that of the metadata
    struct.pack_into("=Q", memory, block + 176, time.monotonic_ns())
    struct.pack_into("=I", memory, block + 136, (state & 0x7FFFF) << 12 | slot + 1)
    return lambda: struct.pack_into("=I", memory, block + 136, 0)


def test_a_result_names_a_stopped_process_that_keeps_the_record_from_being_durable(path):
    # Once it asked again every 100 ms, and waited for ever.
    called = []
    with klog.open(path, config={"request.timeout.ms": 300}) as engine, klog.open(path) as stopped:
        assert [handle.send("orders", b"one").result().offset for handle in (engine, stopped)] == [0, 1]
        let_go = hold_flush_lock(path, 1)
        delivery = engine.send("orders", b"two")
        delivery.add_done_callback(called.append)
        for wait, timeout in [(delivery.result, 60), (delivery.result, None), (delivery.exception, 0.2)]:
            with pytest.raises(klog.TimeoutError, match=rf"process {os.getpid()} .*slot 1, has held the lock"):
                wait(timeout)
        assert called == [] and not delivery.done()
        with pytest.raises(klog.TimeoutError, match="may still be delivered"):
            stopped.send("orders", b"three").result(0)
        let_go()
        assert delivery.result().offset == 2
        assert called == [delivery]


PRODUCER = """
import klog, sys, threading, time
with klog.open(sys.argv[1]) as engine:
    producer = engine.producer(acks=1)
    began = time.monotonic()
    for number in range(int(sys.argv[2])):
        producer.send("numbers", b"%d" % number)
        threading.Event().wait(max(0, began + number * float(sys.argv[3]) - time.monotonic()))
    producer.flush()
"""


def test_what_python_sends_c_receives_in_order(path, program, tmp_path):
    libraries = os.environ.get("KLOG_LIBRARIES", os.fspath(PROJECT / os.environ.get("CARGO_TARGET_DIR", "target") / "release"))
    if not os.path.exists(f"{libraries}/libklog.so"):
        pytest.skip(f"SKIPPED: Python and C in one directory: {libraries} has no libklog.so; `make setup` makes it")
    count, pace = os.environ.get("KLOG_TEST_RECORDS", "5000"), os.environ.get("KLOG_TEST_PACE", "0.0002")
    follower = tmp_path / "follow"
    source = PROJECT / "tests" / "c" / "follow.c"
    command = ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", f"-I{PROJECT}/include", source, "-o", follower]
    subprocess.run([*command, f"-L{libraries}", "-lklog"], check=True)
    with klog.open(path) as engine:
        engine.create_topic("numbers")
    environment = {**os.environ, "LD_LIBRARY_PATH": libraries}
    reading = subprocess.Popen([follower, path, "numbers", count], env=environment, stdout=subprocess.PIPE, text=True)
    with reading:
        assert reading.stdout.readline() == "ready\n"
        assert program(PRODUCER, path, count, pace).output() == ""
        assert reading.stdout.read() == f"{count} records in order\n"
    assert reading.returncode == 0


# A process that may have fewer files open than the log has segments: each record begins one.
MANY_SEGMENTS = """
import os, resource, sys
import klog
path, mode, first, last = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
with klog.open(path, mode=mode) as engine:
    if mode == "rwc":
        engine.create_topic("t", config={"segment.ms": 1, "klog.durability": sys.argv[5]})
    if mode != "r":
        with engine.producer() as producer:
            for number in range(first, last):
                producer.send("t", b"%d" % number, timestamp=1_000_000 + 1000 * number).result()
    for _ in range(2):
        assert [int(record.value) for record in engine.read("t")] == list(range(last))
    assert len(engine.admin().segments("t")) == last
    assert engine.topic("t").partitions[0].offset_at(1_000_000 + 1000 * (last // 2)) == last // 2
    assert engine.verify().ok
    assert len(os.listdir("/proc/self/fd")) < 100
    if mode == "rwc":
        sys.stdout.flush()
        os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("durability", ["os", "fsync"])
def test_a_log_may_have_more_segments_than_a_process_may_have_files_open(tmp_path, durability):
    def run(*arguments):
        command = [sys.executable, "-c", MANY_SEGMENTS, str(tmp_path / "data"), *arguments]
        return subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=300, check=False)

    ended = run("rwc", "0", "300", durability)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    # All of it is looked at after that, by one who changes nothing, and by one who recovers.
    for mode, last in [("r", "300"), ("rw", "310"), ("r", "310")]:
        ended = run(mode, "300", last)
        assert ended.returncode == 0, ended.stderr
