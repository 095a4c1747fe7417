//! A program that runs: its lines, its log, and its end.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// Nothing is as slow as this: a program that says nothing for so long hangs, and the test says so
/// instead of hanging as well.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// A running program; it is killed when this is dropped.
pub struct Process {
    child: Child,
    lines: Receiver<String>,
    log: Arc<Mutex<String>>,
    log_reader: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts a program with pipes for what it writes.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (sender, lines) = channel();
        let out = child.stdout.take().expect("it was asked for");
        thread::spawn(move || {
            // It ends with the pipe, or with whoever wanted to read.
            let mut lines = BufReader::new(out).lines().map_while(Result::ok);
            let _ = lines.try_for_each(|line| sender.send(line));
        });
        let log = Arc::new(Mutex::new(String::new()));
        let error = child.stderr.take().expect("it was asked for");
        let kept = Arc::clone(&log);
        let log_reader = Some(thread::spawn(move || keep(error, &kept)));
        Self {
            child,
            lines,
            log,
            log_reader,
        }
    }

    /// Starts a program, reads the first line of its output, and then listens no more: its pipes
    /// are closed.
    ///
    /// # Panics
    /// If it cannot be started, or says nothing.
    #[must_use]
    pub fn unheard(command: &mut Command) -> (Self, String) {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut first = String::new();
        let out = child.stdout.take().expect("it was asked for");
        BufReader::new(out)
            .read_line(&mut first)
            .expect("a pipe can be read");
        drop(child.stderr.take());
        let process = Self {
            child,
            lines: channel().1,
            log: Arc::default(),
            log_reader: None,
        };
        (process, first)
    }

    /// The next line of its output that `is_it` takes.
    ///
    /// # Panics
    /// If the program ends or hangs before it says so.
    pub fn line(&mut self, is_it: impl Fn(&str) -> bool) -> String {
        loop {
            match self.lines.recv_timeout(HANGS_AFTER) {
                Ok(line) if is_it(&line) => return line,
                Ok(_) => {}
                Err(why) => panic!("no such line: {why}\n{}", self.log()),
            }
        }
    }

    /// The next line of its output; none when it has ended.
    ///
    /// # Panics
    /// If it hangs.
    pub fn next_line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(HANGS_AFTER) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("it says nothing\n{}", self.log()),
        }
    }

    /// What it has written to its log so far; all of it once it has ended.
    #[must_use]
    pub fn log(&self) -> String {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it has had resident, in KiB.
    ///
    /// # Panics
    /// If it has ended.
    #[must_use]
    pub fn resident_kib_max(&self) -> u64 {
        resident_kib(self.id(), "VmHWM:")
    }

    /// The memory that it has resident now, in KiB.
    ///
    /// # Panics
    /// If it has ended.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        resident_kib(self.id(), "VmRSS:")
    }

    /// Asks it to end (SIGTERM).
    ///
    /// # Panics
    /// If there is no such process any more.
    pub fn terminate(&self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process has a number"), Signal::TERM).expect("it runs");
    }

    /// Asks it to read its configuration again (SIGHUP).
    ///
    /// # Panics
    /// If there is no such process any more.
    pub fn hang_up(&self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process has a number"), Signal::HUP).expect("it runs");
    }

    /// Ends it without warning, as a power failure would (SIGKILL).
    ///
    /// # Panics
    /// If it has ended before by itself.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        let status = self.wait();
        assert!(
            status.code().is_none(),
            "it ended by itself with {status}\n{}",
            self.log()
        );
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If the system cannot tell.
    pub fn wait(&mut self) -> ExitStatus {
        let status = self.child.wait().expect("a child can be waited for");
        if let Some(reader) = self.log_reader.take() {
            reader.join().expect("the log's reader does not panic");
        }
        status
    }

    /// Waits for its end and gives the rest of its output and its whole log.
    pub fn finish(mut self) -> (ExitStatus, Vec<String>, String) {
        let status = self.wait();
        (status, self.lines.iter().collect(), self.log())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resident_kib(process: u32, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|found| found.strip_prefix(line));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number
        .and_then(|number| number.parse().ok())
        .expect("the kernel counts")
}

fn keep(from: impl Read, log: &Mutex<String>) {
    for line in BufReader::new(from).lines().map_while(Result::ok) {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.push_str(&line);
        log.push('\n');
    }
}
