//! The other process, and what it says.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running child.
pub(crate) struct Other {
    child: Child,
    /// Closing it tells the child to end.
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Other {
    /// Starts the child with a task in a directory.
    pub(crate) fn start(task: &str, dir: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_klog-test-child"))
            .arg(task)
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let input = child.stdin.take();
        Other { child, input, lines }
    }

    /// The next line that it says.
    pub(crate) fn line(&mut self) -> Option<String> {
        self.lines.next().map(Result::unwrap)
    }

    /// Everything that it still says, until it ends by itself.
    pub(crate) fn rest(mut self) -> Vec<String> {
        let rest = self.lines.by_ref().map(Result::unwrap).collect();
        assert!(self.child.wait().unwrap().success());
        rest
    }

    /// Kills it, as `kill -9` does, and waits until it is gone. It must not have ended by itself.
    pub(crate) fn kill(&mut self) {
        assert_eq!(self.child.try_wait().unwrap(), None, "it ended before it was killed");
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Tells it to end by itself.
    pub(crate) fn end(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }

    /// Its process number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it had said before it was killed and nobody has read. A last line without an end was never said.
    pub(crate) fn last_words(self) -> Vec<String> {
        let Other { lines, input, .. } = self;
        drop(input);
        let mut text = String::new();
        for line in lines {
            text.push_str(&line.unwrap());
            text.push('\n');
        }
        text.lines().map(str::to_owned).collect()
    }
}
