//! A site on a memory disk: made once for all seeds, copied for each.

use std::fs::{self, Permissions};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cardea_engine::ModelId;

use super::START_UNIX_US;
use crate::cli::{InitArgs, init};
use crate::store::{DataDirectory, NewDevice, Store, token_hash};

/// The face model of the site.
pub(super) const MODEL: ModelId = ModelId([1; 16]);
/// At or above it is a match.
pub(super) const THRESHOLD: f32 = 0.5;
/// Doors, each with its device, and Space's names for the doors: the last one has none.
pub(super) const DOORS: [(&str, Option<&str>); 3] = [
    ("front", Some("20001")),
    ("back", Some("20002")),
    ("attic", None),
];

/// A device of the site, as it was commissioned.
#[derive(Debug, Clone)]
pub(super) struct SiteDevice {
    /// The device's number.
    pub(super) id: u64,
    /// Its name.
    pub(super) name: String,
    /// Its door's number and name.
    pub(super) door: u64,
    pub(super) door_name: &'static str,
    /// Space's name for the door.
    pub(super) space_door: Option<&'static str>,
    /// The certificate's SHA-256.
    pub(super) fingerprint: [u8; 32],
}

struct Template {
    files: Vec<(PathBuf, Vec<u8>, Permissions)>,
    devices: Vec<SiteDevice>,
}

/// A folder where syncing costs nothing.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    made.expect("a temporary folder")
}

fn template() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let folder = folder();
        let args = InitArgs {
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            listen: None,
            site: "simulated".to_owned(),
            model: "01".repeat(16),
            threshold: THRESHOLD,
        };
        init::run(folder.path(), &args).expect("a new site");
        let directory = DataDirectory::lock(folder.path()).expect("nobody else has it");
        let mut store = Store::open(&directory).expect("a store");
        let devices = (0_u8..)
            .zip(DOORS)
            .map(|(number, door)| commission(&mut store, number, door));
        let devices = devices.collect();
        drop((store, directory));
        let mut files = Vec::new();
        read(folder.path(), Path::new(""), &mut files);
        Template { files, devices }
    })
}

fn commission(
    store: &mut Store,
    number: u8,
    (door_name, space_door): (&'static str, Option<&'static str>),
) -> SiteDevice {
    let door = store.door_add(door_name, space_door).expect("a door").id;
    let name = format!("device-{door_name}");
    let token = token_hash(&[number; cardea_wire::limits::TOKEN_BYTES]);
    let new = NewDevice {
        name: name.clone(),
        door,
    };
    let now_unix_s = START_UNIX_US / 1_000_000;
    let added = store.device_add(&new, token, now_unix_s + 60, now_unix_s);
    added.expect("a device");
    let fingerprint = [number + 1; 32];
    let done = store.device_commission(token, &fingerprint, now_unix_s * 2, now_unix_s);
    SiteDevice {
        id: done.expect("a certificate").device.0,
        name,
        door: door.0,
        door_name,
        space_door,
        fingerprint,
    }
}

/// A copy of the site for one seed, and its devices.
pub(super) fn copy() -> (tempfile::TempDir, Vec<SiteDevice>) {
    let template = template();
    let target = folder();
    for (name, bytes, permissions) in &template.files {
        let path = target.path().join(name);
        fs::create_dir_all(path.parent().expect("below the target")).expect("a folder");
        fs::write(&path, bytes).expect("a copy");
        fs::set_permissions(&path, permissions.clone()).expect("its permissions");
    }
    (target, template.devices.clone())
}

/// All files below a folder.
fn read(folder: &Path, below: &Path, files: &mut Vec<(PathBuf, Vec<u8>, Permissions)>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let (path, name) = (entry.path(), below.join(entry.file_name()));
        let metadata = entry.metadata().expect("of a file");
        if metadata.is_dir() {
            read(&path, &name, files);
        } else {
            files.push((
                name,
                fs::read(&path).expect("a file"),
                metadata.permissions(),
            ));
        }
    }
}
