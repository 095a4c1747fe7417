//! Envelope, encrypted bytes and archive together, and what attackers and bad disks make of them.

use std::fs;
use std::io::{self, BufReader, Read as _, Write as _};
use std::time::{Duration, Instant};

use super::archive::{About, FORM, Packing, unpack};
use super::keys::{Lock, Opener, Passphrase, SecretKey};
use super::staging::{FOLDER, Staging, hash_of};
use super::stream::{Opening, SEALED_PIECE, Sealing};
use super::take::may_go_on;
use super::{BackupError, Order, Target, envelope, kept_s, sweep};
use crate::limits::{
    BACKUP_BYTES_PER_S, BACKUP_ENTRIES_MAX, BACKUP_HEAD_BYTES_MAX, BACKUP_KEYS_MAX,
    BACKUP_RESUME_S, BACKUP_SMALL_FILE_BYTES_MAX,
};

fn sealed(lock: &Lock, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let key = envelope::write(&mut out, lock).expect("sealed");
    let mut sealing = Sealing::new(out, &key).expect("a key");
    sealing.write_all(content).expect("memory");
    sealing.finish().expect("memory")
}

fn opened(bytes: &[u8], opener: &Opener) -> Result<Vec<u8>, BackupError> {
    let mut from = BufReader::new(bytes);
    let key = envelope::read(&mut from, opener)?;
    let mut content = Vec::new();
    Opening::new(from, &key)?.read_to_end(&mut content)?;
    Ok(content)
}

fn pair() -> (Lock, Opener) {
    let secret = SecretKey::generate().expect("randomness");
    let lock = Lock::Keys(vec![secret.public().expect("a key")]);
    (lock, Opener::Keys(vec![secret]))
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.as_bytes()).expect("long enough")
}

/// Fails if, for example, the last piece is sealed as any other when it is exactly full.
#[test]
fn every_length_reads_back() {
    let (lock, opener) = pair();
    for length in [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000] {
        let content: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let bytes = sealed(&lock, &content);
        assert_eq!(opened(&bytes, &opener).expect("ours"), content, "{length}");
    }
}

/// Fails if a piece that is there is sealed again with another number, or left out; or if what does
/// not fit what was written counts as cut.
#[test]
fn going_on_gives_the_same_bytes() {
    let (lock, _) = pair();
    let key = envelope::write(&mut Vec::new(), &lock).expect("sealed");
    for length in [196_608, 200_000] {
        let content: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let behind = |there| {
            let mut sealing = Sealing::behind(Vec::new(), &key, there).expect("a key");
            sealing.write_all(&content).expect("memory");
            sealing.finish()
        };
        let whole = behind(0).expect("memory");
        for there in 1..=2 {
            let rest = behind(there).expect("memory");
            let from = (there * SEALED_PIECE) as usize;
            assert!(rest == whole[from..], "{length} behind {there}");
        }
        let error = behind(9).expect_err("less than there was");
        // A run after it would meet the same.
        assert!(!may_go_on(&error.into()));
    }
}

/// Fails without the mac of the head, without the number or the last mark in the nonce.
#[test]
fn a_changed_or_cut_file_does_not_open() {
    let (lock, opener) = pair();
    let content = vec![7; 140_000];
    let bytes = sealed(&lock, &content);
    let body = bytes.len() - 16 - (content.len() + 3 * 16);
    let piece = 65_536 + 16;
    for at in (0..body + 20).chain([body + 16 + piece, bytes.len() - 1]) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(opened(&changed, &opener).is_err(), "byte {at}");
    }
    for cut in [0, body, body + 16, body + 16 + piece, body + 16 + 2 * piece] {
        assert!(opened(&bytes[..cut], &opener).is_err(), "cut to {cut}");
    }
    let swapped = [
        &bytes[..body + 16],
        &bytes[body + 16 + piece..body + 16 + 2 * piece],
        &bytes[body + 16..body + 16 + piece],
        &bytes[body + 16 + 2 * piece..],
    ]
    .concat();
    assert!(opened(&swapped, &opener).is_err());
    let longer = [&bytes[..], b"x"].concat();
    assert!(opened(&longer, &opener).is_err());
}

