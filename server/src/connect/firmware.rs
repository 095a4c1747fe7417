//! Firmware for devices: files in the data directory's folder `firmware`, named by their BLAKE3,
//! read in parts on a thread of their own so that no loop ever waits for the disk.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::supervise::supervised;
use crate::api::Completion;
use crate::completions::CompletionSender;
use crate::limits::{FIRMWARE_PART_BYTES_MAX, FIRMWARE_QUEUED_MAX};
use crate::metrics::events;
use crate::net::{ExchangeId, Response};

/// The folder in the data directory.
pub const FOLDER: &str = "firmware";
/// Where devices fetch it; the file's name follows.
pub const PATH_PREFIX: &str = "/v1/firmware/";
const CONTENT_TYPE: &str = "application/octet-stream";
const NAME_CHARS: usize = 64;

/// A part that a device asks for.
pub struct Ask {
    /// Which device.
    pub device: u64,
    /// The file's name.
    pub name: String,
    /// The `Range` of the request, if it has one.
    pub range: Option<String>,
    /// The exchange that waits.
    pub exchange: ExchangeId,
    /// Its loop.
    pub done: CompletionSender<Completion>,
}

/// How far a device has come: which file, how many of its bytes, of how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetching {
    /// The file's name.
    pub name: String,
    /// The end of the furthest part it was given, bytes.
    pub bytes: u64,
    /// The file's length.
    pub size: u64,
}

impl Fetching {
    /// The share that has come, in whole per cent.
    #[must_use]
    pub fn percent(&self) -> u64 {
        self.bytes.saturating_mul(100) / self.size.max(1)
    }
}

/// The thread's entrance; cheap to clone.
#[derive(Clone)]
pub struct Firmware {
    asks: Sender<Ask>,
    fetching: Arc<Mutex<HashMap<u64, Fetching>>>,
}

impl Firmware {
    /// The way to no thread at all, for tests.
    #[cfg(test)]
    pub(crate) fn nowhere() -> Self {
        let (asks, _) = bounded(1);
        let fetching = Arc::default();
        Self { asks, fetching }
    }

    /// Starts the thread; it ends when every entrance is gone.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(data: &Path) -> io::Result<Self> {
        let (asks, received) = bounded(FIRMWARE_QUEUED_MAX);
        let fetching = Arc::new(Mutex::new(HashMap::new()));
        let (folder, noted) = (data.join(FOLDER), Arc::clone(&fetching));
        thread::Builder::new()
            .name("firmware".to_owned())
            .spawn(move || supervised("firmware", || serve(&folder, &received, &noted)))?;
        Ok(Self { asks, fetching })
    }

    /// Gives a device's request to the thread; never waits.
    ///
    /// # Errors
    /// The answer, if there is no room.
    pub fn ask(&self, ask: Ask) -> Result<(), Response> {
        self.asks
            .try_send(ask)
            .map_err(|_| unavailable("too many fetch firmware; try again"))
    }

    /// How far each device has come since the start.
    #[must_use]
    pub fn fetching(&self) -> HashMap<u64, Fetching> {
        self.fetching
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn serve(folder: &Path, asks: &Receiver<Ask>, fetching: &Mutex<HashMap<u64, Fetching>>) {
    while let Ok(ask) = asks.recv() {
        let response = match part(folder, &ask.name, ask.range.as_deref()) {
            Ok(part) => {
                let fetched = Fetching {
                    name: ask.name,
                    bytes: part.until,
                    size: part.size,
                };
                let mut known = fetching.lock().unwrap_or_else(PoisonError::into_inner);
                known
                    .entry(ask.device)
                    .and_modify(|before| {
                        let same = before.name == fetched.name;
                        let furthest = if same { before.bytes } else { 0 };
                        *before = fetched.clone();
                        before.bytes = before.bytes.max(furthest);
                    })
                    .or_insert(fetched);
                drop(known);
                part.response()
            }
            Err(response) => response,
        };
        ask.done.send(Completion::Served {
            exchange: ask.exchange,
            response,
        });
    }
}

/// A part of a file.
struct Part {
    from: u64,
    until: u64,
    size: u64,
    bytes: Vec<u8>,
    whole: bool,
}

impl Part {
    fn response(self) -> Response {
        let status = if self.whole { 200 } else { 206 };
        let response = Response::new(status, CONTENT_TYPE, self.bytes);
        let response = response.with_field("accept-ranges", "bytes");
        if self.whole {
            return response;
        }
        let last = self.until.saturating_sub(1);
        let range = format!("bytes {}-{last}/{}", self.from, self.size);
        response.with_field("content-range", &range)
    }
}

fn part(folder: &Path, name: &str, range: Option<&str>) -> Result<Part, Response> {
    if !is_name(name) {
        return Err(not_found());
    }
    let mut file = match File::open(folder.join(name)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(not_found()),
        Err(_) => return Err(unavailable("the firmware cannot be read")),
    };
    let broken = |_| unavailable("the firmware cannot be read");
    let size = file.metadata().map_err(broken)?.len();
    let (from, until) = match range {
        None if size <= FIRMWARE_PART_BYTES_MAX => (0, size),
        None => return Err(out_of_range(size)),
        Some(range) => bounds(range, size).ok_or_else(|| out_of_range(size))?,
    };
    file.seek(SeekFrom::Start(from)).map_err(broken)?;
    let mut bytes = Vec::new();
    file.take(until - from)
        .read_to_end(&mut bytes)
        .map_err(broken)?;
    Ok(Part {
        from,
        until: from + bytes.len() as u64,
        size,
        bytes,
        whole: range.is_none(),
    })
}

fn not_found() -> Response {
    events::FIRMWARE_NOT_FOUND.count();
    Response::empty(404)
}

fn unavailable(why: &'static str) -> Response {
    events::FIRMWARE_UNAVAILABLE.count();
    Response::text(503, why)
}

fn out_of_range(size: u64) -> Response {
    events::FIRMWARE_RANGE.count();
    Response::text(416, "ask for a range, as in `Range: bytes=0-262143`")
        .with_field("content-range", &format!("bytes */{size}"))
}

/// The part that `bytes=a-b` or `bytes=a-` asks for, cut to what one answer holds. One range
/// only; the form that counts from the end is not served.
fn bounds(range: &str, size: u64) -> Option<(u64, u64)> {
    let (from, last) = range.trim().strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok()).flatten()
    };
    let from = number(from)?;
    let until = match last {
        "" => size,
        last => number(last)?.checked_add(1)?,
    };
    let until = until
        .min(size)
        .min(from.saturating_add(FIRMWARE_PART_BYTES_MAX));
    (from < until).then_some((from, until))
}

