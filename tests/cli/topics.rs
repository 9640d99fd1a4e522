//! `klog init` and `klog topics`.

use crate::command::{Place, names};

#[test]
fn init_makes_a_directory_and_a_second_init_changes_nothing() {
    let place = Place::new();
    let first = place.done(&["init"]);
    let id = std::fs::read_to_string(place.file("meta.properties")).unwrap();
    assert!(id.contains("cluster.id=") && id.contains("node.id=1"), "{id}");
    assert_eq!(place.done(&["init"]), first);
    assert_eq!(std::fs::read_to_string(place.file("meta.properties")).unwrap(), id);
}

#[test]
fn a_topic_is_created_listed_described_and_deleted() {
    let place = Place::new();
    assert_eq!(place.done(&["topics", "create", "t", "--partitions", "3", "--config", "retention.ms=60000"]), "");
    let list = place.done(&["topics", "list"]);
    let lines: Vec<_> = list.lines().map(|line| line.split('\t').collect::<Vec<_>>()).collect();
    assert_eq!(lines[0], ["Topic", "PartitionCount", "ReplicationFactor", "TopicId"]);
    assert_eq!(lines[1][..3], ["t", "3", "1"]);
    assert_eq!(lines[1][3].len(), 22, "an id as Kafka writes it");

    let described = place.done(&["topics", "describe", "t"]);
    let mut lines = described.lines();
    let first = lines.next().unwrap();
    assert!(first.starts_with("Topic: t\t") && first.ends_with("Configs: retention.ms=60000"), "{first}");
    let headings: Vec<_> = lines.next().unwrap().split('\t').collect();
    assert_eq!(headings[..4], ["Partition", "Leader", "Replicas", "Isr"]);
    assert_eq!(lines.map(|line| line.split('\t').next().unwrap()).collect::<Vec<_>>(), ["0", "1", "2"]);

    assert_eq!(place.done(&["topics", "delete", "t"]), "");
    assert_eq!(place.done(&["topics", "list"]).lines().count(), 1, "the heading");
    assert!(!names(&place.dir).contains(&"t-0".to_owned()));
}

#[test]
fn a_topic_is_made_once() {
    let place = Place::with_topic("t");
    let said = place.fails(&["topics", "create", "t"]);
    assert!(said.contains("'t'"), "{said}");
    place.done(&["topics", "create", "t", "--if-not-exists"]);
    let said = place.fails(&["topics", "delete", "tt"]);
    assert!(said.contains("did you mean 't'"), "{said}");
}

#[test]
fn compaction_is_refused_until_it_is_there() {
    let place = Place::new();
    let said = place.fails(&["topics", "create", "t", "--config", "cleanup.policy=compact"]);
    assert!(said.contains("compact") && said.contains("not supported"), "{said}");
}

#[test]
fn each_line_of_json_is_an_object_of_its_own() {
    let place = Place::with_topic("t");
    for args in [&["--json", "topics", "list"][..], &["--json", "topics", "describe"], &["topics", "list", "--json"]] {
        let said = place.done(args);
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.starts_with("{\"name\":\"t\""), "{said}");
    }
}
