//! The other processes, and what they say.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// Whoever says nothing for so long is stuck. Processes that are given little time on a busy machine are not.
pub(crate) const STUCK: Duration = Duration::from_secs(60);

/// A running child. Killed when it goes.
pub(crate) struct Other {
    child: Child,
    /// Closing it tells the child to end.
    input: Option<ChildStdin>,
    lines: Option<Receiver<String>>,
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The child program with a task in a directory; what else it is told is `name=value`.
pub(crate) fn command(task: &str, dir: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_klog-test-child"));
    command.arg(task).arg(dir).args(options);
    command
}

/// Reads what a child says on a thread, and hands every line to `take`; then nothing, when it has ended.
fn listen(child: &mut Child, mut take: impl FnMut(Option<String>) + Send + 'static) {
    let mut output = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        loop {
            let mut line = String::new();
            // A line without an end was never said.
            match output.read_line(&mut line) {
                Ok(_) if line.ends_with('\n') => take(Some(line.trim_end().to_owned())),
                _ => return take(None),
            }
        }
    });
}

/// What all threads of a process are doing, as far as a debugger is there to say.
pub(crate) fn stacks_of(pid: u32) -> String {
    let gdb = Command::new("gdb").args(["-p", &pid.to_string(), "-batch", "-ex", "thread apply all bt"]).output();
    match gdb {
        Ok(said) => String::from_utf8_lossy(&said.stdout)
            .lines()
            .filter(|l| l.starts_with('#') || l.contains("Thread"))
            .fold(String::new(), |text, line| text + line + "\n"),
        Err(error) => format!("no stacks: {error}"),
    }
}

impl Other {
    /// Starts the child with a task in a directory.
    pub(crate) fn start(task: &str, dir: &Path) -> Self {
        Other::begin(command(task, dir, &[]))
    }

    /// Starts a child that does what it is told.
    pub(crate) fn servant(dir: &Path, options: &[&str]) -> Self {
        Other::begin(command("obey", dir, options))
    }

    /// As [`servant`](Self::servant), with the directory open.
    pub(crate) fn opened(dir: &Path, options: &[&str]) -> Self {
        let mut other = Other::servant(dir, options);
        other.does("open");
        other
    }

    pub(crate) fn begin(command: Command) -> Self {
        let (tell, lines) = channel();
        let mut other = Other::begin_telling(command, move |line| drop(line.map(|line| tell.send(line))));
        other.lines = Some(lines);
        other
    }

    /// Starts a child whose lines go to `take`, followed by nothing when it has ended.
    pub(crate) fn begin_telling(mut command: Command, take: impl FnMut(Option<String>) + Send + 'static) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        listen(&mut child, take);
        let input = child.stdin.take();
        Other { child, input, lines: None }
    }

    /// The next line that it says; nothing when it has ended.
    pub(crate) fn line(&mut self) -> Option<String> {
        match self.line_within(STUCK) {
            Ok(line) => line,
            Err(()) => panic!("process {} is stuck:\n{}", self.child.id(), stacks_of(self.child.id())),
        }
    }

    /// As [`line`](Self::line), or an error when it says nothing for so long.
    pub(crate) fn line_within(&mut self, time: Duration) -> Result<Option<String>, ()> {
        match self.lines.as_ref().unwrap().recv_timeout(time) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => Err(()),
        }
    }

    /// Tells it something.
    pub(crate) fn tell(&mut self, line: &str) {
        // One who is dead by now is found to be.
        let _ = self.input.as_mut().unwrap().write_all(format!("{line}\n").as_bytes());
    }

    /// Tells it something, and waits for the answer.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.tell(line);
        self.line().unwrap_or_else(|| panic!("it died of '{line}'"))
    }

    /// Has it do something, which works; what it answers.
    pub(crate) fn does(&mut self, line: &str) -> String {
        let answer = self.ask(line);
        match answer.strip_prefix("ok") {
            Some(rest) => rest.trim_start().to_owned(),
            None => panic!("'{line}': {answer}"),
        }
    }

    /// It dies at that point, by what it was told.
    pub(crate) fn dies_at(mut self, point: &str) {
        let line = self.line();
        assert!(line.as_ref().is_some_and(|line| line.starts_with(&format!("at {point} "))), "{point}: {line:?}");
        assert_eq!(self.line(), None, "{point}: it goes on");
        assert_eq!(self.child.wait().unwrap().signal(), Some(libc::SIGKILL), "{point}");
    }

    /// It stops at that point, by what it was told.
    #[allow(
        unsafe_code,
        reason = "waiting until it has stopped: what has it go on is lost on one that only says that it stops"
    )]
    pub(crate) fn stops_at(&mut self, point: &str) {
        let line = self.line();
        assert!(line.as_ref().is_some_and(|line| line.starts_with(&format!("at {point} "))), "{point}: {line:?}");
        // SAFETY: an all-zero siginfo_t is a valid object to be filled.
        let mut found: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let what = libc::WSTOPPED | libc::WEXITED | libc::WNOWAIT;
        // SAFETY: `found` outlives the call; our own child stays to be waited for.
        let result = unsafe { libc::waitid(libc::P_PID, self.child.id(), &raw mut found, what) };
        assert_eq!((result, found.si_code), (0, libc::CLD_STOPPED), "{point}");
    }

    /// Has it go on.
    #[allow(unsafe_code, reason = "a signal")]
    pub(crate) fn goes_on(&self) {
        // SAFETY: a signal to our own child, which we have not waited for.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGCONT) };
    }

    /// Everything that it still says, until it ends by itself.
    pub(crate) fn rest(mut self) -> Vec<String> {
        let rest = std::iter::from_fn(|| self.line()).collect();
        assert!(self.child.wait().unwrap().success());
        rest
    }

    /// Kills it, as `kill -9` does, and waits until it is gone. It must not have ended by itself.
    pub(crate) fn kill(&mut self) {
        assert_eq!(self.child.try_wait().unwrap(), None, "it ended before it was killed");
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// As [`kill`](Self::kill), of one that may be dead, and without waiting.
    pub(crate) fn kill_at_once(&mut self) {
        let _ = self.child.kill();
    }

    /// How it ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Tells it to end by itself.
    pub(crate) fn ask_to_end(&mut self) {
        drop(self.input.take());
    }

    /// Tells it to end by itself, and waits until it has.
    pub(crate) fn end(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }

    /// Its process number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

/// Something that one of many children said; nothing when it has ended.
pub(crate) type Said = (u64, Option<String>);

/// Has a child tell a crowd what it says.
pub(crate) fn join(crowd: &Sender<Said>, id: u64, command: Command) -> Other {
    let crowd = crowd.clone();
    Other::begin_telling(command, move |line| drop(crowd.send((id, line))))
}
