//! `klog produce` and `klog consume`.

use std::io::{BufRead, BufReader, Write};

use crate::command::Place;

const EVERYTHING: &str = "%t/%p/%o/%T/%k/%s/%h\\n";

#[test]
fn lines_come_back_as_they_went_in() {
    let place = Place::with_topic("t");
    let lines = "one\n\n two \ntränen\nlast without an end";
    place.done_with(&["produce", "t"], lines.as_bytes());
    assert_eq!(place.done(&["consume", "t"]), format!("{lines}\n"));
}

#[test]
fn bytes_that_are_no_text_come_back_as_they_went_in() {
    let place = Place::with_topic("t");
    let bytes = b"\xff\xfe\x00\x01\x1b[31m\r\n";
    place.done_with(&["produce", "t"], bytes);
    assert_eq!(place.run(&["consume", "t"]).stdout, bytes);
    let json = place.done(&["--json", "consume", "t"]);
    assert!(json.contains(r#""value":{"base64":"//4AARtbMzFtDQ=="}"#), "{json}");
}

#[test]
fn every_codec_gives_the_same_records() {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let place = Place::with_topic("t");
        let lines: String = (0..500).map(|n| format!("record number {n}\n")).collect();
        place.done_with(&["produce", "t", "--compression", codec], lines.as_bytes());
        assert_eq!(place.done(&["consume", "t"]), lines, "{codec}");
        let dumped = place.done(&["dump", "--no-records", &place.file("t-0/00000000000000000000.log")]);
        assert!(dumped.contains(&format!("compresscodec: {codec} ")), "{dumped}");
    }
}

#[test]
fn keys_headers_times_and_nulls_are_kept() {
    let place = Place::with_topic("t");
    let args = ["produce", "t", "-K", ":", "-H", "from=cli", "-H", "n=1", "--timestamp", "1000", "--null", "NULL"];
    place.done_with(&args, b"a:b:c\nno key\nd:NULL\n");
    let said = place.done(&["consume", "t", "--format", EVERYTHING]);
    assert_eq!(said, "t/0/0/1000/a/b:c/from=cli,n=1\nt/0/1/1000//no key/from=cli,n=1\nt/0/2/1000/d//from=cli,n=1\n");
    let json = place.done(&["--json", "consume", "t", "--offset", "2"]);
    assert!(json.contains(r#""key":"d","value":null,"headers":["#), "{json}");
}

#[test]
fn reading_begins_where_it_is_told_to() {
    let place = Place::with_topic("t");
    for n in 0..6 {
        place.done_with(&["produce", "t", "--timestamp", &(n * 1000).to_string()], format!("{n}\n").as_bytes());
    }
    let consume = |args: &[&str]| {
        let args: Vec<_> = ["consume", "t"].into_iter().chain(args.iter().copied()).collect();
        place.done(&args).replace('\n', "")
    };
    assert_eq!(consume(&[]), "012345");
    assert_eq!(consume(&["--from-beginning"]), "012345");
    assert_eq!(consume(&["--offset", "4"]), "45");
    assert_eq!(consume(&["--offset", "-2"]), "45");
    assert_eq!(consume(&["--offset", "-200"]), "012345");
    assert_eq!(consume(&["--offset", "latest"]), "");
    assert_eq!(consume(&["--offset", "earliest", "-n", "2"]), "01");
    assert_eq!(consume(&["--at", "2500"]), "345");
    assert_eq!(consume(&["--at", "1970-01-01T00:00:05Z"]), "5");
    assert_eq!(consume(&["--at", "9999999"]), "");
    assert_eq!(consume(&["-n", "0"]), "");
    assert_eq!(consume(&["--offset", "6"]), "", "the end is a place to stand");
    let said = place.fails(&["consume", "t", "--offset", "7"]);
    assert!(said.contains("offset 7 is out of range: t-0 has 0 up to 6"), "{said}");
}

#[test]
fn partitions_can_be_chosen() {
    let place = Place::new();
    place.done(&["topics", "create", "t", "--partitions", "3"]);
    for p in ["0", "1", "2"] {
        place.done_with(&["produce", "t", "--partition", p], format!("to {p}\n").as_bytes());
    }
    assert_eq!(place.done(&["consume", "t", "--partition", "1"]), "to 1\n");
    assert_eq!(place.done(&["consume", "t"]).lines().count(), 3);
}

#[test]
fn several_topics_are_read_in_one_go() {
    let place = Place::with_topic("a");
    place.done_with(&["produce", "a"], b"from a\n");
    place.done_with(&["produce", "b", "--create"], b"from b\n");
    let said = place.done(&["consume", "a", "b", "--format", "%t %s\\n"]);
    let mut lines: Vec<_> = said.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["a from a", "b from b"]);
}

#[test]
fn json_says_where_each_record_went() {
    let place = Place::with_topic("t");
    let said = place.done_with(&["--json", "produce", "t", "--timestamp", "5"], b"a\nb\n");
    let expected = |offset: i64| format!(r#"{{"topic":"t","partition":0,"offset":{offset},"timestamp":5}}"#);
    assert_eq!(said, format!("{}\n{}\n", expected(0), expected(1)));
}

#[test]
fn a_follower_prints_what_other_processes_write_while_it_runs() {
    let place = Place::with_topic("t");
    place.done_with(&["produce", "t"], b"before\n");
    let mut follower = place.start(&["consume", "t", "--follow", "--max", "3"]);
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "before");
    place.done_with(&["produce", "t"], b"while\n");
    assert_eq!(lines.next().unwrap(), "while");
    place.done(&["topics", "alter", "t", "--config", "max.message.bytes=2000"]);
    place.done_with(&["produce", "t"], b"after\n");
    assert_eq!(lines.next().unwrap(), "after");
    assert!(follower.wait().unwrap().success(), "it ends with the third record");
}

/// What a follower prints, line by line.
fn lines(follower: &mut std::process::Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(follower.stdout.take().unwrap()).lines().map(Result::unwrap)
}

/// Once, a reader that had seen one opening of the directory took another partition's words for its own in the next one, and
/// saw nothing of a writer that was gone before it looked.
#[test]
fn a_follower_misses_nothing_of_writers_that_come_and_go() {
    let place = Place::new();
    for topic in ["a", "b", "c"] {
        place.done(&["topics", "create", topic]);
    }
    let mut follower = place.start(&["consume", "a", "b", "c", "--follow", "--max", "30", "--format", "%t %o %s\\n"]);
    // Each of them opens other partitions first, and most of them one only.
    for round in 0..10 {
        for topic in if round % 2 == 0 { ["a", "b", "c"] } else { ["c", "b", "a"] } {
            place.done_with(&["produce", topic], format!("{round}\n").as_bytes());
        }
    }
    let mut said: Vec<_> = lines(&mut follower).collect();
    assert!(follower.wait().unwrap().success());
    said.sort();
    let mut expected: Vec<_> = (0..30).map(|n| format!("{0} {1} {1}", ["a", "b", "c"][n % 3], n / 3)).collect();
    expected.sort();
    assert_eq!(said, expected);
}

#[test]
fn a_follower_may_come_before_the_topic_and_the_producer() {
    let place = Place::new();
    place.done(&["init"]);
    let mut follower = place.start(&["consume", "t", "--follow", "--max", "4"]);
    place.done(&["topics", "create", "t"]);
    place.done_with(&["produce", "t"], b"one\n");
    let mut lines = lines(&mut follower);
    assert_eq!(lines.next().unwrap(), "one");
    assert_eq!(place.run(&["topics", "alter", "t", "--partitions", "3"]).code, 0);
    place.done_with(&["produce", "t", "-p", "2"], b"two\n");
    assert_eq!(lines.next().unwrap(), "two");
    place.done(&["topics", "delete", "t"]);
    place.done(&["topics", "create", "t"]);
    place.done_with(&["produce", "t"], b"three\nfour\n");
    assert_eq!([lines.next().unwrap(), lines.next().unwrap()], ["three", "four"]);
    assert!(follower.wait().unwrap().success());
}

#[test]
fn a_follower_goes_on_after_a_writer_was_killed() {
    let place = Place::with_topic("t");
    let mut before = place.start(&["consume", "t", "--follow", "--max", "2"]);
    let mut writer = place.start_with_input(&["produce", "t"]);
    writer.stdin.as_mut().unwrap().write_all(b"one\n").unwrap();
    let mut before_lines = lines(&mut before);
    assert_eq!(before_lines.next().unwrap(), "one");
    writer.kill().unwrap();
    writer.wait().unwrap();
    // What the dead one left in the memory is not what there is.
    let mut after = place.start(&["consume", "t", "--follow", "--max", "2"]);
    let mut after_lines = lines(&mut after);
    assert_eq!(after_lines.next().unwrap(), "one");
    place.done_with(&["produce", "t"], b"two\n");
    assert_eq!([before_lines.next().unwrap(), after_lines.next().unwrap()], ["two", "two"]);
    assert!(before.wait().unwrap().success() && after.wait().unwrap().success());
}

#[test]
fn a_follower_sees_what_one_flushes_who_has_the_directory_alone() {
    let place = Place::with_topic("t");
    let alone = klog::OpenOptions::new().set("klog.exclusive", "true").unwrap().open(&place.dir).unwrap();
    let mut follower = place.start(&["consume", "t", "--follow", "--max", "2"]);
    let mut lines = lines(&mut follower);
    let producer = alone.producer().unwrap();
    producer.send("t", None, Some(b"one")).unwrap().result().unwrap();
    assert_eq!(lines.next().unwrap(), "one");
    producer.send("t", None, Some(b"two")).unwrap().result().unwrap();
    assert_eq!(lines.next().unwrap(), "two");
    assert!(follower.wait().unwrap().success());
    drop(producer);
    alone.close().unwrap();
}

#[test]
fn a_follower_whose_output_was_closed_ends_although_nothing_comes() {
    let place = Place::with_topic("t");
    let mut follower = place.start(&["consume", "t", "--follow"]);
    drop(follower.stdout.take());
    assert!(follower.wait().unwrap().success());
}

#[test]
fn a_follower_of_the_latest_prints_nothing_of_before() {
    let place = Place::with_topic("t");
    place.done_with(&["produce", "t"], b"before\n");
    let mut writer = place.start_with_input(&["produce", "t"]);
    let mut follower = place.start(&["consume", "t", "--follow", "--offset", "latest", "--max", "1"]);
    // Nobody says when it has begun to wait; what is sent until then is of before.
    let mut feeder = writer.stdin.take().unwrap();
    let feeding = std::thread::spawn(move || while feeder.write_all(b"while\n").is_ok() {});
    assert_eq!(lines(&mut follower).next().unwrap(), "while");
    assert!(follower.wait().unwrap().success());
    writer.kill().unwrap();
    writer.wait().unwrap();
    feeding.join().unwrap();
}

#[test]
fn a_record_that_is_too_large_is_refused_and_those_before_it_are_kept() {
    let place = Place::new();
    place.done(&["topics", "create", "t", "--config", "max.message.bytes=1000"]);
    let mut input = b"small\n".to_vec();
    input.extend([b'x'; 5000]);
    input.push(b'\n');
    let said = place.run_with(&["produce", "t", "-X", "batch.size=0"], &input).assert_failed(1);
    assert!(said.contains("1000") && said.contains("max.message.bytes"), "{said}");
    assert!(said.contains("1 records were acknowledged before"), "{said}");
    assert_eq!(place.done(&["consume", "t"]), "small\n");
}

#[test]
fn a_damaged_record_is_told_of_and_stepped_over() {
    let place = Place::with_topic("t");
    for n in 0..3 {
        place.done_with(&["produce", "t"], format!("record {n}\n").as_bytes());
    }
    let log = place.file("t-0/00000000000000000000.log");
    let mut bytes = std::fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::File::options().write(true).open(&log).unwrap().write_all(&bytes).unwrap();
    let said = place.run(&["consume", "t"]);
    assert_eq!((said.code, said.text().as_str()), (1, "record 0\nrecord 2\n"), "a script must notice");
    assert!(said.stderr.contains("offset 1") && said.stderr.contains("00000000000000000000.log"), "{}", said.stderr);
}
