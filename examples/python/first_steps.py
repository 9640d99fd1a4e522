"""The first five minutes with klog: make a topic, send records, read them back, follow it as it grows.

Run it with the name of a directory, which it makes: `python first_steps.py data`.
"""

import sys
import threading

import klog


def main(directory: str) -> None:
    with klog.open(directory) as engine:
        # A topic is a set of partitions; each is a log of records, numbered by their offset.
        engine.create_topic("orders", partitions=3, config={"retention.ms": 7 * 24 * 3_600_000}, exist_ok=True)

        # Records of one key go to one partition, so they stay in order. `result` waits until the record is on the disk.
        delivery = engine.send("orders", "2 pounds of tea", key="customer-7", headers={"source": "shop"})
        metadata = delivery.result()
        print(f"on the disk: partition {metadata.partition}, offset {metadata.offset}")

        # For many, use a producer: it fills batches, compresses them, and writes what is left at the end of the block.
        with engine.producer(compression="zstd") as producer:
            for number in range(100):
                producer.send("orders", f"order {number}", key=f"customer-{number % 10}")

        # What is there, from the first record to the last.
        values = [record.value for record in engine.read("orders")]
        print(f"{len(values)} records, among them {b'2 pounds of tea' in values and 'the tea'}")

        # What comes. Another thread sends; the consumer waits for it.
        with engine.consumer("orders", start="latest") as consumer:
            sender = threading.Thread(target=lambda: engine.send("orders", "one more", key="customer-7").result())
            sender.start()
            for record in consumer:
                print("came in:", record.key, record.value)
                break
            sender.join()

        # What went wrong has a name, and says what to do.
        try:
            engine.consumer("order")
        except klog.UnknownTopicError as error:
            print(f"refused: {error}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "data")
