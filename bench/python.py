"""Times what a Python program does most, in microseconds a record; medians of nine runs.

Printed beside the target, where the design has one, with MISSED where it is missed; the program ends well all the same.
"""

import statistics
import tempfile
import time
from collections.abc import Callable

import klog

RUNS = 9
VALUE = b"x" * 100


def per_record(records: int, work: Callable[[], object]) -> float:
    """The median time of a record, in microseconds."""
    times = []
    for _ in range(RUNS):
        begin = time.perf_counter()
        work()
        times.append((time.perf_counter() - begin) / records * 1e6)
    return statistics.median(times)


def row(what: str, micros: float, target: float | None = None) -> None:
    """Prints a figure."""
    verdict = "" if target is None else f"   target {target:g} us{'' if micros <= target else '   MISSED'}"
    print(f"{what:<54}{micros:>9.3f} us{1 / micros:>9.3f} M/s{verdict}")


def main() -> None:
    """Runs everything."""
    print(f"Python, klog {klog.__version__}, records of 100 B, topic with klog.durability=os")
    with tempfile.TemporaryDirectory() as place, klog.open(place, durability="os") as log:
        log.create_topic("t")
        with log.producer() as producer:

            def wait_each() -> None:
                for _ in range(5_000):
                    producer.send("t", VALUE).result()

            def queue() -> None:
                for _ in range(20_000):
                    producer.send("t", VALUE)
                producer.flush()

            wait_each()  # the first ones make files
            row("send(…).result()", per_record(5_000, wait_each), 10.0)
            row("send(…), flushed at the end", per_record(20_000, queue))
        count = sum(1 for _ in log.read("t"))
        row("for record in read(…)", per_record(count, lambda: sum(1 for _ in log.read("t"))), 0.25)


if __name__ == "__main__":
    main()
