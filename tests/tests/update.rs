//! Updates that come by Connect: signed by the real minisign, cut on their way, refused for every
//! reason there is; the unit's script, with its tools replaced.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use cardea_tests::broker::date;
use cardea_tests::space::until;
use cardea_tests::updates::{Updates, payload};
use serde_json::{Value, json};

const PACKAGE: &str = "cardea_9.0.0_amd64.deb";

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

/// The unit's script with dpkg's and systemd's programs replaced by steps that write down that they
/// were called; tests/package_update.rs has the real ones. Fails when it applies what is not
/// signed or not whole, or does not go back.
fn apply_and_go_back(updates: &Updates, folder: &Path) {
    let root = updates.broker.folder();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/package/cardea-update");
    let steps = root.join("steps");
    let data = updates.site.data();
    let tool = |name: &str, body: &str| {
        let path = root.join("bin").join(name);
        let log = format!("echo {name} \"$@\" >>{}", steps.display());
        fs::write(&path, format!("#!/bin/sh\n{log}\n{body}\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
    };
    let run = |keys: &str| {
        let _ = fs::remove_file(&steps);
        fs::write(data.join("updates/apply"), "9.0.0\n").expect("written");
        let path = format!(
            "{}:{}",
            root.join("bin").display(),
            std::env::var("PATH").unwrap_or_default()
        );
        let output = Command::new("sh")
            .arg(&script)
            .env("PATH", path)
            .env("CARDEA", cardea_tests::programs::program("cardea"))
            .env("CARDEA_DATA", &data)
            .env("CARDEA_UPDATE_STATE", root.join("state"))
            .env("CARDEA_UPDATE_KEYS", root.join(keys))
            .env("READY_WAIT_S", "1")
            .output()
            .expect("sh runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let log = fs::read_to_string(&steps).unwrap_or_default();
        assert!(!data.join("updates/apply").exists(), "taken once");
        (log, said)
    };
    // The server tells what came of it as soon as it is there.
    let told = |action: &str| {
        until(action, || {
            let tail = updates.site.done(&["audit", "tail"]);
            tail.contains(&format!("{action}\t9.0.0"))
        });
        assert!(!data.join("updates/outcome").exists(), "it is told once");
    };
    fs::create_dir(root.join("bin")).expect("made");
    tool("dpkg", "");
    tool("dpkg-query", "");
    tool("dpkg-deb", "");
    tool("mv", "exec /bin/mv \"$@\"");
    // Each server has an invocation of its own.
    let active = "case $1 in show) date +%s%N;; esac";
    tool("systemctl", active);
    let (log, said) = run("update.pub");
    let installed = |log: &str| log.lines().filter(|line| line.contains(" -i ")).count();
    assert!(log.contains("9.0.0_amd64.deb"), "{log}{said}");
    assert_eq!(installed(&log), 1, "{log}");
    // Atomic only within a file system, and that of the data may be another than root's.
    let outcome = data.join("updates/outcome").display().to_string();
    let renamed = format!("mv -T -- {outcome}.part {outcome}");
    assert!(log.lines().any(|line| line == renamed), "{log}");
    told("update.applied");
    // The server before is active for ever, the new one never is: the one before is put back.
    tool("systemctl", "case $1 in show) echo same;; esac");
    let (log, said) = run("update.pub");
    assert_eq!(installed(&log), 2, "{log}{said}");
    assert!(log.contains("present.deb"), "{log}");
    told("update.rolled-back");
    // Signed by another: nothing is called at all.
    let (log, said) = run("other.pub");
    assert!(log.is_empty() && said.contains("bad signature"), "{said}");
    let package = folder.join(PACKAGE);
    let bytes = fs::read(&package).expect("it is there");
    fs::write(&package, &bytes[..bytes.len() - 1]).expect("written");
    let (log, said) = run("update.pub");
    assert!(log.is_empty() && said.contains("shorter"), "{log}{said}");
    fs::write(&package, bytes).expect("written");
}
