//! What is measured, and all that may disturb it: a site with Space, a broker, a console, backups.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use cardea_tests::broker::Broker;
use cardea_tests::files::write_csv;
use cardea_tests::programs::program;
use cardea_tests::space::SpaceSite;
use cardea_tests::{Browser, Face, face, load};

use super::measure::{Asker, Lane, PEOPLE};

/// Seconds from one request of a device to its next: longer than an answer may take, so that no
/// request waits for the one before it.
const BETWEEN_REQUESTS_S: f64 = 2.5;
/// People of one bulk import: more than an overlay takes, so that a snapshot is written.
const IMPORTED: u64 = 4_500;
/// The faces of those who are imported meanwhile.
const IMPORTED_FACES: u64 = 1 << 32;

/// Everything that runs.
pub(crate) struct World {
    pub(crate) space: SpaceSite,
    pub(crate) broker: Broker,
    /// The cookies of an administrator's browser.
    cookies: BTreeMap<String, String>,
    backups: PathBuf,
    backup_key: String,
    table: PathBuf,
    embeddings: PathBuf,
    imports: u64,
    added: u64,
    devices: u32,
}

impl World {
    /// A site with so many synthetic people beside those whom Space knows, and doors for devices
    /// that ask so often a second.
    pub(crate) fn new(people: u32, rate: f64) -> World {
        let devices = (rate * BETWEEN_REQUESTS_S).ceil() as u32;
        let doors = devices.to_string();
        let simulator = ["--users", "200", "--doors", &doors, "--latency", "5,1,0,0"];
        let mut space = SpaceSite::start(PEOPLE, &[], &simulator);
        enrol(&space, people);
        let broker = Broker::new();
        broker.join(&space.site, "isolation");
        let browser = Browser::administrator(&space.site, &space.server);
        let (backups, key) = (space.site.file("backups"), space.site.file("backup.key"));
        fs::create_dir(&backups).expect("a new folder");
        let backup_key = space.site.done(&["backup-key", &key.to_string_lossy()]);
        let (table, embeddings) = (space.site.file("more.csv"), space.site.file("more.npy"));
        let faces: Vec<(&str, Face)> = (0..IMPORTED)
            .map(|number| ("", face(IMPORTED_FACES + number)))
            .collect();
        write_csv(&table, &embeddings, &faces);
        space.sync();
        World {
            space,
            broker,
            cookies: browser.cookies,
            backups,
            backup_key: backup_key.trim().to_owned(),
            table,
            embeddings,
            imports: 0,
            added: 0,
            devices,
        }
    }

    /// Devices at Space's doors.
    pub(crate) fn askers(&mut self) -> Vec<Asker> {
        let devices = self.space.devices(20_001..=20_000 + self.devices);
        let numbered = (0_u64..).zip(devices);
        numbered
            .map(|(number, device)| {
                let lane = Lane::ALL[number as usize % 2];
                Asker::new(device, lane, number)
            })
            .collect()
    }

    /// A browser in which the administrator is signed in.
    pub(crate) fn browser(&self) -> Browser {
        let mut browser = Browser::new(&self.space.site, &self.space.server);
        browser.cookies = self.cookies.clone();
        browser
    }

    /// Takes a backup, and forgets it.
    pub(crate) fn back_up(&self) {
        let folder = self.backups.to_string_lossy().into_owned();
        let taken = ["backup", &folder, "--to", &self.backup_key];
        let said = self.space.site.done(&taken);
        let file = said.split(": ").next().expect("a path first");
        cardea_engine::erase::remove(file.as_ref()).expect("it was written");
    }

    /// Imports so many people that a snapshot is written, and waits until they are in force.
    pub(crate) fn import(&mut self) {
        self.imports += 1;
        let mut table = "external_id,name,doors,policy_version,consented_at\n".to_owned();
        for number in 0..IMPORTED {
            let id = format!("M{}-{number}", self.imports);
            table.push_str(&format!("{id},Name,*,1,2026-01-01T00:00:00Z\n"));
        }
        fs::write(&self.table, table).expect("written");
        let paths = [&self.table, &self.embeddings].map(|path| path.to_string_lossy());
        let [table, embeddings] = paths;
        let import = ["people", "import", &table, "--embeddings", &embeddings];
        self.space.site.done(&import);
    }

    /// Adds a device, of which the broker is to be told.
    pub(crate) fn add_device(&mut self) {
        self.added += 1;
        let name = format!("more {}", self.added);
        let add = ["device", "add", &name, "--door", "main"];
        self.space.site.done(&add);
    }
}

/// Enrols synthetic people, who look like real face models' and like none of `face`'s.
fn enrol(space: &SpaceSite, people: u32) {
    let folder = space.site.file("synth");
    let mut command = Command::new(program("cardea-synth"));
    command.args(["people", "--seed", "1", "--people", &people.to_string()]);
    load::done(command.arg("--out").arg(&folder));
    let paths = ["people.csv", "people.npy"].map(|name| folder.join(name));
    let [csv, npy] = paths.map(|path| path.to_string_lossy().into_owned());
    let import = ["people", "import", &csv, "--embeddings", &npy];
    space.site.done(&import);
}
