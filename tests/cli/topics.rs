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
fn partitions_only_become_more() {
    let place = Place::new();
    place.done(&["topics", "create", "t", "--partitions", "2"]);
    place.done_with(&["produce", "t", "-p", "1"], b"one\n");
    let said = place.run(&["topics", "alter", "t", "--partitions", "4"]);
    assert_eq!((said.code, said.text().as_str()), (0, ""));
    assert_eq!(
        said.stderr,
        "klog: note: 't' has 4 partitions now; records with keys go to other partitions than before\n"
    );
    assert!(["t-0", "t-1", "t-2", "t-3"].iter().all(|name| names(&place.dir).contains(&(*name).to_owned())));
    assert_eq!(place.done(&["consume", "t"]), "one\n");
    for (total, what) in [("1", "has 4 partitions and cannot have 1"), ("4", "already has 4 partitions")] {
        let said = place.fails(&["topics", "alter", "t", "--partitions", total]);
        assert!(said.contains(what), "{said}");
    }
}

#[test]
fn a_topic_is_altered_as_told_or_not_at_all() {
    let place = Place::with_topic("t");
    let both = ["topics", "alter", "t", "--partitions", "3", "--config", "retention.ms=60000", "--json"];
    assert!(place.run(&both).text().contains(r#""retention.ms":"60000""#));
    place.done(&["topics", "alter", "t", "--delete-config", "retention.ms"]);
    assert!(place.done(&["topics", "describe", "t"]).lines().next().unwrap().ends_with("Configs: "));
    let said = place.fails(&["topics", "alter", "t", "--partitions", "5", "--config", "retention.ms=x"]);
    assert!(said.contains("retention.ms is 'x'"), "{said}");
    assert_eq!(place.done(&["offsets", "t"]).lines().count(), 1 + 3, "no partition was added");
    let said = place.run(&["topics", "alter", "t"]).assert_failed(2);
    assert!(said.contains("nothing to alter"), "{said}");
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
