//! Runs the command and keeps what it said.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A directory to keep logs in, which does not exist yet.
pub(crate) struct Place {
    _root: tempfile::TempDir,
    pub(crate) dir: PathBuf,
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("data");
        Place { _root: root, dir }
    }

    /// With a topic of one partition.
    pub(crate) fn with_topic(topic: &str) -> Self {
        let place = Place::new();
        place.done(&["topics", "create", topic]);
        place
    }

    /// Runs `klog -d DIR args`, with `input` on its standard input.
    pub(crate) fn run_with(&self, args: &[&str], input: &[u8]) -> Said {
        let dir = [OsStr::new("-d"), self.dir.as_os_str()];
        run(dir.into_iter().chain(args.iter().map(OsStr::new)), &[], input)
    }

    /// Runs `klog -d DIR args`.
    pub(crate) fn run(&self, args: &[&str]) -> Said {
        self.run_with(args, b"")
    }

    /// Runs what must succeed and have nothing to complain of; its output.
    pub(crate) fn done_with(&self, args: &[&str], input: &[u8]) -> String {
        self.run_with(args, input).assert_done()
    }

    /// Runs what must succeed and have nothing to complain of; its output.
    pub(crate) fn done(&self, args: &[&str]) -> String {
        self.done_with(args, b"")
    }

    /// Runs what must fail: its one sentence.
    pub(crate) fn fails(&self, args: &[&str]) -> String {
        self.run(args).assert_failed(1)
    }

    /// Begins `klog -d DIR args`, which is not waited for.
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_klog"));
        command.arg("-d").arg(&self.dir).args(args).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// As [`start`](Self::start), with an input that stays open until it is dropped.
    pub(crate) fn start_with_input(&self, args: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_klog"));
        command.arg("-d").arg(&self.dir).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    }

    pub(crate) fn file(&self, path: &str) -> String {
        self.dir.join(path).to_str().unwrap().to_owned()
    }
}

/// Runs `klog` with arguments, variables of the environment and an input.
pub(crate) fn run<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>, env: &[(&str, &str)], input: &[u8]) -> Said {
    let mut child = Command::new(env!("CARGO_BIN_EXE_klog"))
        .args(args)
        .env_remove("KLOG_DIR")
        .env_remove("NO_COLOR")
        .envs(env.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that fails early does not read its input.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    Said {
        code: output.status.code().unwrap_or(-1),
        stdout: output.stdout,
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Said {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }

    pub(crate) fn assert_done(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{self:?}");
        self.text()
    }

    /// It failed with `code`, printed no result, and said why in one line.
    pub(crate) fn assert_failed(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.text(), "");
        assert!(self.stderr.starts_with("klog: ") || self.stderr.starts_with("error: "), "{}", self.stderr);
        if self.stderr.starts_with("klog: ") {
            assert_eq!(self.stderr.lines().count(), 1, "{}", self.stderr);
        }
        self.stderr
    }
}

/// The names in a directory, in order.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