/// Whether this can be a file's name: 64 lower-case hexadecimal digits.
fn is_name(name: &str) -> bool {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    name.len() == NAME_CHARS && name.bytes().all(hex)
}

/// Puts a checked file among the firmware, under its hash.
///
/// # Errors
/// Those of the file system.
pub fn keep(data: &Path, file: &Path, blake3: &str) -> io::Result<PathBuf> {
    let folder = data.join(FOLDER);
    fs::create_dir_all(&folder)?;
    let place = folder.join(blake3);
    fs::rename(file, &place)?;
    File::open(&folder)?.sync_all()?;
    Ok(place)
}

/// Removes firmware that is kept no longer.
pub fn forget(data: &Path, blake3: &str) {
    // A file that is gone already is as well.
    let _ = fs::remove_file(data.join(FOLDER).join(blake3));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row fails when the check it names is taken out of `bounds`.
    #[test]
    fn ranges_are_cut_to_the_file_and_the_answer() {
        let max = FIRMWARE_PART_BYTES_MAX;
        assert_eq!(bounds("bytes=0-", 10), Some((0, 10)));
        assert_eq!(bounds("bytes=3-5", 10), Some((3, 6)));
        assert_eq!(bounds("bytes=3-99", 10), Some((3, 10)));
        assert_eq!(bounds("bytes=5-", max * 3), Some((5, 5 + max)));
        let last = format!("bytes=0-{}", u64::MAX);
        for bad in [
            "bytes=10-",
            "bytes=5-4",
            "bytes=-5",
            "bytes=a-",
            "5-6",
            "bytes=0-1,3-4",
            &last,
        ] {
            assert_eq!(bounds(bad, 10), None, "{bad}");
        }
    }

    #[test]
    fn only_a_hash_names_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let name = "ab".repeat(32);
        fs::write(folder.path().join(&name), b"0123456789").expect("written");
        fs::write(folder.path().join("other"), b"x").expect("written");
        let status = |name: &str, range| match part(folder.path(), name, range) {
            Ok(part) => part.response().status,
            Err(response) => response.status,
        };
        assert_eq!(status(&name, None), 200);
        assert_eq!(status(&name, Some("bytes=2-3")), 206);
        assert_eq!(status(&name, Some("bytes=10-")), 416);
        assert_eq!(status("other", None), 404);
        assert_eq!(status(&format!("../{}", &name[3..]), None), 404);
        assert_eq!(status(&"cd".repeat(32), None), 404);
    }
}
