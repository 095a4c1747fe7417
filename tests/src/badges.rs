//! Certificates of devices for those who try what they let them: one in force, one of a removed
//! device, one that has expired, and one of another site.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use cardea_loadtest::identity::Identity;

use crate::device::Device;
use crate::site::{Server, Site};
use crate::space::until;

/// How long a device's certificate lives while `expired` is made, and afterwards, seconds.
const LIVES_S: [&str; 2] = ["2", "864000"];

/// Makes a site's badges: a folder with `device`, `removed`, `expired` and `foreign`, each
/// `NAME.identity`. Gives the folder and the site's running server.
///
/// # Panics
/// If something does not go well.
#[must_use]
pub fn badges(site: &Site) -> (PathBuf, Server) {
    let folder = site.file("badges");
    fs::create_dir(&folder).expect("a new folder");
    let keep = |name: &str, device: &Device| {
        let file = folder.join(format!("{name}.identity"));
        device.identity.save(&file).expect("written");
    };
    site.configure(&[("device_certificate_life_s", LIVES_S[0])]);
    let server = site.serve();
    let expired = site.device("expired");
    keep("expired", &expired);
    server.stop();
    site.configure(&[("device_certificate_life_s", LIVES_S[1])]);
    keep("foreign", &foreign());
    let server = site.serve();
    keep("device", &site.device("device"));
    keep("removed", &site.device("removed"));
    site.done(&["device", "remove", "removed"]);
    until("expired", || is_expired(&expired.identity));
    (folder, server)
}

/// A device of another site.
fn foreign() -> Device {
    let site = Site::new();
    let server = site.serve();
    let device = site.device("foreign");
    server.stop();
    device
}

fn is_expired(identity: &Identity) -> bool {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.expect("after 1970").as_secs();
    let (_, end) = identity.life().expect("a certificate");
    u64::try_from(end).is_ok_and(|end| end < now)
}
