//! Who claims to be somewhere else, or somebody else: a device at another door, another user of
//! the server's machine. THREATS.md has the rows.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use cardea_loadtest::tls;
use cardea_tests::device::{self, access, new_id};
use cardea_tests::raw::{Raw, status};
use cardea_tests::{Device, Site, face};
use cardea_wire::{Decision, Reason, path};

const ANNA: u64 = 1;
/// Some user who is not root, and owns nothing here.
const NOBODY: &str = "65534";
/// curl's status when nobody lets it connect.
const COULD_NOT_CONNECT: i32 = 7;

/// Fails if `Attempt::begin` takes the door from anywhere but the device table, or
/// `Person::doors` is not asked.
#[test]
fn a_device_asks_for_its_own_door_whatever_it_claims() {
    let site = Site::new();
    site.done(&["door", "add", "side"]);
    let server = site.serve();
    server.admin().enrol("Anna", &face(ANNA)).expect("enrolled");
    site.done(&["right", "revoke", "Anna", "--every-door"]);
    site.done(&["right", "grant", "Anna", "main"]);
    let mut front = site.device("front");
    assert_eq!(front.access(&face(ANNA)).decision, Decision::Granted);

    let table = site.done(&["device", "add", "back", "--door", "side"]);
    let code = table.split_whitespace().next_back().expect("a code");
    let mut back = Device::commission(code);
    let denied = (Decision::Denied, Reason::NoRight);
    let reply = back.access(&face(ANNA));
    assert_eq!((reply.decision, reply.reason), denied, "no claim");

    let config = tls::commissioned(&back.identity, false).expect("a configuration");
    let body = access(new_id(), &face(ANNA));
    let length = body.len();
    for (claim, target) in [
        ("Door: main\r\n", path::ACCESS.to_owned()),
        (
            "X-Device: front\r\nX-Forwarded-For: front\r\n",
            path::ACCESS.to_owned(),
        ),
        ("", format!("{}?door=main", path::ACCESS)),
    ] {
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: main\r\n{claim}Connection: close\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        let mut raw = Raw::connect(config.clone(), server.address);
        raw.send(&[head.as_bytes(), &body].concat()).expect("sent");
        let response = raw.read_to_end().expect("an answer");
        if status(&response) == Some(200) {
            let reply = device::parse(&response[response.len() - 64..]);
            assert_eq!((reply.decision, reply.reason), denied, "{claim}");
        } else {
            assert_eq!(status(&response), Some(404), "{target}");
        }
    }
    let doors = "SELECT count(DISTINCT door) FROM records
        WHERE device = (SELECT max(device) FROM records)";
    let doors: i64 = site
        .audit()
        .query_row(doors, [], |row| row.get(0))
        .expect("a count");
    assert_eq!(doors, 1, "the audit has it at another door, too");
    server.stop();
}

/// Fails without `set_permissions` in `admin::socket::listen`; the directory is open here, as if
/// somebody had changed its mode.
#[test]
fn another_user_of_the_machine_gives_no_commands() {
    let site = Site::new();
    let server = site.serve();
    let socket = site.data().join("cardea.sock");
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&site.data()), mode(&socket)), (0o700, 0o600));
    let data = site.data();
    for folder in [&data, data.parent().expect("a folder")] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("ours");
    }
    let ask = |program: &mut Command| {
        let asked = program.arg("--unix-socket").arg(&socket);
        let asked = asked.args(["-sS", "-m", "30", "http://cardea/"]).output();
        asked.expect("curl runs").status.code()
    };
    let ours = ask(&mut Command::new("curl"));
    assert_ne!(ours, Some(COULD_NOT_CONNECT), "nobody listens");
    if !rustix::process::geteuid().is_root() {
        println!("not root: what another user may do was not tried, only the modes");
        return;
    }
    let mut nobody = Command::new("setpriv");
    nobody.args([
        "--reuid",
        NOBODY,
        "--regid",
        NOBODY,
        "--clear-groups",
        "curl",
    ]);
    assert_eq!(ask(&mut nobody), Some(COULD_NOT_CONNECT));
    server.stop();
}
