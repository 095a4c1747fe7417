//! Firmware on its way: what the server offers, and the file that grows part by part beside the
//! identity. What has come stays there when the connection or the device goes down, and is gone on
//! with.
//!
//! ```text
//! IDENTITY.firmware.part   what has come of the firmware whose hash IDENTITY.firmware.of names
//! IDENTITY.firmware        what is installed; IDENTITY.version its version
//! ```

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use cardea_loadtest::http::Response;
use serde::Deserialize;

use crate::limits::FIRMWARE_BYTES_MAX;

const PATH_PREFIX: &str = "/v1/firmware/";
const HASH_CHARS: usize = 64;

/// Firmware that the server offers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Offer {
    /// Its version, `a.b.c`.
    pub(crate) version: String,
    /// Where it is fetched.
    pub(crate) path: String,
    /// Its length, bytes.
    pub(crate) size: u64,
    /// BLAKE3 of it, hexadecimal.
    pub(crate) blake3: String,
}

impl Offer {
    /// The body of an `Update` command.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, String> {
        let offer: Self = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        offer.number().ok_or("the version is no a.b.c")?;
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if offer.blake3.len() != HASH_CHARS || !offer.blake3.bytes().all(hex) {
            return Err("the hash is none".to_owned());
        }
        if offer.path.strip_prefix(PATH_PREFIX) != Some(&offer.blake3) {
            return Err("the path is none of firmware".to_owned());
        }
        if offer.size == 0 || offer.size > FIRMWARE_BYTES_MAX {
            return Err(format!("firmware of {} bytes", offer.size));
        }
        Ok(offer)
    }

    /// The version as messages carry it: 16 bits, then 8 and 8.
    pub(crate) fn number(&self) -> Option<u32> {
        number(&self.version)
    }
}

/// What a part made of a download.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// There is more to fetch.
    More,
    /// All is here, and is what was offered: it is installed.
    Whole,
    /// It will not become what was offered, in words; what had come is gone.
    Refused(String),
}

/// A download; what has come is in its file.
#[derive(Debug)]
pub(crate) struct Download {
    /// The command that asks for it.
    pub(crate) command: u32,
    /// What is fetched.
    pub(crate) offer: Offer,
    identity: PathBuf,
    have: u64,
}

impl Download {
    /// Begins, or goes on where an earlier one of the same firmware ended.
    pub(crate) fn open(identity: &Path, command: u32, offer: Offer) -> io::Result<Self> {
        let (part, of) = (beside(identity, PART), beside(identity, OF));
        let same = fs::read_to_string(&of).is_ok_and(|hash| hash == offer.blake3);
        let have = match fs::metadata(&part) {
            Ok(found) if same && found.len() <= offer.size => found.len(),
            Ok(_) | Err(_) => {
                fs::write(&part, "")?;
                fs::write(&of, &offer.blake3)?;
                0
            }
        };
        Ok(Self {
            command,
            offer,
            identity: identity.to_owned(),
            have,
        })
    }

    /// How many bytes are here: the next part begins there.
    pub(crate) fn have(&self) -> u64 {
        self.have
    }

    /// Takes the answer to a request for the part at [`Download::have`].
    ///
    /// # Errors
    /// Those of files; an answer after which the same part may be asked for again.
    pub(crate) fn take(&mut self, response: &Response) -> Result<Fetched, String> {
        let words = |error: io::Error| error.to_string();
        match response.status {
            200 if self.have == 0 => {}
            206 if response.part_from == Some(self.have) => {}
            206 => return Err("a part out of its place".to_owned()),
            404 | 416 => return self.refuse("the server keeps it no longer"),
            status => return Err(format!("firmware: HTTP {status}")),
        }
        let left = self.offer.size - self.have;
        if response.body.is_empty() || response.body.len() as u64 > left {
            return self.refuse("its length is not the one that was offered");
        }
        let part = beside(&self.identity, PART);
        let mut file = OpenOptions::new().append(true).open(&part).map_err(words)?;
        file.write_all(&response.body).map_err(words)?;
        self.have += response.body.len() as u64;
        if self.have < self.offer.size {
            return Ok(Fetched::More);
        }
        file.sync_all().map_err(words)?;
        let bytes = fs::read(&part).map_err(words)?;
        if blake3::hash(&bytes).to_hex().as_str() != self.offer.blake3 {
            return self.refuse("its hash is not the one that was offered");
        }
        fs::rename(&part, beside(&self.identity, INSTALLED)).map_err(words)?;
        fs::write(beside(&self.identity, VERSION), &self.offer.version).map_err(words)?;
        Ok(Fetched::Whole)
    }

    fn refuse(&self, why: &str) -> Result<Fetched, String> {
        // A file that stays is begun anew by whoever is offered firmware next.
        let _ = fs::remove_file(beside(&self.identity, PART));
        Ok(Fetched::Refused(why.to_owned()))
    }
}

