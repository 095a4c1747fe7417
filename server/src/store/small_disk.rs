//! A disk of a few megabytes, for tests that fill it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A small ext4 file system in a file; unmounted when this goes.
pub(crate) struct SmallDisk {
    mount: PathBuf,
    _folder: tempfile::TempDir,
}

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

impl SmallDisk {
    /// Nothing where none can be mounted.
    pub(crate) fn new(bytes: u64) -> Option<Self> {
        let folder = tempfile::tempdir().expect("temporary folder");
        let image = folder.path().join("image");
        let mount = folder.path().join("mount");
        File::create(&image)
            .and_then(|file| file.set_len(bytes))
            .expect("image");
        fs::create_dir(&mount).expect("mount point");
        let image = image.to_str().expect("text");
        let at = mount.to_str().expect("text");
        let made = run("mkfs.ext4", &["-q", "-m", "0", "-F", image])
            && run("mount", &["-o", "loop", image, at]);
        made.then_some(Self {
            mount,
            _folder: folder,
        })
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.mount
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &[self.mount.to_str().expect("text")]);
    }
}

/// Writes a file until nothing more fits.
pub(crate) fn fill(path: &Path) {
    let mut file = File::create(path).expect("created");
    for size in [1 << 20, 4_096] {
        let block = vec![1_u8; size];
        while file.write_all(&block).is_ok() {}
    }
}
