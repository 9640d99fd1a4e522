//! The examples, compiled by the very command that they give, and run.

use std::path::Path;
use std::process::Command;

use crate::library::{LIBRARIES, bin, repository, run};

/// Compiles an example from the top of the repository, and returns a command that runs it.
fn example(name: &str) -> Command {
    let program = bin(&format!("example-{name}"));
    let mut cc = Command::new("cc");
    cc.current_dir(repository(".")).args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-I", "include"]);
    cc.arg(format!("examples/c/{name}.c")).arg("-L").arg(&LIBRARIES.built).args(["-lklog", "-o"]).arg(&program);
    run(&mut cc);
    let mut command = Command::new(program);
    command.env("LD_LIBRARY_PATH", &LIBRARIES.built);
    command
}

fn output_of(command: &mut Command) -> String {
    String::from_utf8(run(command).stdout).expect("it prints UTF-8")
}

fn print_topic(dir: &Path, topic: &str) -> String {
    output_of(example("print_topic").arg(dir).arg(topic))
}

#[test]
fn the_first_steps_print_what_they_sent() {
    let place = tempfile::tempdir().expect("a place to write");
    let data = place.path().join("data");
    assert_eq!(
        output_of(example("first_steps").arg(&data)),
        "greetings-0 0: hello\ngreetings-0 1: from\ngreetings-0 2: C\n"
    );
    assert_eq!(print_topic(&data, "greetings"), "hello\nfrom\nC\n");
    // Again on the same directory: the records of both runs.
    assert_eq!(output_of(example("first_steps").arg(&data)).lines().count(), 6);
}

#[test]
fn the_program_of_the_readme_compiles_and_prints_what_it_sent() {
    let readme = std::fs::read_to_string(repository("README.md")).expect("the README is there");
    let (_, rest) = readme.split_once("```c\n").expect("it has a program in C");
    let (source, _) = rest.split_once("```").expect("which ends");
    let place = tempfile::tempdir().expect("a place to write");
    std::fs::write(place.path().join("greet.c"), source).expect("a file can be written");
    let mut cc = Command::new("cc");
    cc.current_dir(place.path()).args(["-std=c99", "-Wall", "-Wextra", "-Werror", "greet.c", "-o", "greet", "-I"]);
    run(cc.arg(repository("include")).arg("-L").arg(&LIBRARIES.built).arg("-lklog"));
    let mut greet = Command::new(place.path().join("greet"));
    greet.current_dir(place.path()).env("LD_LIBRARY_PATH", &LIBRARIES.built);
    assert_eq!(output_of(&mut greet), "0 hello from C\n");
    assert_eq!(print_topic(&place.path().join("data"), "greetings"), "hello from C\n");
}

#[test]
fn a_topic_is_printed_whole() {
    let place = tempfile::tempdir().expect("a place to write");
    let engine = klog::Engine::open(place.path()).expect("a directory");
    let producer = engine.producer().expect("a producer");
    let lines: Vec<String> = (0..2000).map(|number| format!("line {number} of the text")).collect();
    for line in &lines {
        producer.send("text", None, Some(line.as_bytes())).expect("a topic takes a line");
    }
    engine.close().expect("everything is written");
    assert_eq!(print_topic(place.path(), "text").lines().collect::<Vec<_>>(), lines);
}

#[test]
fn an_example_that_fails_says_why() {
    let place = tempfile::tempdir().expect("a place to write");
    let nowhere = example("print_topic").arg(place.path().join("nowhere")).arg("text").output().expect("it runs");
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("nowhere"));
    let misused = example("print_topic").output().expect("it runs");
    assert_eq!(misused.status.code(), Some(2));
    let file = place.path().join("file");
    std::fs::write(&file, "").expect("a file can be written");
    let refused = example("first_steps").arg(&file).output().expect("it runs");
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).starts_with("open: KLOG_E_IO: "));
}
