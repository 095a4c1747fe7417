//! The extractor: a process of the site's choice that makes embeddings of a photo. It is started
//! for each photo, reads it from its standard input, answers on its standard output, and ends.
//! `console/EXTRACTOR.md` describes the two messages.
//!
//! It is not trusted: what it says is parsed as a stranger's, it has its own process group, no
//! environment, a limit of memory and processor time, may write no file, and is killed with all its
//! children when its time is over. The photo is in memory only, and zeroed when it answers.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cardea_engine::Embedding;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};
use zeroize::Zeroizing;

use crate::config::Extractor;
use crate::limits::{EMBEDDING_BYTES, PHOTO_BYTES_MAX, PHOTO_FACES_MAX};
use crate::store::EnrolmentOutcome;

/// Sets limits and becomes the program it is given; of util-linux, which every Debian has.
const LIMITER: &str = "/usr/bin/prlimit";
/// How it ends if there is no such program, or it may not be run: a shell's custom.
const NOT_FOUND: i32 = 127;
const NOT_RUNNABLE: i32 = 126;

const REQUEST_MAGIC: &[u8; 4] = b"CXQ1";
const ANSWER_MAGIC: &[u8; 4] = b"CXA1";
const HEAD_BYTES: usize = 24;
const ANSWER_BYTES_MAX: usize = HEAD_BYTES + PHOTO_FACES_MAX * EMBEDDING_BYTES;

/// Why there are no embeddings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExtractorError {
    /// It could not be started, or its pipes broke.
    Io(io::ErrorKind),
    /// It took too long, and was killed.
    TimedOut,
    /// It said something that is no answer.
    BadAnswer(&'static str),
    /// It says that the photo will not do: what the person is told.
    Declined(EnrolmentOutcome),
}

impl std::fmt::Display for ExtractorError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(kind) => write!(f, "the extractor cannot be run: {kind}"),
            Self::TimedOut => f.write_str("the extractor took too long and was killed"),
            Self::BadAnswer(what) => write!(f, "the extractor's answer: {what}"),
            Self::Declined(outcome) => write!(f, "the extractor declined: {}", outcome.words()),
        }
    }
}

impl std::error::Error for ExtractorError {}

impl From<io::Error> for ExtractorError {
    fn from(error: io::Error) -> Self {
        Self::Io(error.kind())
    }
}

impl From<rustix::io::Errno> for ExtractorError {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(io::Error::from(error).kind())
    }
}

impl ExtractorError {
    /// What the person is told.
    #[must_use]
    pub fn outcome(&self) -> EnrolmentOutcome {
        match self {
            Self::Declined(outcome) => *outcome,
            Self::Io(_) | Self::TimedOut | Self::BadAnswer(_) => EnrolmentOutcome::Failed,
        }
    }
}

/// Has the extractor look at a photo.
///
/// # Errors
/// Any [`ExtractorError`].
pub fn extract(
    extractor: &Extractor,
    model: [u8; 16],
    photo: &Zeroizing<Vec<u8>>,
) -> Result<Vec<Embedding>, ExtractorError> {
    assert!(photo.len() <= PHOTO_BYTES_MAX, "the door takes no more");
    let deadline = Instant::now() + Duration::from_secs(extractor.timeout_s);
    let mut running = Running::start(extractor)?;
    let answer = running.converse(&request(model, photo), deadline)?;
    if answer.is_empty() {
        running.was_run()?;
    }
    parse(&answer, model)
}

fn request(model: [u8; 16], photo: &[u8]) -> Zeroizing<Vec<u8>> {
    let length = (photo.len() as u32).to_le_bytes();
    // Reserved at once, so that no copy of a part is left behind.
    let mut request = Zeroizing::new(Vec::with_capacity(HEAD_BYTES + photo.len()));
    for part in [REQUEST_MAGIC.as_slice(), &length, &model, photo] {
        request.extend_from_slice(part);
    }
    request
}

