//! Where the tests get the library from, and how they compile programs against it.
//!
//! Cargo does not build a cdylib for the tests of its own package, and one that lies about may be an old one. So the tests
//! ask cargo to build it, as a user would, and take what cargo says that it has built.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

/// A path below the top of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Directories with the library as it is now.
pub(crate) struct Libraries {
    /// As it is shipped.
    pub(crate) shipped: PathBuf,
    /// The same where cargo puts it, as `target/release`: what people have who follow an example.
    pub(crate) built: PathBuf,
    /// One that panics on demand.
    pub(crate) panicking: PathBuf,
}

/// Built once. What is shipped is built last, so that it is what stays in cargo's own place.
pub(crate) static LIBRARIES: LazyLock<Libraries> = LazyLock::new(|| {
    let panicking = keep(&HOME.join("panicking"), &build(&["--features=test-panic"]));
    let files = build(&[]);
    let built = files.iter().find(|file| file.ends_with("libklog.so")).and_then(|file| file.parent());
    Libraries {
        shipped: keep(&HOME.join("shipped"), &files),
        built: built.expect("a library").to_path_buf(),
        panicking,
    }
});

fn profile() -> &'static str {
    if cfg!(debug_assertions) { "test" } else { "release" }
}

/// An empty place in the target directory, which goes with it.
static HOME: LazyLock<PathBuf> = LazyLock::new(|| {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("c-{}", profile()));
    let _ = fs::remove_dir_all(&home); // of an earlier run
    home
});

/// Has cargo build the library, in the target directory and the profile of this test. Returns the files.
fn build(options: &[&str]) -> Vec<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target directory");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--package=klog-c", "--lib", "--message-format=json-render-diagnostics"]);
    command.args(["--profile", profile(), "--target-dir"]).arg(target).args(options);
    let output = command.current_dir(repository(".")).stderr(Stdio::inherit()).output().expect("cargo can be run");
    assert!(output.status.success(), "cargo could not build the library");
    let lines = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    let messages = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("cargo writes JSON"));
    let ours = messages.filter(|message| {
        message["reason"] == "compiler-artifact"
            && message["manifest_path"] == concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")
    });
    let files: Vec<Value> = ours.filter_map(|message| message["filenames"].as_array().cloned()).flatten().collect();
    files.iter().filter_map(Value::as_str).map(PathBuf::from).collect()
}

/// Copies the libraries to where nobody builds others, with the name that the loader looks for.
fn keep(place: &Path, built: &[PathBuf]) -> PathBuf {
    fs::create_dir_all(place).expect("a place for the library");
    let is_library = |file: &&PathBuf| file.file_name().is_some_and(|name| name == "libklog.so" || name == "libklog.a");
    for file in built.iter().filter(is_library) {
        fs::copy(file, place.join(file.file_name().expect("it has a name"))).expect("the library can be copied");
    }
    assert!(place.join("libklog.so").exists(), "cargo built {built:?}");
    std::os::unix::fs::symlink("libklog.so", place.join(soname())).expect("a link");
    place.to_path_buf()
}

/// The name that programs carry of the library.
pub(crate) fn soname() -> String {
    format!("libklog.so.{}.{}", env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"))
}

/// What a library links a program with.
#[derive(Clone, Copy)]
pub(crate) enum Link {
    Shared,
    /// Shared, in a program that looks after its own memory.
    Sanitized,
    Static,
}

/// A new place for a program. Tests run side by side, and a file that is written cannot be run.
pub(crate) fn bin(name: &str) -> PathBuf {
    static PROGRAMS: AtomicUsize = AtomicUsize::new(0);
    let place = HOME.join("bin").join(PROGRAMS.fetch_add(1, Ordering::Relaxed).to_string());
    fs::create_dir_all(&place).expect("a place for programs");
    place.join(name)
}

const SANITIZERS: [&str; 2] = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

/// Whether the compiler has what [`Link::Sanitized`] needs.
pub(crate) fn has_sanitizers() -> bool {
    let source = bin("sanitized.c");
    fs::write(&source, "int main(void) { return 0; }\n").expect("a program can be written");
    let mut command = Command::new("cc");
    let status = command.args(SANITIZERS).arg(&source).arg("-o").arg(bin("sanitized")).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Compiles a C program with every warning an error, as C99.
pub(crate) fn compile(source: &Path, library: &Path, link: Link, program: &Path) {
    let mut command = Command::new("cc");
    command.args(["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-g", "-pthread"]);
    command.arg("-I").arg(repository("include")).arg(source).arg("-o").arg(program);
    if matches!(link, Link::Sanitized) {
        command.args(SANITIZERS);
    }
    match link {
        Link::Shared | Link::Sanitized => command.arg("-L").arg(library).arg("-lklog").arg(rpath(library)),
        Link::Static => command.arg(library.join("libklog.a")).args(["-lm", "-ldl"]),
    };
    run(&mut command);
}

fn rpath(library: &Path) -> String {
    format!("-Wl,-rpath,{}", library.display())
}

/// Runs a command that must succeed.
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    output
}

/// Whether there is such a command.
pub(crate) fn is_on_path(command: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|place| place.join(OsStr::new(command)).is_file())
}
