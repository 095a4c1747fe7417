//! Updates that come by Connect: signed by the real minisign, cut on their way, refused for every
//! reason there is; firmware at the devices; the unit's script, with its tools replaced.

use std::fs;
use std::path::Path;
use std::process::Command;

use cardea_loadtest::tls;
use cardea_tests::broker::{Broker, Listener, command, date};
use cardea_tests::raw::{Raw, status};
use cardea_tests::{Device, Server, Site};
use cardea_wire::reply::CommandKind;
use serde_json::{Value, json};

const PACKAGE: &str = "cardea_9.0.0_amd64.deb";

/// A site that has joined an authority with updates, and whoever signs them.
struct Updates {
    broker: Broker,
    site: Site,
    server: Server,
    listener: Listener,
}

fn minisign(folder: &Path, arguments: &[&str]) {
    let output = Command::new("minisign")
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("minisign is there: tools/test connect installs it");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
}

impl Updates {
    fn new(id: &str, arguments: &[&str]) -> Self {
        let mut broker = Broker::new();
        let folder = broker.folder().to_owned();
        for key in ["update", "other"] {
            let (public, secret) = (format!("{key}.pub"), format!("{key}.key2"));
            minisign(&folder, &["-G", "-f", "-W", "-p", &public, "-s", &secret]);
        }
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
        }
    }

    fn file(&self, name: &str, role: &str, bytes: &[u8]) -> Value {
        fs::write(self.broker.folder().join("updates").join(name), bytes).expect("written");
        json!({"name": name, "role": role, "size": bytes.len(),
            "blake3": blake3::hash(bytes).to_hex().as_str()})
    }

    fn manifest(&self, name: &str, version: &str, files: Value, change: impl Fn(&mut Value)) {
        let mut manifest = json!({"v": 1, "product": "cardea", "version": version,
            "minimum": "0.1.0", "expires": date(4_000_000_000), "files": files});
        change(&mut manifest);
        let path = self.broker.folder().join("updates").join(name);
        fs::write(path, manifest.to_string()).expect("written");
        self.sign(name, "update");
    }

    fn sign(&self, name: &str, key: &str) {
        let (key, name) = (format!("{key}.key2"), format!("updates/{name}"));
        minisign(self.broker.folder(), &["-S", "-s", &key, "-m", &name]);
    }

    fn update(&mut self, id: &str, with: Value) -> Value {
        let site = fs::read_to_string(self.broker.folder().join("site")).unwrap_or_default();
        let site = if site.is_empty() { "u1" } else { &site };
        self.broker.command(site, &command(id, "update", with));
        self.listener.end_of(id)
    }

    fn staged(&self) -> bool {
        self.site.data().join("updates").join("apply").exists()
    }
}

/// Bytes that no two places of are alike, so that a part out of place has another hash.
fn payload(length: usize) -> Vec<u8> {
    let words = (0_u32..).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes());
    words.take(length).collect()
}

