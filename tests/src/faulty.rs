//! A disk that fails under a server when a test says so: reads that fail, a disk that is full
//! after so many bytes, syncs that fail, and an end in the middle of its writes.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use crate::process::Process;
use crate::site::{Server, Site};

/// What the disk does from now on, to files of the data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: it works.
    None,
    /// The read after so many others fails (EIO).
    Read(u64),
    /// So many bytes still fit; then a write is cut short, and all further ones fail (ENOSPC).
    Full(u64),
    /// The sync after so many others fails (EIO).
    Sync(u64),
    /// The process is killed at the write after so many others.
    Kill(u64),
}

/// The disk of one site.
pub struct FaultyDisk {
    control: File,
    library: std::path::PathBuf,
    control_path: std::path::PathBuf,
}

impl FaultyDisk {
    /// A disk that works so far.
    ///
    /// # Panics
    /// If there is no C compiler, which building needs as well.
    #[must_use]
    pub fn of(site: &Site) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("faults/disk.c");
        let (library, control_path) = (site.file("disk.so"), site.file("disk.control"));
        let mut command = Command::new("cc");
        command.args(["-O1", "-shared", "-fPIC", "-o"]);
        command.arg(&library).arg(source).arg("-ldl");
        let output = command.output().expect("a C compiler");
        assert!(output.status.success(), "{output:?}");
        fs::write(&control_path, [0; 24]).expect("written");
        let mut options = OpenOptions::new();
        let control = options.read(true).write(true).open(&control_path);
        Self {
            control: control.expect("just written"),
            library,
            control_path,
        }
    }

    /// From the next call on.
    ///
    /// # Panics
    /// If the file of control cannot be written.
    pub fn set(&self, fault: Fault) {
        let (mode, left) = match fault {
            Fault::None => (0_u64, 0),
            Fault::Read(left) => (1, left),
            Fault::Full(left) => (2, left),
            Fault::Sync(left) => (3, left),
            Fault::Kill(left) => (4, left),
        };
        let number = |number: u64, at| {
            let written = self.control.write_all_at(&number.to_le_bytes(), at);
            written.expect("the file of control");
        };
        // The mode goes last: what it counts is there by then.
        number(0, 0);
        number(left, 8);
        number(0, 16);
        number(mode, 0);
    }

    /// How many calls failed since the last [`Self::set`].
    ///
    /// # Panics
    /// If the file of control cannot be read.
    #[must_use]
    pub fn hits(&self) -> u64 {
        let mut number = [0; 8];
        let read = self.control.read_exact_at(&mut number, 16);
        read.expect("the file of control");
        u64::from_le_bytes(number)
    }

    /// `cardea serve` over this disk.
    #[must_use]
    pub fn command(&self, site: &Site) -> Command {
        let mut command = site.command(&["serve"]);
        command
            .env("LD_PRELOAD", &self.library)
            .env("CARDEA_FAULT_CONTROL", &self.control_path)
            .env("CARDEA_FAULT_FOLDER", site.data());
        command
    }

    /// A server over this disk, once it is ready.
    #[must_use]
    pub fn serve(&self, site: &Site) -> Server {
        site.serve_command(&mut self.command(site))
    }

    /// A server that may end before it is ready: then its log.
    ///
    /// # Errors
    /// Its exit status and its log.
    ///
    /// # Panics
    /// If it hangs, or says something else.
    pub fn try_serve(&self, site: &Site) -> Result<Server, (std::process::ExitStatus, String)> {
        let mut process = Process::start(&mut self.command(site));
        match process.next_line() {
            Some(line) => Ok(site.server(process, &line)),
            None => {
                let (status, _, log) = process.finish();
                Err((status, log))
            }
        }
    }
}
