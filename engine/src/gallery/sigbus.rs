//! A gallery file that shrinks under its map must not kill the process silently.
//!
//! Reading a mapped page that the file no longer has (truncated, or a disk error) raises SIGBUS.
//! The handler writes one line with the page's number to a descriptor opened beforehand and exits
//! with [`GALLERY_FAULT_EXIT_CODE`]; the next start rebuilds. It does nothing else: inside a
//! signal handler only async-signal-safe calls are allowed.

use crate::limits::MAPS_MAX;
use std::io;
use std::os::fd::{IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

/// Exit code of a process whose gallery file could not be read through its map.
pub const GALLERY_FAULT_EXIT_CODE: i32 = 74;

/// Bytes of one page, as the message counts them.
const PAGE: usize = 4096;
const BEFORE: &[u8] = b"cardea: gallery page ";
const AFTER: &[u8] =
    b" cannot be read (file truncated, or a disk error); the next start rebuilds\n";

/// Where galleries are mapped; an `end` of 0 means free.
static MAPS: [(AtomicUsize, AtomicUsize); MAPS_MAX] =
    [const { (AtomicUsize::new(0), AtomicUsize::new(0)) }; MAPS_MAX];
static REPORT_TO: AtomicI32 = AtomicI32::new(2);

/// A mapped range that the handler knows.
#[derive(Debug)]
pub(super) struct Registration(Option<usize>);

impl Registration {
    /// Tells the handler of a map. With all places taken, the handler will not know this one.
    pub(super) fn new(bytes: &[u8]) -> Self {
        let start = bytes.as_ptr().addr();
        for (place, (place_start, place_end)) in MAPS.iter().enumerate() {
            // `end` goes last: a place counts once it is set.
            let free = place_start.compare_exchange(0, start, Ordering::AcqRel, Ordering::Relaxed);
            if free.is_ok() {
                place_end.store(start + bytes.len(), Ordering::Release);
                return Self(Some(place));
            }
        }
        Self(None)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(place) = self.0 {
            MAPS[place].1.store(0, Ordering::Release);
            MAPS[place].0.store(0, Ordering::Release);
        }
    }
}

/// Installs the handler for the whole process; it reports to `report_to`, which stays open.
#[allow(unsafe_code)]
pub fn install_sigbus_handler(report_to: OwnedFd) -> io::Result<()> {
    REPORT_TO.store(report_to.into_raw_fd(), Ordering::Release);
    // JUSTIFICATION: neither std nor a crate with a safe interface installs a handler that sees
    // the fault's address.
    // SAFETY: `action` is zeroed, a valid value of this plain C struct, then given a handler of the
    // signature that SA_SIGINFO asks for, which calls async-signal-safe functions only; both
    // pointers live through the call, and sigaction keeps neither.
    let result = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_sigbus as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigaction(libc::SIGBUS, &action, std::ptr::null_mut())
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[allow(unsafe_code)]
extern "C" fn on_sigbus(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    let mut text = [0; 160];
    // JUSTIFICATION: a signal handler has no safe interface.
    // SAFETY: the kernel gives a valid `info` to a handler with SA_SIGINFO; for SIGBUS its address
    // is set. `write`, `signal` and `_exit` are async-signal-safe; `text` outlives the call.
    unsafe {
        let address = (*info).si_addr().addr();
        let Some(page) = page_of(address) else {
            // Not ours: as if there were no handler, on returning to the faulting instruction.
            libc::signal(libc::SIGBUS, libc::SIG_DFL);
            return;
        };
        let text = message(page, &mut text);
        let fd: RawFd = REPORT_TO.load(Ordering::Acquire);
        libc::write(fd, text.as_ptr().cast(), text.len());
        libc::_exit(GALLERY_FAULT_EXIT_CODE)
    }
}

/// The page of the gallery file that an address belongs to.
fn page_of(address: usize) -> Option<usize> {
    MAPS.iter().find_map(|(start, end)| {
        let (start, end) = (start.load(Ordering::Acquire), end.load(Ordering::Acquire));
        (start <= address && address < end).then(|| (address - start) / PAGE)
    })
}

/// Spells the message without allocating.
fn message(page: usize, text: &mut [u8; 160]) -> &[u8] {
    let mut digits = [0; 20];
    let mut first = digits.len();
    let mut rest = page;
    loop {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    let mut end = 0;
    for part in [BEFORE, &digits[first..], AFTER] {
        text[end..end + part.len()].copy_from_slice(part);
        end += part.len();
    }
    &text[..end]
}

const _: () = assert!(BEFORE.len() + 20 + AFTER.len() <= 160);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_spells_any_page() {
        for page in [0, 9, 10, 123_456, usize::MAX] {
            let mut text = [0; 160];
            let found = String::from_utf8_lossy(message(page, &mut text)).into_owned();
            assert!(found.starts_with(&format!("cardea: gallery page {page} cannot")));
            assert!(found.ends_with('\n'));
        }
    }
}
