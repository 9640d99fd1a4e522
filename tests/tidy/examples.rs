//! The examples in Rust; those in C are run by the tests of the C binding, those in Python by the tests of that one.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::text::root;

/// Builds an example, and runs it in an empty directory, which goes with the first of the results.
fn run(example: &str, times: usize) -> (tempfile::TempDir, Vec<String>) {
    let program = build(example);
    let dir = tempfile::tempdir().unwrap();
    let run = |_| {
        let output = Command::new(&program).current_dir(dir.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let printed = (0..times).map(run).collect();
    (dir, printed)
}

fn build(example: &str) -> PathBuf {
    // The directory that this test was built in: target/PROFILE/deps.
    let profile = Path::new(&std::env::current_exe().unwrap()).parent().unwrap().parent().unwrap().to_owned();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).args(["build", "--quiet", "-p", "klog", "--example", example]);
    cargo.arg("--target-dir").arg(profile.parent().unwrap());
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().unwrap().success());
    profile.join("examples").join(example)
}

#[test]
fn the_program_of_the_readme_is_the_example_and_prints_what_it_sent() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let example = std::fs::read_to_string(root().join("examples/rust/greetings.rs")).unwrap();
    let (_, program) = example.split_once("\n\n").unwrap();
    assert!(readme.contains(&format!("```rust\n{program}```")), "README.md shows examples/rust/greetings.rs");
    let (_dir, printed) = run("greetings", 1);
    let line = format!("0 {:?} {:?}\n", Some(b"rs"), Some(b"hello from Rust"));
    assert_eq!(printed, [line]);
}

#[test]
fn the_first_steps_can_be_taken_twice() {
    let (_dir, printed) = run("first_steps", 2);
    assert!(printed[0].contains("\n101 records\n"), "{printed:?}");
    assert!(printed[1].contains("\n202 records\n"), "{printed:?}");
    assert!(printed[0].contains("refused: there is no topic 'order'; did you mean 'orders'?"), "{printed:?}");
}
