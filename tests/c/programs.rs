//! Every program of this folder, compiled and run.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::library::{LIBRARIES, Link, bin, compile, has_sanitizers, is_on_path, repository, run};

/// How many seconds a program may take: one that hangs fails its test, and the others go on.
const SECONDS: &str = "300";

fn source(name: &str) -> PathBuf {
    repository(&format!("tests/c/{name}.c"))
}

fn place() -> TempDir {
    tempfile::tempdir().expect("a place to write")
}

/// Says what was not tested, past the harness, which keeps what tests print to itself.
fn skipped(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("the line can be written");
}

/// A command that is ended when it hangs, with all its children, and leaves a core where the system keeps them.
fn limited(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--signal=ABRT", "--kill-after=10", SECONDS]).arg(program);
    command
}

/// Runs a program, which must end well and say nothing but what it skipped.
fn run_silently(command: &mut Command) {
    // Cargo lets its tests find libraries of its own; a program is to find the one that it was linked with.
    let output = run(command.env_remove("LD_LIBRARY_PATH"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter(|line| line.starts_with("SKIPPED: ")).for_each(skipped);
    let rest: Vec<&str> = text.lines().filter(|line| !line.starts_with("SKIPPED: ")).collect();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(rest.is_empty() && errors.is_empty(), "{command:?} says {rest:?} and {errors:?}");
}

/// Compiles a program against the shared library.
fn compiled(name: &str) -> PathBuf {
    let program = bin(name);
    compile(&source(name), &LIBRARIES.shipped, Link::Shared, &program);
    program
}

/// Compiles a program of this folder and runs it with an empty place to write.
fn check(name: &str) {
    let place = place();
    run_silently(limited(compiled(name)).arg(place.path()));
}

#[test]
fn statuses_and_errors() {
    check("status");
}

#[test]
fn settings_by_name() {
    check("config");
}

#[test]
fn engines() {
    check("engine");
}

#[test]
fn topics_and_partitions() {
    check("topic");
}

#[test]
fn segments_batches_and_directories() {
    check("inspect");
}

/// A place with a directory as brokers with ZooKeeper left them.
fn place_of_the_zookeeper_era() -> TempDir {
    let place = place();
    run(Command::new("tar")
        .arg("-xzf")
        .arg(repository("tests/data/golden/seed-era.tar.gz"))
        .arg("-C")
        .arg(place.path()));
    place
}

#[test]
fn directories_of_the_zookeeper_era_are_adopted() {
    let place = place_of_the_zookeeper_era();
    run_silently(limited(compiled("adopt")).arg(place.path()));
}

#[test]
fn producers() {
    check("producer");
}

#[test]
fn consumers_and_batches() {
    check("consumer");
}

#[test]
fn null_in_every_place() {
    check("nulls");
}

#[test]
fn handles_freed_in_every_order() {
    check("frees");
}

#[test]
fn threads() {
    check("threads");
}

#[test]
fn other_processes() {
    check("process");
}

#[test]
fn a_process_that_holds_a_lock_for_too_long_is_named() {
    check("held");
}

/// A campaign asks for more of them, at other moments: `KLOG_TEST_FORKS=1000 KLOG_TEST_SEED=2`. The seed of a run that fails is
/// the last argument of the program, which is shown.
#[test]
fn children_forked_under_load() {
    let (program, place) = (compiled("forks"), place());
    let number = |name: &str, default: u32| std::env::var(name).ok().and_then(|it| it.parse().ok()).unwrap_or(default);
    let (forks, seed) = (number("KLOG_TEST_FORKS", 100), number("KLOG_TEST_SEED", 1));
    run_silently(limited(program).arg(place.path()).args([forks.to_string(), seed.to_string()]));
}

#[test]
fn a_disk_that_does_not_flush() {
    check("flush");
}

#[test]
fn a_panic_never_crosses() {
    let (program, place) = (bin("panic"), place());
    compile(&source("panic"), &LIBRARIES.panicking, Link::Shared, &program);
    run_silently(limited(program).arg(place.path()));
}

#[test]
fn the_static_library_does_the_same() {
    for name in ["producer", "consumer", "threads"] {
        let (program, place) = (bin(&format!("{name}-static")), place());
        compile(&source(name), &LIBRARIES.shipped, Link::Static, &program);
        run_silently(limited(program).arg(place.path()));
    }
}

#[test]
fn the_seed_is_the_bytes_that_kafka_writes() {
    let place = place();
    run_silently(limited(compiled("seed")).arg(place.path()));
    let log = place.path().join("data/peter-overview01-0/00000000000000000000.log");
    let bytes = fs::read(log).expect("the segment is there");
    assert_eq!(bytes.len(), 82);
    let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash, "4ee08df96fb5a1c1783b3d0e85dc4456133cb650b6933231c748863b11979d10");
}

/// Memory that is used after it was freed, read before it was written, or never given back.
#[test]
fn valgrind_finds_nothing() {
    if !is_on_path("valgrind") {
        skipped("SKIPPED: leaks and wrong reads of the C interface: valgrind is not installed");
        return;
    }
    for name in ["nulls", "producer", "consumer", "inspect", "process"] {
        let (program, place) = (bin(&format!("{name}-valgrind")), place());
        compile(&source(name), &LIBRARIES.shipped, Link::Shared, &program);
        let mut valgrind = limited("valgrind");
        valgrind.args(["--quiet", "--error-exitcode=99"]);
        // A child has what its parent's other threads had on their stacks, and nobody to give it back.
        if name == "process" {
            valgrind.arg("--leak-check=no");
        } else {
            valgrind.args(["--leak-check=full", "--show-leak-kinds=definite,indirect"]);
            valgrind.arg("--errors-for-leak-kinds=definite,indirect");
        }
        valgrind.arg(program).arg(place.path());
        run_silently(&mut valgrind);
    }
}

/// The same from the program's side: a pointer that klog took back or gave too short. Leaks are valgrind's, and so are
/// children: the allocator of gcc 12's sanitizer keeps a lock at a fork that another thread held, and the child waits for ever.
#[test]
fn sanitizers_find_nothing() {
    if !has_sanitizers() {
        skipped("SKIPPED: sanitized programs with the C interface: cc has no sanitizers");
        return;
    }
    for name in
        ["adopt", "config", "consumer", "engine", "frees", "inspect", "nulls", "producer", "status", "threads", "topic"]
    {
        let program = bin(&format!("{name}-sanitized"));
        let place = if name == "adopt" { place_of_the_zookeeper_era() } else { place() };
        compile(&source(name), &LIBRARIES.shipped, Link::Sanitized, &program);
        run_silently(limited(program).arg(place.path()).env("ASAN_OPTIONS", "detect_leaks=0"));
    }
}