/// Fails if a stanza for others ends the search, or a wrong key opens anything.
#[test]
fn each_key_of_several_opens_and_no_other() {
    let (mut locks, mut openers) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        if let (Lock::Keys(keys), opener) = pair() {
            locks.extend(keys);
            openers.push(opener);
        }
    }
    let bytes = sealed(&Lock::Keys(locks.clone()), b"content");
    for opener in &openers {
        assert_eq!(opened(&bytes, opener).expect("one of them"), b"content");
    }
    let (_, stranger) = pair();
    assert!(matches!(
        opened(&bytes, &stranger),
        Err(BackupError::WrongKey)
    ));
    let by_word = Opener::Passphrase(passphrase("correct horse battery"));
    assert!(matches!(
        opened(&bytes, &by_word),
        Err(BackupError::WrongKey)
    ));
    let many = vec![locks[0]; BACKUP_KEYS_MAX + 1];
    for keys in [Vec::new(), many] {
        assert!(envelope::write(&mut Vec::new(), &Lock::Keys(keys)).is_err());
    }
}

/// Fails if the passphrase is not part of the key, or a head may ask for any amount of memory.
#[test]
fn a_passphrase_opens_and_another_does_not() {
    let bytes = sealed(
        &Lock::Passphrase(passphrase("correct horse battery")),
        b"content",
    );
    let opener = |text| Opener::Passphrase(passphrase(text));
    let right = opened(&bytes, &opener("correct horse battery"));
    assert_eq!(right.expect("the same"), b"content");
    let wrong = opened(&bytes, &opener("correct horse batterz"));
    assert!(matches!(wrong, Err(BackupError::WrongKey)));
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let greedy = head.replace(" 262144 3 1\n", " 4000000000 3 1\n");
    assert_ne!(head, greedy);
    let refused = opened(greedy.as_bytes(), &opener("correct horse battery"));
    assert!(matches!(refused, Err(BackupError::NotABackup)));
}

/// Fails without the bound of the head.
#[test]
fn what_is_no_backup_is_said_to_be_none() {
    let (_, opener) = pair();
    let endless = format!(
        "age-encryption.org/v1\n-> X25519 {}",
        "A".repeat(BACKUP_HEAD_BYTES_MAX)
    );
    let texts = [
        "",
        "SQLite format 3",
        "age-encryption.org/v2\n",
        "age-encryption.org/v1\n",
        &endless,
    ];
    for text in texts {
        let found = opened(text.as_bytes(), &opener);
        assert!(
            matches!(found, Err(BackupError::NotABackup)),
            "{:.30}",
            text
        );
    }
}

fn about() -> About {
    About {
        form: FORM,
        version: "0".to_owned(),
        site: "00".to_owned(),
        taken_unix_s: 1,
        generation: 2,
    }
}

fn packed(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut packing = Packing::new(Vec::new(), &about()).expect("memory");
    for (name, bytes) in entries {
        packing.bytes(name, bytes).expect("memory");
    }
    packing.finish().expect("memory")
}

/// Fails if a name is joined to the folder as it comes, or the checksums are not held against the
/// files.
#[test]
fn only_files_of_a_site_are_unpacked() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let good: [(&str, &[u8]); 4] = [
        ("cardea.toml", b"site"),
        ("sealing.key", b"key"),
        ("pki/server.der", b"der"),
        ("store.db", b"store"),
    ];
    let to = folder.path().join("good");
    let archive = packed(&good);
    let unpacked = unpack(archive.as_slice(), &to).expect("a site");
    assert_eq!(
        (unpacked.about, unpacked.config.as_str()),
        (about(), "site")
    );
    assert_eq!(fs::read(to.join("pki/server.der")).expect("there"), b"der");
    assert!(
        !to.join("cardea.toml").exists(),
        "written last, by who restores"
    );

    let hostile = [
        "../store.db",
        "pki/../../x",
        "/tmp/x",
        "pki/.x",
        "pki/a/b",
        "other",
    ];
    for (number, name) in hostile.into_iter().enumerate() {
        let to = folder.path().join(format!("hostile{number}"));
        let mut tar = packed(&good);
        // As no honest packer writes it: the first entry's name is overwritten.
        let at = tar
            .windows(8)
            .position(|part| part == b"store.db")
            .expect("there");
        tar[at..at + 100].fill(0);
        tar[at..at + name.len()].copy_from_slice(name.as_bytes());
        let mut sum: u32 = tar[at..at + 512].iter().map(|byte| u32::from(*byte)).sum();
        let old: u32 = tar[at + 148..at + 156]
            .iter()
            .map(|byte| u32::from(*byte))
            .sum();
        sum = sum - old + 8 * 32;
        tar[at + 148..at + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let refused = unpack(tar.as_slice(), &to);
        let refused = refused.err().map(|error| error.to_string());
        assert!(
            refused.is_some_and(|why| why.contains("no backup holds")),
            "{name}"
        );
    }
}

