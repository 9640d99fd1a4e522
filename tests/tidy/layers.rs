//! Which module of `core` may use which.

use std::collections::BTreeMap;

use crate::text::texts;

/// Low layers first. A module uses modules of earlier rows, never of its own row or a later one. `docs/ARCHITECTURE.md`
/// shows the same table.
const LAYERS: [&[&str]; 10] = [
    &["error"],
    &["types"],
    &["date", "sys"],
    &["shm", "record"],
    &["config", "segment"],
    &["log"],
    &["replica"],
    &["controller"],
    &["engine"],
    &["producer", "consumer", "admin", "inspect"],
];

/// The module that a file belongs to, and the modules that it names.
fn arrows() -> BTreeMap<String, Vec<(String, String)>> {
    let mut found: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for (name, text) in texts(&[".rs"]) {
        let Some(path) = name.strip_prefix("core/src/") else { continue };
        let module = path.split(['/', '.']).next().unwrap().to_owned();
        if module == "lib" {
            continue;
        }
        for piece in text.split("crate::").skip(1) {
            let end = piece.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(piece.len());
            // `$crate::` and `pub(in crate::…)` count as well.
            found.entry(module.clone()).or_default().push((piece[..end].to_owned(), name.clone()));
        }
    }
    found
}

fn layer(module: &str) -> usize {
    let row = LAYERS.iter().position(|row| row.contains(&module));
    row.unwrap_or_else(|| panic!("module {module} is in no layer"))
}

#[test]
fn modules_use_only_what_lies_below_them() {
    let arrows = arrows();
    assert!(arrows.len() > 10, "{:?}", arrows.keys());
    for (module, uses) in &arrows {
        for (used, file) in uses.iter().filter(|(used, _)| used != module && !used.is_empty()) {
            // Items of the crate's root are re-exports; macros have no module.
            if LAYERS.iter().any(|row| row.contains(&used.as_str())) {
                assert!(layer(used) < layer(module), "{file}: {module} uses {used}, which does not lie below it");
            }
        }
    }
}

#[test]
fn the_architecture_page_shows_the_same_layers() {
    let (_, page) = texts(&["docs/ARCHITECTURE.md"]).pop().expect("the page is there");
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_once(" | "))
        .filter(|(number, _)| number.parse::<usize>().is_ok())
        .map(|(_, rest)| rest.split(" | ").next().unwrap().split('`').skip(1).step_by(2).collect())
        .collect();
    assert_eq!(rows, LAYERS);
}

#[test]
fn only_the_lowest_module_speaks_to_the_operating_system() {
    let forbidden = [
        "std::fs::",
        "std::time::Instant",
        "SystemTime::now",
        "std::thread::sleep",
        "libc::pwrite",
        "libc::open",
        "rustix::",
    ];
    for (name, text) in texts(&[".rs"]).iter().filter(|(name, _)| name.starts_with("core/src/")) {
        if name.starts_with("core/src/sys/") {
            continue;
        }
        for call in forbidden {
            assert!(!text.contains(call), "{name} names {call}; that is for sys");
        }
    }
}

#[test]
fn the_test_only_mistakes_are_off_unless_asked_for() {
    for (name, text) in texts(&["Cargo.toml"]) {
        if name != "tests/Cargo.toml" && name != "core/Cargo.toml" {
            assert!(!text.contains("seeded-bugs"), "{name}");
        }
        assert!(!text.contains("default = [\"seeded-bugs\"]"), "{name}");
    }
}
