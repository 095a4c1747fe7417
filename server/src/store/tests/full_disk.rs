//! On a full disk everything is refused but withdrawing. Needs a disk of its own, so it runs where
//! a file system can be mounted (root), and says so elsewhere.

use std::fs;

use super::fixture::{NOW, person};
use crate::limits::LOG_BYTES_MAX;
use crate::store::small_disk::{SmallDisk, fill};
use crate::store::{DataDirectory, LogErased, Store, StoreError};

#[test]
fn withdrawing_works_on_a_full_disk_and_nothing_else_does() {
    let Some(disk) = SmallDisk::new(160 << 20) else {
        println!("skipped: no file system can be mounted here");
        return;
    };
    let directory = DataDirectory::lock(&disk.path().join("data")).expect("lock");
    let mut store = Store::open(&directory).expect("store");
    assert_eq!(store.reserve_log(), Ok(true));
    for n in 0..20 {
        store
            .person_enrol(&person(&format!("e{n}"), &[], &[n]), NOW)
            .expect("enrolled");
    }
    assert_eq!(store.erase_log(), Ok(LogErased::Done));
    fill(&disk.path().join("filler"));

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
        fill(&disk.path().join(format!("filler-{n}")));
    }
    let held = store.log_reserve.held_bytes();
    assert!(
        held > LOG_BYTES_MAX / 2,
        "most of the reserve is left: {held}"
    );
    assert_eq!(store.read().counts().expect("counts").people, 0);
    store.check().expect("sound");

    for file in fs::read_dir(disk.path()).expect("folder") {
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