fn parse(answer: &[u8], model: [u8; 16]) -> Result<Vec<Embedding>, ExtractorError> {
    let bad = ExtractorError::BadAnswer;
    let (head, rows) = answer.split_at_checked(HEAD_BYTES).ok_or(bad("cut off"))?;
    if head[..4] != *ANSWER_MAGIC {
        return Err(bad("it does not begin with CXA1"));
    }
    let (status, count) = (head[4], usize::from(head[5]));
    match status {
        0 => {}
        1 => return Err(ExtractorError::Declined(EnrolmentOutcome::NotOneFace)),
        2 => return Err(ExtractorError::Declined(EnrolmentOutcome::PoorPhoto)),
        3 => return Err(ExtractorError::Declined(EnrolmentOutcome::NotAPhoto)),
        _ => return Err(bad("an unknown status")),
    }
    if head[8..] != model {
        return Err(bad("another face model"));
    }
    if !(1..=PHOTO_FACES_MAX).contains(&count) || rows.len() != count * EMBEDDING_BYTES {
        return Err(bad("not as many embeddings as it says"));
    }
    rows.chunks_exact(EMBEDDING_BYTES)
        .map(|row| Embedding::from_le_bytes(row).map_err(|_| bad("not an embedding")))
        .collect()
}

/// A started extractor; dropping it kills whatever is left of it.
struct Running {
    child: Child,
    group: Option<Pid>,
}

impl Running {
    /// Starts it with its limits set already: what sets them from outside comes too late for a
    /// child that it starts at once.
    fn start(extractor: &Extractor) -> Result<Self, ExtractorError> {
        let child = Command::new(LIMITER)
            .arg(format!("--as={}", extractor.memory_mib << 20))
            .args(["--fsize=0", "--core=0"])
            .arg(format!("--cpu={}", extractor.timeout_s + 1))
            .arg("--")
            .args(&extractor.command)
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Ok(Self { child, group })
    }

    /// Ends it, and says so if there was no such program to run.
    fn was_run(&mut self) -> Result<(), ExtractorError> {
        self.kill();
        match self.child.wait()?.code() {
            Some(NOT_FOUND) => Err(ExtractorError::Io(io::ErrorKind::NotFound)),
            Some(NOT_RUNNABLE) => Err(ExtractorError::Io(io::ErrorKind::PermissionDenied)),
            _ => Ok(()),
        }
    }

    fn kill(&self) {
        // The group has children of its own, perhaps; what has ended cannot be killed.
        if let Some(group) = self.group {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// Writes all of `request` and reads the answer, whichever way round it goes, until it closes
    /// its output.
    fn converse(&mut self, request: &[u8], deadline: Instant) -> Result<Vec<u8>, ExtractorError> {
        let mut input = self
            .child
            .stdin
            .take()
            .map(|pipe| File::from(OwnedFd::from(pipe)));
        let output = self.child.stdout.take();
        let mut output = File::from(OwnedFd::from(
            output
                .ok_or(io::ErrorKind::BrokenPipe)
                .map_err(ExtractorError::Io)?,
        ));
        for pipe in input.iter().chain([&output]) {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        let mut unsent = request;
        let mut answer = Vec::with_capacity(ANSWER_BYTES_MAX + 1);
        let mut part = [0; 4_096];
        loop {
            wait(input.as_ref(), &output, deadline)?;
            if let Some(pipe) = &mut input {
                match pipe.write(unsent) {
                    Ok(count) => unsent = &unsent[count..],
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    // It has seen enough.
                    Err(_) => unsent = &[],
                }
                if unsent.is_empty() {
                    input = None;
                }
            }
            match output.read(&mut part) {
                Ok(0) => return Ok(answer),
                Ok(count) if answer.len() + count > ANSWER_BYTES_MAX => {
                    return Err(ExtractorError::BadAnswer("too long"));
                }
                Ok(count) => answer.extend_from_slice(&part[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Waits until one of the pipes is ready.
fn wait(input: Option<&File>, output: &File, deadline: Instant) -> Result<(), ExtractorError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(ExtractorError::TimedOut);
    }
    let mut pipes = vec![PollFd::new(output, PollFlags::IN)];
    pipes.extend(input.map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
    let timeout = Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(left.subsec_nanos()),
    };
    match poll(&mut pipes, Some(&timeout)) {
        Ok(0) => Err(ExtractorError::TimedOut),
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests;