/// Each row fails when its check is taken out of `Manifest` or `fetch`; a download that is cut
/// every 300,000 bytes fails when it is not taken up.
#[test]
fn an_update_is_staged_only_when_everything_about_it_is_right() {
    let mut updates = Updates::new("u1", &["--cut-after", "300000"]);
    let package = payload(1_000_000);
    let file = updates.file(PACKAGE, "server", &package);
    let bad = |updates: &mut Updates, id: &str, manifest: &str, reason: &str| {
        let end = updates.update(id, json!({ "manifest": manifest }));
        let said = end["reason"].as_str().unwrap_or_default();
        assert_eq!(end["state"], "failed", "{id}: {end}");
        assert!(said.contains(reason), "{id}: {said}");
        assert!(!updates.staged(), "{id}");
    };

    updates.manifest("other.json", "9.0.0", json!([file]), |_| {});
    updates.sign("other.json", "other");
    bad(&mut updates, "r-1", "other.json", "bad signature");
    updates.manifest("changed.json", "9.0.0", json!([file]), |_| {});
    let path = updates.broker.folder().join("updates").join("changed.json");
    let text = fs::read_to_string(&path).expect("written");
    fs::write(&path, text.replace("9.0.0", "9.9.9")).expect("written");
    bad(&mut updates, "r-2", "changed.json", "bad signature");
    updates.manifest("old.json", "0.0.9", json!([file]), |_| {});
    bad(&mut updates, "r-3", "old.json", "is not newer than");
    updates.manifest("late.json", "9.0.0", json!([file]), |m| {
        m["expires"] = date(1).into()
    });
    bad(&mut updates, "r-4", "late.json", "expired");
    updates.manifest("far.json", "9.0.0", json!([file]), |m| {
        m["minimum"] = "8.0.0".into()
    });
    bad(
        &mut updates,
        "r-5",
        "far.json",
        "must first be brought to 8.0.0",
    );
    let mut short = updates.file("short.deb", "server", &package[..1_000]);
    short["size"] = json!(2_000);
    updates.manifest("short.json", "9.0.0", json!([short]), |_| {});
    bad(
        &mut updates,
        "r-6",
        "short.json",
        "shorter than the manifest says",
    );
    let mut long = updates.file("long.deb", "server", &package[..1_000]);
    long["size"] = json!(500);
    updates.manifest("long.json", "9.0.0", json!([long]), |_| {});
    bad(
        &mut updates,
        "r-7",
        "long.json",
        "longer than the manifest says",
    );
    let mut wrong = updates.file("wrong.deb", "server", &package[..1_000]);
    wrong["blake3"] = json!("00".repeat(32));
    updates.manifest("wrong.json", "9.0.0", json!([wrong]), |_| {});
    bad(&mut updates, "r-8", "wrong.json", "another hash");
    bad(&mut updates, "r-9", "missing.json", "404");
    bad(&mut updates, "r-10", "../ca.pem", "path is none");

    updates.manifest("good.json", "9.0.0", json!([file]), |_| {});
    let end = updates.update("r-11", json!({"manifest": "good.json"}));
    assert_eq!(end["result"]["package"], "staged", "{end}");
    assert!(updates.staged());
    let folder = updates.site.data().join("updates").join("9.0.0");
    assert_eq!(
        fs::read(folder.join(PACKAGE)).expect("it is there"),
        package
    );
    // It was told before the result.
    let told = |(_, m): &(String, Value)| m["event"] == "update.staged" && m["version"] == "9.0.0";
    assert!(updates.listener.heard.iter().any(told));
    apply_and_go_back(&updates, &folder);
    let Updates { server, .. } = updates;
    server.stop();
}

