"""Sends each line of a text file to a topic, as one record: `python spool_lines.py DIR TOPIC FILE`.

The directory and the topic are made if they are not there. When the program ends well, all lines are on the disk.
"""

import sys

import klog


def main(directory: str, topic: str, file: str) -> None:
    with open(file, "rb") as lines, klog.open(directory) as engine, engine.producer() as producer:
        count = 0
        for count, line in enumerate(lines, start=1):
            producer.send(topic, line.removesuffix(b"\n"))
        producer.flush()
        print(f"{count} lines of {file} are in topic {topic} of {directory}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python spool_lines.py DIR TOPIC FILE")
    main(*sys.argv[1:])
