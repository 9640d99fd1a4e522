//! What documents and sources must and must not say.

use crate::text::{files, root, texts};

#[test]
fn links_between_documents_lead_somewhere() {
    let mut links = 0;
    for (name, text) in texts(&[".md"]) {
        let dir = root().join(&name).parent().unwrap().to_owned();
        for piece in text.split("](").skip(1) {
            let target = piece.split([')', '#', ' ']).next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            assert!(dir.join(target).exists(), "{name} links to {target}, which is not there");
            links += 1;
        }
    }
    assert!(links > 10, "{links} links");
}

#[test]
fn nothing_is_left_open() {
    // Put together here, so that this file does not find itself.
    let open =
        [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["todo", "!("].concat(), ["unimplemented", "!("].concat()];
    let ignored = ["#[", "ignore"].concat();
    for (name, text) in texts(&[".rs", ".py", ".pyi", ".c", ".h", ".md", ".toml", "Makefile"]) {
        for word in open.iter().chain([&ignored]) {
            assert!(!text.contains(word), "{name} contains {word}");
        }
    }
}

#[test]
fn tests_do_not_sleep() {
    let sleeps = [["thread::", "sleep"].concat(), ["time.", "sleep("].concat(), ["us", "leep("].concat()];
    for (name, text) in texts(&[".rs", ".py", ".c"]).iter().filter(|(name, _)| name.starts_with("tests/")) {
        for sleep in &sleeps {
            assert!(!text.contains(sleep) || text.contains("forbidden"), "{name} contains {sleep}");
        }
    }
}

#[test]
fn every_format_of_a_file_has_a_page() {
    let pages = files();
    for page in [
        "segment",
        "offset-index",
        "time-index",
        "transaction-index",
        "producer-snapshot",
        "leader-epoch-checkpoint",
        "offset-checkpoints",
        "partition-metadata",
        "meta-properties",
        "metadata-log",
        "clean-shutdown",
        "locks",
        "spare",
        "cut",
    ] {
        assert!(pages.contains(&format!("docs/formats/{page}.md")), "{page} has no page");
    }
}

/// The clauses of the contract and the tests that bear their numbers.
#[test]
fn every_clause_of_the_contract_has_a_test_with_its_number() {
    let (_, page) = texts(&["docs/durability.md"]).pop().expect("the page is there");
    let clauses =
        page.lines().filter(|line| line.split_once(". **").is_some_and(|(n, _)| n.parse::<u8>().is_ok())).count();
    assert_eq!(clauses, 13);
    let tests: String = texts(&[".rs"])
        .into_iter()
        .filter(|(name, _)| name.starts_with("tests/contract/"))
        .map(|(_, text)| text)
        .collect();
    for clause in 1..=clauses {
        assert!(tests.contains(&format!("fn contract_{clause:02}_")), "clause {clause} has no test");
    }
}