/// The unit's script with `dpkg` and `systemctl` replaced by steps that write down that they were
/// called. Fails when it applies what is not signed, or does not go back.
fn apply_and_go_back(updates: &Updates, folder: &Path) {
    let root = updates.broker.folder();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/package/cardea-update");
    let steps = root.join("steps");
    let tool = |name: &str, body: &str| {
        let path = root.join(name);
        let text = format!(
            "#!/bin/sh\necho {name} \"$@\" >>{}\n{body}\n",
            steps.display()
        );
        fs::write(&path, text).expect("written");
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
        path
    };
    let dpkg = tool("dpkg", "");
    let run = |systemctl: &Path, keys: &str| {
        let _ = fs::remove_file(&steps);
        let data = updates.site.data();
        fs::write(data.join("updates/apply"), "9.0.0\n").expect("written");
        let state = root.join("state");
        fs::create_dir_all(&state).expect("made");
        fs::write(state.join("installed.deb"), b"the one before").expect("written");
        let status = Command::new("sh")
            .arg(&script)
            .env("CARDEA", cardea_tests::programs::program("cardea"))
            .env("CARDEA_DATA", &data)
            .env("CARDEA_UPDATE_STATE", &state)
            .env("CARDEA_UPDATE_KEYS", root.join(keys))
            .env("DPKG", &dpkg)
            .env("SYSTEMCTL", systemctl)
            .env("READY_WAIT_S", "1")
            .output()
            .expect("sh runs");
        let said = String::from_utf8_lossy(&status.stderr).into_owned();
        let log = fs::read_to_string(&steps).unwrap_or_default();
        let outcome = fs::read_to_string(data.join("updates/outcome")).unwrap_or_default();
        let _ = fs::remove_file(data.join("updates/outcome"));
        assert!(!data.join("updates/apply").exists(), "taken once");
        (log, outcome, said)
    };
    let ready = tool("ready", "");
    let (log, outcome, said) = run(&ready, "update.pub");
    assert!(log.contains("dpkg -i"), "{log}{said}");
    assert!(log.contains("9.0.0"), "{log}");
    assert!(outcome.contains(r#""applied":true"#), "{outcome}");
    // The new server is never ready: the package before it is put back.
    let count = root.join("count");
    let failing = format!(
        "case $1 in is-active) echo asked >>{0}; exit 3;; esac",
        count.display()
    );
    let failing = tool("failing", &failing);
    let (log, outcome, _) = run(&failing, "update.pub");
    let installs: Vec<_> = log
        .lines()
        .filter(|line| line.contains("dpkg -i"))
        .collect();
    assert_eq!(installs.len(), 2, "{log}");
    assert!(installs[1].contains("installed.deb"), "{log}");
    assert!(outcome.contains(r#""applied":false"#), "{outcome}");
    // Signed by another: nothing is called at all.
    let (log, outcome, said) = run(&ready, "other.pub");
    assert!(log.is_empty() && outcome.is_empty(), "{log}{outcome}");
    assert!(said.contains("bad signature"), "{said}");
    let package = folder.join(PACKAGE);
    let bytes = fs::read(&package).expect("it is there");
    fs::write(&package, &bytes[..bytes.len() - 1]).expect("written");
    let (log, _, said) = run(&ready, "update.pub");
    assert!(log.is_empty() && said.contains("shorter"), "{log}{said}");
    fs::write(&package, bytes).expect("written");
}

/// Status, head and body of a part that a device fetches.
fn fetch(device: &Device, path: &str, range: &str) -> (u16, String, Vec<u8>) {
    let config = tls::commissioned(&device.identity, false).expect("a configuration");
    let mut raw = Raw::connect(config, device.identity.server);
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: cardea\r\n{range}Connection: close\r\n\r\n");
    raw.send(request.as_bytes()).expect("sent");
    let answer = raw.read_to_end().expect("answered");
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("a head");
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    (
        status(&answer).expect("a status"),
        head,
        answer[end + 4..].to_vec(),
    )
}

/// Fails when firmware is served whole, out of place, or to somebody without a certificate; or
/// when the command is not done by the device that says so.
#[test]
fn devices_fetch_firmware_by_ranges_when_their_reply_tells_them_to() {
    let mut updates = Updates::new("u2", &[]);
    fs::write(updates.broker.folder().join("site"), "u2").expect("written");
    let mut device = updates.site.device("d1");
    let firmware = payload(600_000);
    let mut file = updates.file("device.bin", "firmware", &firmware);
    file["firmware"] = json!("2.1.0");
    updates.manifest("fw.json", "0.1.0", json!([file]), |_| {});
    let end = updates.update("f-1", json!({"manifest": "fw.json"}));
    assert_eq!(end["result"]["devices_told"], 1, "{end}");
    assert!(!updates.staged(), "no package came with it");

    let (_, reply) = device.heartbeat();
    let told = reply.command.expect("a command");
    assert_eq!(told.kind, CommandKind::Update);
    let body: Value = serde_json::from_slice(&told.body).expect("JSON");
    assert_eq!(body["version"], "2.1.0");
    let path = body["path"].as_str().expect("a path");
    let (whole, head, _) = fetch(&device, path, "");
    assert_eq!(whole, 416, "{head}");
    let mut fetched = Vec::new();
    while fetched.len() < firmware.len() {
        let range = format!("Range: bytes={}-\r\n", fetched.len());
        let (partial, head, part) = fetch(&device, path, &range);
        assert_eq!(partial, 206, "{head}");
        let expected = format!("content-range: bytes {}-", fetched.len());
        assert!(
            head.contains(&expected) && head.contains("/600000"),
            "{head}"
        );
        fetched.extend_from_slice(&part);
        let shown = updates.site.done(&["update", "status"]);
        let far = format!("fetched {} of 600000 bytes", fetched.len());
        assert!(shown.contains(&far), "{shown}");
    }
    assert!(fetched == firmware, "another firmware than was offered");
    assert_eq!(fetch(&device, "/v1/firmware/../store.db", "").0, 404);
    let stranger = tls::uncommissioned(
        cardea_wire::CommissioningCode::parse(&updates.site.code("d2"))
            .expect("a code")
            .site_ca_sha256,
    );
    let mut raw = Raw::connect(stranger.expect("a configuration"), updates.server.address);
    let request = format!("GET {path} HTTP/1.1\r\nHost: cardea\r\nConnection: close\r\n\r\n");
    raw.send(request.as_bytes()).expect("sent");
    assert_eq!(status(&raw.read_to_end().expect("answered")), Some(401));

    let mut message = cardea_tests::device::heartbeat(cardea_tests::device::new_id());
    // PROTOCOL: firmware at 48, the command that is done at 52.
    message[48..52].copy_from_slice(&0x0002_0100_u32.to_le_bytes());
    message[52..56].copy_from_slice(&told.id.to_le_bytes());
    let (taken, reply) = device.send(cardea_wire::path::HEARTBEAT, &message);
    assert_eq!((taken, reply.command), (200, None));
    cardea_tests::space::until("the device is done", || {
        let shown = updates.site.done(&["update", "status"]);
        shown.contains("2.1.0\t2.1.0\tdone")
    });
    let Updates { server, .. } = updates;
    server.stop();
}