const PART: &str = "firmware.part";
const OF: &str = "firmware.of";
const INSTALLED: &str = "firmware";
const VERSION: &str = "version";

/// The version that was installed last, as messages carry it.
pub(crate) fn installed(identity: &Path) -> Option<u32> {
    let text = fs::read_to_string(beside(identity, VERSION)).ok()?;
    number(text.trim())
}

fn beside(identity: &Path, what: &str) -> PathBuf {
    let mut name = identity.as_os_str().to_owned();
    name.push(".");
    name.push(what);
    PathBuf::from(name)
}

fn number(text: &str) -> Option<u32> {
    let mut parts = text.split('.');
    let major: u16 = parts.next()?.parse().ok()?;
    let minor: u8 = parts.next()?.parse().ok()?;
    let patch: u8 = parts.next()?.parse().ok()?;
    let whole = parts.next().is_none();
    whole.then(|| u32::from(major) << 16 | u32::from(minor) << 8 | u32::from(patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(bytes: &[u8]) -> Offer {
        let blake3 = blake3::hash(bytes).to_hex().to_string();
        Offer {
            version: "2.3.4".to_owned(),
            path: format!("{PATH_PREFIX}{blake3}"),
            size: bytes.len() as u64,
            blake3,
        }
    }

    fn part(status: u16, from: Option<u64>, body: &[u8]) -> Response {
        Response {
            status,
            close: false,
            part_from: from,
            body: body.to_vec(),
        }
    }

    /// Fails if what has come is fetched again, or something else is installed.
    #[test]
    fn a_download_goes_on_where_it_was_cut_and_is_installed_when_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let identity = folder.path().join("front.identity");
        let bytes = b"0123456789";
        let open = || Download::open(&identity, 7, offer(bytes)).expect("a file");
        let mut download = open();
        let first = download.take(&part(206, Some(0), &bytes[..4]));
        assert_eq!(first, Ok(Fetched::More));
        drop(download);
        let mut again = open();
        assert_eq!(again.have(), 4);
        again
            .take(&part(206, Some(3), &bytes[3..]))
            .expect_err("out of its place");
        again.take(&part(503, None, b"")).expect_err("try again");
        let last = again.take(&part(206, Some(4), &bytes[4..]));
        assert_eq!(last, Ok(Fetched::Whole));
        assert_eq!(
            fs::read(beside(&identity, INSTALLED)).expect("there"),
            bytes
        );
        assert_eq!(installed(&identity), Some(0x0002_0304));
    }

    /// Each row fails when its check is taken out of `take`.
    #[test]
    fn what_was_not_offered_is_not_installed() {
        let folder = tempfile::tempdir().expect("a folder");
        let identity = folder.path().join("front.identity");
        for (answer, why) in [
            (part(206, Some(0), b"012345678X"), "hash"),
            (part(206, Some(0), b"0123456789ab"), "length"),
            (part(206, Some(0), b""), "length"),
            (part(404, None, b""), "no longer"),
            (part(416, None, b""), "no longer"),
        ] {
            let mut download = Download::open(&identity, 7, offer(b"0123456789")).expect("a file");
            assert_eq!(download.have(), 0, "{why}: what was refused is kept");
            match download.take(&answer) {
                Ok(Fetched::Refused(said)) => assert!(said.contains(why), "{said}"),
                other => panic!("{why}: {other:?}"),
            }
            assert_eq!(installed(&identity), None);
        }
        // Another firmware does not go on where this one was.
        let mut download = Download::open(&identity, 7, offer(b"0123456789")).expect("a file");
        assert_eq!(
            download.take(&part(206, Some(0), b"01234")),
            Ok(Fetched::More)
        );
        let other = Download::open(&identity, 8, offer(b"9876543210")).expect("a file");
        assert_eq!(other.have(), 0);
    }

    /// Each row fails when its check is taken out of `parse`.
    #[test]
    fn an_offer_is_firmware_of_this_server_within_its_bound() {
        let good = offer(b"x");
        let body = |offer: &Offer| {
            format!(
                r#"{{"version":"{}","path":"{}","size":{},"blake3":"{}"}}"#,
                offer.version, offer.path, offer.size, offer.blake3
            )
        };
        assert_eq!(Offer::parse(body(&good).as_bytes()), Ok(good.clone()));
        let changed = |change: fn(&mut Offer)| {
            let mut offer = good.clone();
            change(&mut offer);
            body(&offer)
        };
        for bad in [
            changed(|offer| offer.version = "1.2".to_owned()),
            changed(|offer| offer.version = "1.256.0".to_owned()),
            changed(|offer| offer.path = "/v1/access".to_owned()),
            changed(|offer| offer.size = 0),
            changed(|offer| offer.size = FIRMWARE_BYTES_MAX + 1),
            changed(|offer| offer.blake3 = "../".repeat(21) + "."),
            "no json".to_owned(),
        ] {
            Offer::parse(bad.as_bytes()).expect_err(&bad);
        }
    }
}
