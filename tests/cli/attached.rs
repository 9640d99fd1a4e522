//! `klog ps`, `klog stats` and `klog doctor`.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;

use crate::command::Place;

fn fields(said: &str) -> Vec<Vec<&str>> {
    said.lines().map(|line| line.split('\t').collect()).collect()
}

/// A producer that sends a record, and waits for more of them.
fn producer(place: &Place) -> std::process::Child {
    let mut producer = place.start_with_input(&["produce", "t", "--json"]);
    producer.stdin.as_mut().unwrap().write_all(b"one\n").unwrap();
    producer
}

/// Waits until a record can be read, so that whoever wrote it is attached.
fn wait_for_records(place: &Place, count: &str) {
    let mut follower = place.start(&["consume", "t", "--follow", "--max", count]);
    let lines = BufReader::new(follower.stdout.take().unwrap()).lines().count();
    assert_eq!(lines.to_string(), count);
    follower.wait().unwrap();
}

#[test]
fn those_who_are_attached_are_listed_with_what_they_hold() {
    let place = Place::with_topic("t");
    let mut producer = producer(&place);
    wait_for_records(&place, "1");
    let said = place.done(&["ps"]);
    let rows = fields(&said);
    assert_eq!(rows[0], ["Slot", "Pid", "PidNamespace", "Program", "Since", "State", "Holds"]);
    assert_eq!(rows.len(), 2, "a look is not listed: {said}");
    let pid = producer.id().to_string();
    assert_eq!([rows[1][0], rows[1][1], rows[1][3], rows[1][5]], ["0", &pid, "klog", "alive"]);
    let json = place.done(&["ps", "--json"]);
    assert!(json.contains(&format!(r#""pid":{pid},"#)) && json.contains(r#""state":"alive""#), "{json}");

    let second = klog::OpenOptions::new().program("a test").open(&place.dir).unwrap();
    let said = place.done(&["ps"]);
    let rows = fields(&said);
    assert_eq!([rows[2][0], rows[2][1], rows[2][3]], ["1", &std::process::id().to_string(), "a test"]);
    let attached = second.admin().attached().unwrap();
    assert_eq!(
        attached.handles.iter().map(|handle| handle.pid).collect::<Vec<_>>(),
        [producer.id(), std::process::id()]
    );
    second.close().unwrap();
    assert_eq!(fields(&place.done(&["ps"])).len(), 2);

    producer.kill().unwrap();
    producer.wait().unwrap();
    let said = place.run(&["ps"]);
    assert!(said.stderr.contains("nobody has ") && said.code == 0, "{said:?}");
    assert_eq!(fields(&said.text()).len(), 1);
}

/// A handle that died and that nobody has buried, as it is with `threads=off`.
#[test]
fn one_who_died_and_was_not_noticed_is_marked() {
    let place = Place::with_topic("t");
    let living = klog::OpenOptions::new().set("threads", "off").unwrap().open(&place.dir).unwrap();
    let mut dying = producer(&place);
    wait_for_records(&place, "1");
    dying.kill().unwrap();
    dying.wait().unwrap();
    let states: Vec<_> = living.admin().attached().unwrap().handles.iter().map(|handle| handle.is_dead).collect();
    assert_eq!(states, [false, true]);
    let said = place.done(&["ps"]);
    assert_eq!(fields(&said)[2][5], "dead", "{said}");
    living.close().unwrap();
}

#[test]
fn looking_needs_no_right_to_write_and_takes_no_place() {
    let place = Place::with_topic("t");
    let engine = klog::Engine::open(&place.dir).unwrap();
    let before = engine.admin().metrics().unwrap().attachments;
    let mode = |mode| std::fs::set_permissions(&place.dir, PermissionsExt::from_mode(mode)).unwrap();
    mode(0o500);
    for verb in ["ps", "stats", "doctor"] {
        assert_eq!(place.run(&[verb]).code, 0, "{verb}");
    }
    mode(0o700);
    assert_eq!(engine.admin().metrics().unwrap().attachments, before);
    engine.close().unwrap();
}

#[test]
fn what_is_counted_is_shown_by_partition() {
    let place = Place::with_topic("t");
    let engine = klog::Engine::open(&place.dir).unwrap();
    let producer = engine.producer().unwrap();
    for _ in 0..3 {
        producer.send("t", None, Some(b"one")).unwrap().result().unwrap();
    }
    let said = place.done(&["stats"]);
    let rows = fields(&said);
    assert_eq!(rows[0][..4], ["Topic", "Partition", "Appends", "AppendBytes"]);
    let row = rows.iter().find(|row| row[0] == "t").unwrap();
    assert_eq!(row[1..4], ["0", "3", &(3 * 71).to_string()], "{said}");
    let flushes: u64 = row[6].parse().unwrap();
    assert!((1..=4).contains(&flushes), "{said}");

    let metrics = engine.admin().metrics().unwrap();
    let partition = metrics.partitions.iter().find(|found| found.partition.topic == "t").unwrap();
    assert_eq!((partition.counts.appends, metrics.attached, metrics.attachments, metrics.deaths), (3, 1, 1, 0));
    assert!(metrics.total().appends >= 3);

    let json = place.done(&["stats", "--json"]);
    assert!(json.contains(r#"{"topic":"t","partition":0,"appends":3,"#), "{json}");
    assert!(json.lines().last().unwrap().starts_with(r#"{"attached":1,"attachments":1,"deaths":0,"#), "{json}");

    let text = place.done(&["stats", "--prometheus"]);
    assert!(text.contains("# TYPE klog_appends_total counter\n"), "{text}");
    assert!(text.lines().any(|line| line.ends_with(r#",topic="t",partition="0"} 3"#)), "{text}");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split('{').next().unwrap();
        assert!(text.contains(&format!("# HELP {name} ")) && text.contains(&format!("# TYPE {name} ")), "{line}");
    }
    drop(producer);
    engine.close().unwrap();
    let said = place.run(&["stats"]);
    assert!(said.stderr.contains("nobody has ") && said.code == 0, "{said:?}");
    assert_eq!(fields(&said.text()).len(), 1);
    assert!(place.done(&["stats", "--prometheus"]).lines().any(|line| line.ends_with("} 0")));
}

#[test]
fn a_directory_in_order_has_nothing_that_the_doctor_finds() {
    let place = Place::with_topic("t");
    let said = place.done(&["doctor"]);
    let names: Vec<_> = fields(&said).iter().map(|row| row[0].to_owned()).collect();
    let expected = [
        "Check",
        "directory",
        "permissions",
        "file system",
        "locks",
        "lock files",
        "shared memory",
        "processes",
        "clock",
        "limits",
        "room",
    ];
    assert_eq!(names, expected);
    assert!(!said.contains("\tproblem\t"), "{said}");
    let json = place.done(&["doctor", "--json"]);
    assert!(json.lines().next().unwrap().starts_with(r#"{"check":"directory","verdict":"ok","found":"#), "{json}");
}

#[test]
fn the_doctor_names_what_is_wrong_and_what_to_do() {
    let place = Place::with_topic("t");
    let ahead = std::time::UNIX_EPOCH + std::time::Duration::from_secs(4_000_000_000);
    let checkpoint = std::fs::File::options().write(true).open(place.file("recovery-point-offset-checkpoint")).unwrap();
    checkpoint.set_modified(ahead).unwrap();
    let said = place.run(&["doctor"]);
    assert_eq!((said.code, said.stderr.as_str()), (1, "klog: 1 problem was found\n"), "{said:?}");
    let text = said.text();
    let row = text.lines().find(|line| line.starts_with("clock\tproblem\t")).unwrap();
    assert!(row.contains("2096-10-02") && row.contains("The clock went back"), "{row}");

    let empty = Place::new();
    std::fs::create_dir(&empty.dir).unwrap();
    let said = empty.run(&["doctor"]);
    assert!(said.code == 1 && said.text().contains("klog init"), "{said:?}");
}

/// Nothing is taken from a stopped process, so that somebody has to be told of it.
#[test]
fn the_doctor_names_a_stopped_process() {
    let place = Place::with_topic("t");
    let mut producer = producer(&place);
    wait_for_records(&place, "1");
    let signal = |signal: &str| {
        let pid = producer.id().to_string();
        assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
    };
    signal("-STOP");
    let mut said = place.run(&["doctor"]);
    // The kernel stops each of its threads when it comes by.
    while !said.text().contains("is stopped") {
        said = place.run(&["doctor"]);
    }
    let text = said.text();
    let row = text.lines().find(|line| line.starts_with("processes\t")).unwrap();
    assert!(row.contains(&format!("process {} (klog) is stopped", producer.id())), "{row}");
    assert!(row.contains("kill -CONT"), "{row}");
    signal("-CONT");
    producer.kill().unwrap();
    producer.wait().unwrap();
}

/// A holder that hangs is made by hand: the word of the lock names a handle that lives, and stays as it is.
#[test]
fn a_lock_that_is_held_for_long_is_shown_with_its_holder() {
    use std::os::unix::fs::FileExt;
    const BLOCKS_AT: u64 = 69_632;
    let place = Place::with_topic("t");
    let engine = klog::Engine::open(&place.dir).unwrap();
    assert_eq!(place.done(&["consume", "t"]), "");
    engine.admin().describe_topic("t").unwrap(); // block 0 is that of the metadata, so block 1 is that of the topic
    let handle = engine.admin().attached().unwrap().handles.remove(0);
    let word = (handle.generation & 0x7_ffff) << 12 | (handle.slot + 1);
    let memory = std::fs::File::options().write(true).open(place.dir.join(".klog.shm")).unwrap();
    memory.write_all_at(&word.to_le_bytes(), BLOCKS_AT + 256).unwrap();
    let said = place.done(&["ps"]);
    assert!(fields(&said)[1][6].contains("lock t-0"), "{said}");
    let said = place.run(&["doctor"]);
    let text = said.text();
    let row = text.lines().find(|line| line.starts_with("processes\t")).unwrap();
    let expected = format!("processes\tproblem\tprocess {} (", std::process::id());
    assert!(row.starts_with(&expected) && row.contains("has held lock t-0 for a second or longer"), "{row}");
    assert_eq!(said.code, 1);
    memory.write_all_at(&[0; 4], BLOCKS_AT + 256).unwrap();
    assert!(place.done(&["doctor"]).contains("processes\tok\t1 attached"));
    engine.close().unwrap();
}
