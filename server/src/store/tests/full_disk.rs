//! On a full disk everything is refused but withdrawing. Needs a disk of its own, so it runs where
//! a file system can be mounted (root), and says so elsewhere.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::fixture::{NOW, person};
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
    for size in [1 << 20, 4_096, 1] {
        let block = vec![1_u8; size];
        while file
            .write_all(&block)
            .and_then(|()| file.sync_data())
            .is_ok()
        {
            assert!(fs::metadata(path).is_ok());
            if size == 1 {
                break;
            }
        }
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
    let filler = disk.mount.join("filler");
    fill(&filler);

    let refused = store.person_enrol(&person("more", &[], &[99]), NOW);
    assert_eq!(refused, Err(StoreError::DiskFull));
    for n in 0..20 {
        store
            .person_withdraw(&format!("e{n}"))
            .expect("withdrawn on a full disk");
        assert_eq!(store.erase_log(), Ok(LogErased::Done));
    }
    assert_eq!(store.read().counts().expect("counts").people, 0);
    store.check().expect("sound");

    fs::remove_file(&filler).expect("room again");
    store
        .person_enrol(&person("more", &[], &[99]), NOW)
        .expect("enrolled");
    assert_eq!(store.reserve_log(), Ok(true));
    drop((store, directory));
}
