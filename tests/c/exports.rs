//! The library exports what the header declares, and nothing else.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::header::declared;
use crate::library::{LIBRARIES, run, soname};

fn exports(library: &Path) -> BTreeSet<String> {
    let output = run(Command::new("nm").args(["-D", "--defined-only"]).arg(library.join("libklog.so")));
    let lines = String::from_utf8(output.stdout).expect("symbols are ASCII");
    lines.lines().filter_map(|line| line.split_whitespace().nth(2)).map(str::to_owned).collect()
}

#[test]
fn the_library_exports_what_the_header_declares() {
    assert_eq!(exports(&LIBRARIES.shipped), declared().into_iter().collect());
}

#[test]
fn only_the_library_for_tests_can_panic_on_demand() {
    let mut expected: BTreeSet<String> = declared().into_iter().collect();
    expected.insert("klog_test_panic".to_owned());
    assert_eq!(exports(&LIBRARIES.panicking), expected);
}

#[test]
fn the_library_is_known_by_its_soname_and_stays_loaded() {
    let output = run(Command::new("readelf").args(["-d", "-W"]).arg(LIBRARIES.shipped.join("libklog.so")));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains(&format!("Library soname: [{}]", soname())), "{text}");
    assert!(text.contains("NODELETE"), "a thread may be running in it when a program unloads it: {text}");
}
