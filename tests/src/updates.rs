//! Updates that an authority offers: manifests signed by the real minisign, and their files.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::broker::{Broker, Listener, command, date};
use crate::site::{Server, Site};

/// A site that has joined an authority with updates, and whoever signs them.
pub struct Updates {
    /// The broker and the authority.
    pub broker: Broker,
    /// The site.
    pub site: Site,
    /// Its server.
    pub server: Server,
    /// Who hears what it tells.
    pub listener: Listener,
    id: String,
}

impl Updates {
    /// A site that has joined under this id; these are further arguments of the authority.
    ///
    /// # Panics
    /// If something does not start. `tools/test connect` installs what it needs.
    #[must_use]
    pub fn new(id: &str, arguments: &[&str]) -> Self {
        let mut broker = Broker::new();
        let folder = broker.folder().to_owned();
        key_pair(&folder, "update");
        key_pair(&folder, "other");
        fs::create_dir(folder.join("updates")).expect("made");
        let keys = folder.join("update.pub");
        let keys = keys.to_str().expect("a path in ASCII");
        broker.serve(&[&["--update-keys", keys], arguments].concat());
        let site = Site::new();
        let server = site.serve();
        broker.join(&site, id);
        let listener = broker.listen();
        Self {
            broker,
            site,
            server,
            listener,
            id: id.to_owned(),
        }
    }

    /// A file beside the manifests, as they describe it.
    #[must_use]
    pub fn file(&self, name: &str, role: &str, bytes: &[u8]) -> Value {
        file(&self.broker.folder().join("updates"), name, role, bytes)
    }

    /// A signed manifest, changed before it is signed.
    pub fn manifest(&self, name: &str, version: &str, files: Value, change: impl Fn(&mut Value)) {
        let mut manifest = manifest(version, files);
        change(&mut manifest);
        let folder = self.broker.folder();
        fs::write(folder.join("updates").join(name), manifest.to_string()).expect("written");
        self.sign(name, "update");
    }

    /// Signs a file of the folder `updates` by this key.
    pub fn sign(&self, name: &str, key: &str) {
        sign(self.broker.folder(), key, &format!("updates/{name}"));
    }

    /// Has the site update, and gives how that ended.
    pub fn update(&mut self, id: &str, with: Value) -> Value {
        self.broker.command(&self.id, &command(id, "update", with));
        self.listener.end_of(id)
    }

    /// Whether a package waits to be applied.
    #[must_use]
    pub fn staged(&self) -> bool {
        self.site.data().join("updates").join("apply").exists()
    }
}

/// A manifest that holds for long.
#[must_use]
pub fn manifest(version: &str, files: Value) -> Value {
    json!({"v": 1, "product": "cardea", "version": version, "minimum": "0.1.0",
        "expires": date(4_000_000_000), "files": files})
}

/// Writes a file, and describes it as a manifest does.
///
/// # Panics
/// If it cannot be written.
#[must_use]
pub fn file(folder: &Path, name: &str, role: &str, bytes: &[u8]) -> Value {
    fs::write(folder.join(name), bytes).expect("written");
    json!({"name": name, "role": role, "size": bytes.len(),
        "blake3": blake3::hash(bytes).to_hex().as_str()})
}

/// Makes a pair of keys, `NAME.pub` and `NAME.key2`.
pub fn key_pair(folder: &Path, name: &str) {
    let (public, secret) = (format!("{name}.pub"), format!("{name}.key2"));
    minisign(folder, &["-G", "-f", "-W", "-p", &public, "-s", &secret]);
}

/// Signs a file by this key; the signature lies beside it.
pub fn sign(folder: &Path, key: &str, file: &str) {
    minisign(folder, &["-S", "-s", &format!("{key}.key2"), "-m", file]);
}

fn minisign(folder: &Path, arguments: &[&str]) {
    let output = Command::new("minisign")
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("minisign is there: tools/test installs it");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
}

/// Bytes that no two places of are alike, so that a part out of place has another hash.
#[must_use]
pub fn payload(length: usize) -> Vec<u8> {
    let words = (0_u32..).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes());
    words.take(length).collect()
}
