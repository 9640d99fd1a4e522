//! The first thing that klog must get right: 82 bytes.

use sha2::{Digest, Sha256};

use crate::command::{Place, names};

const SEED: &str = "4ee08df96fb5a1c1783b3d0e85dc4456133cb650b6933231c748863b11979d10";

fn seed() -> Place {
    let place = Place::with_topic("peter-overview01");
    place.done_with(&["produce", "peter-overview01", "--timestamp", "1641213117088"], b" First message\n");
    place
}

#[test]
fn the_first_message_is_82_bytes_that_kafka_would_have_written() {
    let place = seed();
    let log = std::fs::read(place.file("peter-overview01-0/00000000000000000000.log")).unwrap();
    assert_eq!(log.len(), 82);
    let hash: String = Sha256::digest(&log).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash, SEED);
}

#[test]
fn the_directory_shows_what_kafka_s_own_shows_and_nothing_else() {
    let place = seed();
    let visible = |name: &String| !name.starts_with('.');
    let found: Vec<_> = names(&place.dir).into_iter().filter(visible).collect();
    assert_eq!(
        found,
        [
            "__cluster_metadata-0",
            "cleaner-offset-checkpoint",
            "log-start-offset-checkpoint",
            "meta.properties",
            "peter-overview01-0",
            "recovery-point-offset-checkpoint",
            "replication-offset-checkpoint",
        ]
    );
    assert_eq!(
        names(&place.dir.join("peter-overview01-0")),
        [
            "00000000000000000000.index",
            "00000000000000000000.log",
            "00000000000000000000.timeindex",
            "leader-epoch-checkpoint",
            "partition.metadata",
        ]
    );
}

#[test]
fn klog_s_own_files_are_plain_dot_files() {
    let place = seed();
    for name in names(&place.dir).iter().filter(|name| name.starts_with('.')) {
        assert!(place.dir.join(name).is_file(), "{name}: a directory of that name stops a broker from starting");
        assert!(name == ".lock" || name == ".kafka_cleanshutdown" || name.starts_with(".klog."), "{name}");
    }
}

#[test]
fn a_clean_close_leaves_the_indexes_and_checkpoints_that_kafka_leaves() {
    let place = seed();
    let read = |name: &str| std::fs::read(place.file(name)).unwrap();
    assert_eq!(read("peter-overview01-0/00000000000000000000.index"), b"");
    assert_eq!(
        read("peter-overview01-0/00000000000000000000.timeindex"),
        [0x00, 0x00, 0x01, 0x7e, 0x1f, 0xec, 0xc2, 0xa0, 0, 0, 0, 0]
    );
    let watermarks = String::from_utf8(read("replication-offset-checkpoint")).unwrap();
    assert!(watermarks.lines().any(|line| line == "peter-overview01 0 1"), "{watermarks}");
}

#[test]
fn explain_accounts_for_all_82_bytes_as_21_fields_once_each() {
    let place = seed();
    let log = place.file("peter-overview01-0/00000000000000000000.log");
    let text = place.done(&["explain", &log]);
    assert!(text.ends_with("82 bytes, 21 fields\n"), "{text}");

    let fields = place.done(&["--json", "explain", &log]);
    assert_eq!(fields.lines().count(), 21);
    let mut end = 0;
    for line in fields.lines() {
        let number = |name: &str| {
            let (_, rest) = line.split_once(&format!("\"{name}\":")).unwrap();
            rest[..rest.find([',', '}']).unwrap()].parse::<u64>().unwrap()
        };
        assert_eq!(number("position"), end, "{line}");
        end += number("length");
    }
    assert_eq!(end, 82);
}
