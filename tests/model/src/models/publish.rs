//! What the writer publishes: nobody sees half of a change, or an older one after a newer.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cardea_engine::gallery::Writer as GalleryWriter;
use cardea_engine::{DIM, Embedding, Gallery, Kernel, ModelId, Searcher, Threshold};
use shuttle::sync::atomic::{AtomicU32, Ordering};
use shuttle::thread;

use crate::publish::Published;
use crate::site::Site;
use crate::store::{Consent, ConsentHow, DataDirectory, NewPerson, NewReference, Store};

const LOOKS: u32 = 4;
// How far the writer has come.
const BEGUN: u32 = 0;
const ENROLLED: u32 = 1;
const WITHDRAWING: u32 = 2;
const WITHDRAWN: u32 = 3;

fn face() -> Embedding {
    let mut numbers = [0.0; DIM];
    numbers[3] = 1.0;
    Embedding::new(&numbers).expect("of unit length")
}

/// A folder where syncing costs nothing.
fn folder() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let made = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    made.expect("a temporary folder")
}

/// A gallery with nobody in it, of before the store's first change.
fn gallery() -> Arc<Gallery> {
    static EMPTY: OnceLock<Arc<Gallery>> = OnceLock::new();
    let gallery = EMPTY.get_or_init(|| {
        let folder = folder();
        let path = folder.path().join("empty.cgal");
        let writer = GalleryWriter::create(&path, ModelId([0; 16]), 0, 0).expect("a file");
        writer.finish().expect("written");
        // It stays mapped when its folder goes.
        Arc::new(Gallery::open(&path).expect("sound"))
    });
    Arc::clone(gallery)
}

fn person() -> NewPerson {
    let reference = NewReference {
        embedding: Box::new(face().to_le_bytes()),
        quality: None,
    };
    NewPerson {
        external_id: "p".to_owned(),
        name: "p".to_owned(),
        email: None,
        consent: Consent {
            policy_version: "1".to_owned(),
            at_unix_s: 1,
            how: ConsentHow::Imported,
        },
        every_door: true,
        doors: Vec::new(),
        references: vec![reference],
    }
}

/// A loop looks while the writer enrols somebody and withdraws them, each acknowledged once it is
/// published. Fails if `put_rows` leaves out who was enrolled, or who was withdrawn, or if `follow`
/// leaves the directory as it was.
pub fn run(count: usize) -> usize {
    super::schedules(count, || {
        let folder = folder();
        let directory = DataDirectory::lock(folder.path()).expect("nobody else has it");
        let mut store = Store::open(&directory).expect("a store");
        let threshold = Threshold::new(0.5).expect("a score");
        let deadline = Duration::from_secs(1);
        let published = Published::load(store.read(), gallery(), threshold, deadline);
        let mut published = published.expect("an empty site");
        let site = published.site();
        let reached = Arc::new(AtomicU32::new(BEGUN));
        let (seen_site, seen) = (Arc::clone(&site), Arc::clone(&reached));
        let looking = thread::spawn(move || look(&seen_site, &seen));
        store.person_enrol(&person(), 1).expect("enrolled");
        published.follow(store.read()).expect("published");
        reached.store(ENROLLED, Ordering::SeqCst);
        reached.store(WITHDRAWING, Ordering::SeqCst);
        store.person_withdraw("p").expect("withdrawn");
        published.follow(store.read()).expect("published");
        reached.store(WITHDRAWN, Ordering::SeqCst);
        looking.join().expect("it ends well");
    })
}

fn look(site: &Site, reached: &AtomicU32) {
    let kernel = Kernel::by_name("scalar").expect("always there");
    let searcher = Searcher::new(kernel, 1).expect("the caller's thread");
    let mut generation = 0;
    for _ in 0..LOOKS {
        let before = reached.load(Ordering::SeqCst);
        let searched = site.searched.load_full();
        assert!(
            searched.view.generation() >= generation,
            "an older view came after"
        );
        generation = searched.view.generation();
        let lists = searcher.search(&searched.view, &[face()], searched.threshold);
        let list = lists
            .expect("no damage")
            .pop()
            .expect("one probe, one list");
        let found = list.best().map(|best| best.person.0);
        let in_force = found.is_some_and(|person| site.directory().person(person).is_some());
        let after = reached.load(Ordering::SeqCst);
        if before >= WITHDRAWN {
            assert!(found.is_none(), "withdrawn, acknowledged, and found");
        }
        if before == ENROLLED && after == ENROLLED {
            assert!(in_force, "enrolled, acknowledged, and not found");
        }
        if found.is_some() && after <= ENROLLED {
            assert!(in_force, "the gallery has somebody before the directory");
        }
    }
}
