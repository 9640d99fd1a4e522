//! The other processes of a row: this program once more, with a task. They talk in lines.

use std::fmt::Display;
use std::io::{self, BufRead, BufReader, Lines, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio, exit};
use std::str::FromStr;

use crate::Result;

/// What the first argument is for somebody with a task.
const SIGN: &str = "--task";
const READY: &str = "ready";

/// A running child. It is told to end, and waited for, when this goes.
pub(crate) struct Other {
    child: Child,
    /// Closing it tells the child to end.
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Other {
    /// Starts a child, and waits until it is ready.
    pub(crate) fn start(task: &str, arguments: &[&dyn Display]) -> Result<Other> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([SIGN, task])
            .args(arguments.iter().map(ToString::to_string))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("the child has no output")?;
        let input = child.stdin.take();
        let mut other = Other { child, input, lines: BufReader::new(output).lines() };
        match other.line()?.as_str() {
            READY => Ok(other),
            line => Err(format!("a child said '{line}' and should be ready").into()),
        }
    }

    /// Has it begin what is measured, or go on where it [waits](wait).
    pub(crate) fn begin(&mut self) -> Result<()> {
        let input = self.input.as_mut().ok_or("the child has no input")?;
        Ok(input.write_all(b"begin\n")?)
    }

    /// What it came to.
    pub(crate) fn numbers(&mut self) -> Result<Vec<f64>> {
        let line = self.line()?;
        let numbers: Option<Vec<f64>> = line.split(' ').map(|word| word.parse().ok()).collect();
        Ok(numbers.ok_or(line)?) // what is no number says what went wrong
    }

    fn line(&mut self) -> Result<String> {
        Ok(self.lines.next().ok_or("a child ended before it was told to")??)
    }

    /// Its process number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, as `kill -9` does.
    pub(crate) fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill()?)
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait(); // whoever is gone already is waited for as well
    }
}

/// What a child is to do.
pub(crate) struct Task {
    pub(crate) name: String,
    arguments: Vec<String>,
}

impl Task {
    /// The task of this process, if it is somebody's child.
    pub(crate) fn from_command_line() -> Option<Task> {
        let mut words = std::env::args().skip(1);
        words.next().filter(|word| word == SIGN)?;
        Some(Task { name: words.next()?, arguments: words.collect() })
    }

    /// An argument that is a number, or anything else that can be read from text.
    pub(crate) fn argument<T: FromStr>(&self, index: usize) -> Result<T> {
        let text = self.arguments.get(index).ok_or("the task lacks an argument")?;
        text.parse().map_err(|_| format!("the task cannot be done with '{text}'").into())
    }

    /// The directory or the file that the task is about: its first argument.
    pub(crate) fn path(&self) -> Result<PathBuf> {
        self.argument(0)
    }
}

/// Says that everything is prepared, and waits for the word to begin.
pub(crate) fn wait_to_begin() -> Result<()> {
    tell(READY)?;
    wait()
}

/// Waits for a word of the parent's.
pub(crate) fn wait() -> Result<()> {
    let mut word = String::new();
    match io::stdin().lock().read_line(&mut word)? {
        0 => exit(1), // the parent is gone
        _ => Ok(()),
    }
}

/// Says what it came to, and goes when the parent wants that: without closing anything, which may take its time.
pub(crate) fn end_with(numbers: &[f64]) -> Result<()> {
    let words: Vec<String> = numbers.iter().map(f64::to_string).collect();
    tell(&words.join(" "))?;
    io::stdin().lock().read_to_end(&mut Vec::new())?;
    exit(0)
}

/// One line, in one write.
fn tell(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes())?;
    Ok(out.flush()?)
}
