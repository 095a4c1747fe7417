//! On a full disk everything is refused but withdrawing. Needs a disk of its own, so it runs where
//! a file system can be mounted (root), and says so elsewhere.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::fixture::{NOW, person};
use crate::limits::LOG_BYTES_MAX;
use crate::store::{DataDirectory, LogErased, Store, StoreError};

/// A small ext4 file system in a file; unmounted when this goes.
struct SmallDisk {
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
    fn new(bytes: u64) -> Option<Self> {
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
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &[self.mount.to_str().expect("text")]);
    }
}

// Writes until nothing more fits.
fn fill(path: &Path) {
    let mut file = File::create(path).expect("created");
    for size in [1 << 20, 4_096] {
        let block = vec![1_u8; size];
        while file.write_all(&block).is_ok() {}
    }
}

#[test]
fn withdrawing_works_on_a_full_disk_and_nothing_else_does() {
    let Some(disk) = SmallDisk::new(160 << 20) else {
        println!("skipped: no file system can be mounted here");
        return;
    };
    let directory = DataDirectory::lock(&disk.mount.join("data")).expect("lock");
    let mut store = Store::open(&directory).expect("store");
    assert_eq!(store.reserve_log(), Ok(true));
    for n in 0..20 {
        store
            .person_enrol(&person(&format!("e{n}"), &[], &[n]), NOW)
            .expect("enrolled");
    }
    assert_eq!(store.erase_log(), Ok(LogErased::Done));
    fill(&disk.mount.join("filler"));

    let refused = store.person_enrol(&person("more", &[], &[99]), NOW);
    assert_eq!(refused, Err(StoreError::DiskFull));
    for n in 0..20 {
        store
            .person_withdraw(&format!("e{n}"))
            .expect("withdrawn on a full disk");
        let held = store.log_reserve.held_bytes();
        assert!(held < LOG_BYTES_MAX, "the reserve was used: {held}");
        assert_eq!(store.erase_log(), Ok(LogErased::Done));
        // Somebody else takes whatever becomes free.
        fill(&disk.mount.join(format!("filler-{n}")));
    }
    let held = store.log_reserve.held_bytes();
    assert!(
        held > LOG_BYTES_MAX / 2,
        "most of the reserve is left: {held}"
    );
    assert_eq!(store.read().counts().expect("counts").people, 0);
    store.check().expect("sound");

    for file in fs::read_dir(&disk.mount).expect("folder") {
        let path = file.expect("file").path();
        if path.is_file() {
            fs::remove_file(path).expect("room again");
        }
    }
    store
        .person_enrol(&person("more", &[], &[99]), NOW)
        .expect("enrolled");
    assert_eq!(store.reserve_log(), Ok(true));
    drop((store, directory));
}