/// Fails without the bounds of what is read into memory, and of how many files there are.
#[test]
fn an_archive_is_bounded() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let long = vec![b'#'; BACKUP_SMALL_FILE_BYTES_MAX as usize + 1];
    let at_the_limit = packed(&[("cardea.toml", &long[1..])]);
    unpack(at_the_limit.as_slice(), &folder.path().join("long")).expect("at the limit");
    let beyond = packed(&[("cardea.toml", &long)]);
    assert!(unpack(beyond.as_slice(), &folder.path().join("longer")).is_err());

    let names: Vec<_> = (0..BACKUP_ENTRIES_MAX)
        .map(|n| format!("pki/{n}"))
        .collect();
    let mut entries: Vec<(&str, &[u8])> = vec![("cardea.toml", b"")];
    entries.extend(names.iter().map(|name| (name.as_str(), &b""[..])));
    let (most, more) = (BACKUP_ENTRIES_MAX - 2, BACKUP_ENTRIES_MAX);
    let unpacked = |count, name| {
        let tar = packed(&entries[..count]);
        unpack(tar.as_slice(), &folder.path().join(name)).is_ok()
    };
    assert!(unpacked(most, "most") && !unpacked(more, "more"));
}

/// Fails if a checksum is not looked at.
#[test]
fn a_file_that_differs_from_its_checksum_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut tar = packed(&[("cardea.toml", b"site"), ("store.db", b"storestorestore")]);
    let at = tar
        .windows(15)
        .position(|part| part == b"storestorestore")
        .expect("there");
    tar[at] ^= 1;
    let refused = unpack(tar.as_slice(), folder.path());
    let Err(BackupError::ChecksumMismatch { name }) = refused else {
        panic!("taken, or refused for another reason");
    };
    assert_eq!(name, "store.db");
}

/// A sweep that could not take the lock said all was well, and copies of withdrawn people stayed.
/// Fails if `sweep` passes over any error of `only_one`.
#[test]
fn a_sweep_that_cannot_look_says_so() {
    let data = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(data.path().join(FOLDER)).expect("made");
    // Nobody can open this as a file.
    let lock = data.path().join("backup.lock");
    fs::create_dir(&lock).expect("made");
    assert!(matches!(sweep(data.path(), 9, 9), Err(BackupError::Io(_))));
    fs::remove_dir(&lock).expect("it is ours");
    let other = fs::File::create(&lock).expect("made");
    other.lock().expect("nobody has it");
    sweep(data.path(), 9, 9).expect("another backup is being taken");
    assert!(data.path().join(FOLDER).exists());
    drop(other);
    sweep(data.path(), 9, 9).expect("swept");
    assert!(!data.path().join(FOLDER).exists());
}

/// A backup was gone on with for half an hour where a withdrawn embedding is to be gone in a
/// minute. Fails if `Staging::left` has a bound of its own, or `kept_s` is not half the period.
#[test]
fn nobody_goes_on_past_half_the_erasure_period() {
    assert_eq!(kept_s(3_600), BACKUP_RESUME_S);
    assert_eq!(kept_s(u64::MAX), BACKUP_RESUME_S);
    let data = tempfile::tempdir().expect("a temporary folder");
    let about = About {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..about()
    };
    let (taken, site) = (about.taken_unix_s, about.site.clone());
    let target = data.path().join("one.age");
    Staging::begin(data.path(), about, target.clone(), Vec::new()).expect("begun");
    let mut order = Order {
        data: data.path().to_owned(),
        target: Target::File(target),
        lock: pair().0,
        days: 1,
        now_unix_s: taken + 30,
        kept_s: kept_s(60),
    };
    assert!(Staging::left(&order, &site).is_some());
    order.now_unix_s += 1;
    assert!(Staging::left(&order, &site).is_none());
}

/// A backup that went on read its copies as fast as the disk gives. Fails if `hash_of` or
/// `Packing::file` reads the file itself.
#[test]
fn copies_are_read_at_the_pace() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("copy");
    let file = fs::File::create(&path).expect("made");
    file.set_len(BACKUP_BYTES_PER_S / 16).expect("long");
    let due = Duration::from_secs(1) / 16;
    let mut packing = Packing::new(io::sink(), &about()).expect("a sink");
    let began = Instant::now();
    hash_of(&path).expect("read");
    assert!(began.elapsed() >= due);
    let began = Instant::now();
    packing.file("store.db", &path).expect("read");
    assert!(began.elapsed() >= due);
}
