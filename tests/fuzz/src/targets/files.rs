//! Files: the gallery, the configuration, people to import.

use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use cardea::cli::people_file;
use cardea::config::Config;
use cardea_engine::gallery::Writer;
use cardea_engine::synthetic::{Shape, Synthetic};
use cardea_engine::{Gallery, Kernel, ModelId, SearchError, Searcher, Threshold, View};

/// A small gallery: its rows are people 0 to 5 of this seed.
const SEED: u64 = 3;
const ROWS: u64 = 6;

pub(crate) fn gallery_seeds() -> Vec<Vec<u8>> {
    let people = Synthetic::new(SEED, Shape::Realistic);
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path().join("a.gallery");
    let mut writer = Writer::create(&path, ModelId([1; 16]), 1, ROWS).expect("a new file");
    for person in 0..ROWS {
        writer.push(&people.row(person)).expect("room for it");
    }
    writer.finish().expect("written");
    vec![fs::read(&path).expect("it was just written")]
}

/// What opens can be searched, and finds nobody who is not in it: the scores are those of real
/// rows, or the damage is named.
pub(crate) fn gallery(bytes: &[u8]) {
    let Some(path) = written(bytes) else {
        return;
    };
    let Ok(gallery) = Gallery::open(path.path()) else {
        return;
    };
    let threshold = Threshold::new(0.9).expect("within -1..=1");
    let kernel = Kernel::by_name("scalar").expect("every machine has it");
    let searcher = Searcher::new(kernel, 1).expect("one thread is no thread of its own");
    let people = Synthetic::new(SEED, Shape::Realistic);
    let rows = gallery.rows();
    let view = View::of_snapshot(Arc::new(gallery));
    let probe = people.row(2).embedding;
    match searcher.search(&view, std::slice::from_ref(&probe), threshold) {
        Ok(found) => assert!(found[0].as_slice().len() <= rows),
        Err(SearchError::Gallery(_)) => {}
        Err(other) => panic!("{other}"),
    }
}

pub(crate) fn configuration_seeds() -> Vec<Vec<u8>> {
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let config = Config::new("Site", address, (address, 443).into());
    let more = "\n[timetables]\n1 = [\"mon-fri 08:00-17:30\"]\n\
        [space_events]\nlisten = \"127.0.0.1:8099\"\nfrom = \"127.0.0.1\"\n";
    let text = config.to_text();
    vec![format!("{text}{more}").into_bytes(), text.into_bytes()]
}

/// What is taken is written so that it is read as the same.
pub(crate) fn configuration(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(config) = Config::parse(text)
    {
        let again = Config::parse(&config.to_text()).expect("what was taken is taken again");
        assert_eq!(again, config);
    }
}

pub(crate) fn people_seeds() -> Vec<Vec<u8>> {
    let mut numbers = vec!["0"; 512];
    numbers[7] = "1";
    let person = format!(
        "{{\"external_id\":\"P1\",\"name\":\"A\",\"doors\":\"Main\",\"policy_version\":\"1\",\
         \"consented_at\":\"2026-11-22T05:00:00Z\",\"embeddings\":[[{}]]}}\n",
        numbers.join(",")
    );
    let csv = "external_id,name,doors,policy_version,consented_at\nP1,A,Main,1,2026-11-22\n";
    vec![person.into_bytes(), csv.as_bytes().to_vec()]
}

/// Each line is taken or refused; what refuses repeats nothing of the line.
pub(crate) fn people(bytes: &[u8]) {
    let Some(path) = written(bytes) else {
        return;
    };
    if let Ok(entries) = people_file::open(path.path(), None) {
        for entry in entries {
            if let Err(bad) = entry {
                assert!(bad.why.len() < 1_000, "{}", bad.why);
            }
        }
    }
    // The same bytes as an .npy beside a CSV.
    if let Some(csv) = written(b"external_id,name,doors,policy_version,consented_at\nP,A,M,1,2\n")
        && let Ok(entries) = people_file::open(csv.path(), Some(path.path()))
    {
        let _ = entries.count();
    }
}

fn written(bytes: &[u8]) -> Option<tempfile::NamedTempFile> {
    let mut file = tempfile::NamedTempFile::new().ok()?;
    file.write_all(bytes).ok()?;
    Some(file)
}
