"""Ctrl-C and other signals: they end a wait, or run their handler inside of it."""

import signal

import klog
import pytest

# A timeout of 1000 is here because Ctrl-C once met the import of `datetime`, to see whether it is a timedelta, and was a panic.
# Each program prints a line from inside of the `try`, so the signal meets it there, at the latest in the wait.
INTERRUPTED = """
import klog, sys, threading
engine = klog.open(sys.argv[1])
engine.create_topic("orders")
consumer = engine.consumer("orders")
{before}
try:
    print("ready", flush=True)
    {wait}
except KeyboardInterrupt:
    print("interrupted")
engine.send("orders", b"afterwards").result()
consumer.close()
"""


@pytest.mark.parametrize(
    ("before", "wait"),
    [
        ("", "consumer.poll()"),
        ("", "consumer.poll(1000)"),
        ("", "next(consumer)"),
        ("", "list(consumer.batches())"),
        ("", "klog.open(sys.argv[1], lock_timeout=None, config={'klog.exclusive': True})"),
        ("threading.Thread(target=lambda: list(consumer), daemon=True).start()", "consumer.poll()"),
        ("threading.Thread(target=lambda: list(consumer), daemon=True).start()", "consumer.positions"),
    ],
)
def test_ctrl_c_ends_a_wait(path, program, before, wait):
    if wait == "consumer.positions":
        wait = "while True: consumer.positions"  # waits for its turn
    waiting = program(INTERRUPTED.format(before=before, wait=wait), path)
    assert waiting.line() == "ready"
    waiting.signal(signal.SIGINT)
    assert waiting.output() == "interrupted\n"
    with klog.open(path) as engine:
        assert [record.value for record in engine.read("orders")] == [b"afterwards"]


def test_ctrl_c_ends_every_wait_however_it_meets_it(path, program):
    script = """
import klog, os, signal, sys, threading
engine = klog.open(sys.argv[1])
engine.create_topic("orders")
consumer = engine.consumer("orders")
ended = 0
for number in range(50):
    thread = threading.Thread(target=lambda: os.kill(os.getpid(), signal.SIGINT))
    try:
        thread.start()
        consumer.poll()
    except KeyboardInterrupt:
        ended += 1
    thread.join()
print(ended)
"""
    assert program(script, path).output() == "50\n"


def test_a_handler_that_does_not_raise_lets_the_wait_go_on(path, program):
    script = """
import klog, signal, sys
engine = klog.open(sys.argv[1])
engine.create_topic("orders")
consumer = engine.consumer("orders")
signal.signal(signal.SIGUSR1, lambda *_: engine.send("orders", b"from the handler").result())
print("ready", flush=True)
print([record.value for record in consumer.poll()])
"""
    waiting = program(script, path)
    assert waiting.line() == "ready"
    waiting.signal(signal.SIGUSR1)
    assert waiting.output() == "[b'from the handler']\n"


@pytest.mark.parametrize(
    ("call", "error"), [("poll", "BusyError"), ("wakeup", "WakeupError"), ("close", "ClosedError")]
)
def test_a_handler_may_wake_and_close_a_consumer_and_not_use_it(path, program, call, error):
    # Signals come until one meets the wait, and not the lines around it.
    script = """
import klog, os, signal, sys, threading
engine = klog.open(sys.argv[1])
engine.create_topic("orders")
consumer = engine.consumer("orders")
arguments = [0] if sys.argv[2] == "poll" else []
signal.signal(signal.SIGUSR1, lambda *_: getattr(consumer, sys.argv[2])(*arguments))
is_over = False

def send_signals():
    while not is_over:
        os.kill(os.getpid(), signal.SIGUSR1)

thread = threading.Thread(target=send_signals, daemon=True)
try:
    thread.start()
    while True:
        consumer.poll()
except klog.KlogError as raised:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    print(type(raised).__name__)
is_over = True
thread.join()
"""
    assert program(script, path, call).output() == f"{error}\n"


def test_another_threads_wait_is_not_disturbed(path, program):
    script = """
import klog, signal, sys, threading
engine = klog.open(sys.argv[1])
engine.create_topic("orders")
consumer = engine.consumer("orders")
seen = []
done = threading.Event()

def wait():
    seen.extend(record.value for record in consumer.poll())
    done.set()

threading.Thread(target=wait, daemon=True).start()
try:
    print("ready", flush=True)
    done.wait()
except KeyboardInterrupt:
    engine.send("orders", b"one")
done.wait()
print(seen)
"""
    waiting = program(script, path)
    assert waiting.line() == "ready"
    waiting.signal(signal.SIGINT)
    assert waiting.output() == "[b'one']\n"


def test_a_flush_that_is_interrupted_goes_on(path, program):
    script = """
import klog, os, signal, sys
engine = klog.open(sys.argv[1])
producer = engine.producer(linger=3600)
delivery = producer.send("orders", b"one")
for flush in [engine.flush, producer.flush]:
    try:
        signal.raise_signal(signal.SIGINT)
        flush()
    except KeyboardInterrupt:
        print("interrupted")
producer.flush()
print(delivery.done())
"""
    assert program(script, path).output() == "interrupted\ninterrupted\nTrue\n"
