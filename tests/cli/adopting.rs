//! `klog adopt`.

use std::fs;

use crate::command::{Place, names};

/// A directory as a broker with ZooKeeper leaves it: no metadata log, no topic ids.
fn zookeeper_era() -> Place {
    let place = Place::new();
    place.done(&["topics", "create", "t", "--partitions", "2"]);
    place.done_with(&["produce", "t", "-p", "1"], b"kept\n");
    for name in names(&place.dir) {
        let path = place.dir.join(&name);
        match name.as_str() {
            "__cluster_metadata-0" => fs::remove_dir_all(path).unwrap(),
            "meta.properties" => fs::write(path, "version=0\nbroker.id=7\ncluster.id=old\n").unwrap(),
            name if name.starts_with("t-") => fs::remove_file(path.join("partition.metadata")).unwrap(),
            _ => {}
        }
    }
    place
}

#[test]
fn a_directory_of_the_zookeeper_era_is_written_after_it_was_adopted() {
    let place = zookeeper_era();
    let refused = place.run_with(&["produce", "t"], b"too early\n").assert_failed(1);
    assert!(refused.contains("until it is adopted; 'klog adopt' does that"), "{refused}");
    assert_eq!(place.done(&["consume", "t"]), "kept\n");
    let said = place.done(&["adopt", "--retention-ms", "-1"]);
    assert!(said.contains("broker 7 of cluster old, topics: 1, partitions: 2; the metadata was written"), "{said}");
    place.done_with(&["produce", "t", "-p", "1"], b"added\n");
    assert_eq!(place.done(&["consume", "t"]), "kept\nadded\n");
    assert_eq!(place.done(&["verify"]).lines().count(), 1);
    let again = place.done(&["adopt", "--retention-ms", "86400000"]);
    assert!(!again.contains("the metadata was written"), "{again}");
    assert!(place.done(&["configs"]).contains("log.retention.ms\t86400000\t"));
}

/// Adopting wrote the metadata, opened the directory as its own, and removed what a broker was about to remove.
#[test]
fn what_waits_for_its_removal_is_left_alone() {
    let (place, waiting) = (zookeeper_era(), "old-0.0123456789abcdef0123456789abcdef-delete");
    let segment = place.file(&format!("{waiting}/00000000000000000000.log"));
    fs::create_dir(place.file(waiting)).unwrap();
    fs::write(&segment, b"bytes").unwrap();
    let said = place.done(&["--json", "adopt", "--retention-ms", "-1"]);
    assert!(said.contains(&format!("\"leftAlone\":[\"{waiting}\"]")), "{said}");
    assert_eq!(fs::read(segment).unwrap(), b"bytes");
}

#[test]
fn what_is_not_adopted_stays_as_it_is() {
    let place = zookeeper_era();
    fs::remove_dir_all(place.file("t-0")).unwrap();
    let before = names(&place.dir);
    let said = place.fails(&["adopt", "--retention-ms", "-1"]);
    assert!(said.contains("topic 't' has no partition 0 here"), "{said}");
    assert!(place.fails(&["adopt", "--retention-ms", "-2"]).contains("-2"));
    assert_eq!(names(&place.dir), before);
    assert!(place.run(&["adopt"]).assert_failed(2).contains("--retention-ms <MS>"));
}
