//! The Debian package, installed into a Debian 12 that runs with systemd as its first process:
//! files, set-up, service, upgrade, a crash, a hang, removal, a restart of the machine.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;

use cardea_tests::machine::Machine;
use cardea_tests::package::{ADDRESS, DEB, SETUP, build, health, installed, no_machine};
use cardea_tests::space::until;
use rusqlite::{Connection, OpenFlags};

/// Fails if a check of Debian's is broken and not explained.
#[test]
fn lintian_has_nothing_to_say() {
    let deb = build();
    let lintian = Command::new("lintian")
        .args(["--allow-root", "--fail-on", "error,warning"])
        .arg(deb)
        .output();
    let Ok(output) = lintian else {
        println!("SKIPPED: there is no lintian here: apt-get install lintian");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

/// Fails if a step of `cardea setup` is not done, done twice, or the sandbox keeps the server from
/// its work.
#[test]
fn a_machine_is_set_up_serves_survives_and_forgets() {
    if let Some(why) = no_machine() {
        println!("SKIPPED: no Debian machine here: {why}");
        return;
    }
    let machine = installed(build());
    files_are_where_they_belong(&machine);
    let nobody = machine.output(&["cardea", "setup"]);
    let error = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert!(error.contains("nobody can be asked"), "{error}");
    let said = machine.done(&SETUP);
    assert!(said.ends_with("set up\n"), "{said}");
    until("the server answers", || health(&machine).is_some());
    setting_up_again_changes_nothing(&machine);
    the_service_is_confined(&machine);
    the_clock_and_updates_are_set(&machine);
    commands_of_root_leave_the_data_to_its_owner(&machine);
    backups_are_taken_by_the_timer(&machine);
    an_upgrade_refuses_nobody(&machine);
    a_crash_and_a_hang_are_healed(&machine);
    removal_keeps_the_data(machine);
}

fn files_are_where_they_belong(machine: &Machine) {
    for (name, mode) in [
        ("/usr/bin/cardea", 0o755),
        ("/usr/share/man/man1/cardea-setup.1.gz", 0o644),
        ("/usr/share/bash-completion/completions/cardea", 0o644),
        ("/usr/share/doc/cardea/third-party-licences.txt", 0o644),
        ("/usr/share/cardea/grafana/cardea.json", 0o644),
        ("/usr/share/cardea/prometheus/cardea.rules.yml", 0o644),
        ("/usr/lib/cardea/back-off", 0o755),
        ("/usr/lib/cardea/cardea-update", 0o755),
        ("/usr/lib/systemd/system/cardea.service", 0o644),
        ("/etc/chrony/cardea.conf", 0o644),
        ("/var/lib/cardea", 0o700),
    ] {
        let metadata = fs::metadata(machine.file(name)).expect(name);
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{name}");
    }
    let owner = machine.done(&["stat", "-c", "%U:%G", "/var/lib/cardea"]);
    assert_eq!(owner.trim(), "cardea:cardea");
    let units = "/usr/lib/systemd/system";
    let verify = format!("systemd-analyze verify --man=no {units}/cardea*");
    let verified = machine.done(&["sh", "-c", &verify]);
    assert_eq!(verified, "", "systemd understands every line");
    // Nothing runs that nobody has set up.
    assert_eq!(
        machine.property("cardea.service", "ActiveState"),
        "inactive"
    );
    let licences = machine.file("/usr/share/doc/cardea/third-party-licences.txt");
    let licences = fs::read_to_string(licences).expect("licences");
    for linked in ["rustls ", "aws-lc-rs ", "rusqlite "] {
        assert!(licences.contains(linked), "{linked}");
    }
}

/// Every file of the settings, with what it holds and when it was made.
fn settings(machine: &Machine) -> BTreeMap<String, (u64, i64)> {
    let listed = machine.done(&[
        "find",
        "/etc",
        "/var/lib/cardea/cardea.toml",
        "/var/lib/cardea/pki",
        "-type",
        "f",
    ]);
    let entry = |name: &str| {
        let metadata = fs::metadata(machine.file(name)).ok()?;
        let written = metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec();
        Some((name.to_owned(), (metadata.ino(), written)))
    };
    listed.lines().filter_map(entry).collect()
}

fn setting_up_again_changes_nothing(machine: &Machine) {
    let before = settings(machine);
    assert!(
        before.contains_key("/etc/cardea/network.toml"),
        "{before:?}"
    );
    let pid = machine.property("cardea.service", "MainPID");
    assert_eq!(machine.done(&SETUP), "nothing was changed\n");
    assert_eq!(
        machine.done(&["cardea", "setup", "--firewall=now"]),
        "nothing was changed\n"
    );
    assert_eq!(settings(machine), before);
    assert_eq!(machine.property("cardea.service", "MainPID"), pid);
    let other = machine.output(&["cardea", "setup", "--ip", "10.9.0.2"]);
    assert!(!other.status.success(), "an address is for good");
}

fn the_service_is_confined(machine: &Machine) {
    for (property, value) in [
        ("LimitCORE", "0"),
        ("MemorySwapMax", "0"),
        ("User", "cardea"),
    ] {
        assert_eq!(
            machine.property("cardea.service", property),
            value,
            "{property}"
        );
    }
    let pid = machine.property("cardea.service", "MainPID");
    let status = machine.done(&["cat", &format!("/proc/{pid}/status")]);
    let line = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.expect("the kernel tells").trim().to_owned()
    };
    assert_eq!(line("CapEff:"), "0000000000000000");
    assert_eq!(line("CapBnd:"), "0000000000000000");
    assert_eq!(line("NoNewPrivs:"), "1");
    assert_eq!(line("Seccomp:"), "2");
    // The sandbox once took the threads of the console their low priority, without a word. Fails
    // without `SystemCallFilter=sched_setscheduler setpriority`.
    let stats = machine.done(&["sh", "-c", &format!("cat /proc/{pid}/task/*/stat")]);
    let policies: Vec<_> = stats
        .lines()
        .filter(|line| line.contains("(console-"))
        .filter_map(|line| line.rsplit_once(')')?.1.split_whitespace().nth(38))
        .collect();
    assert_eq!(policies, ["5"; 3], "SCHED_IDLE: {stats}");
    // The key that opens the secrets is not beside them.
    assert!(!machine.file("/var/lib/cardea/sealing.key").exists());
    assert!(
        machine
            .file("/etc/credstore.encrypted/cardea-sealing-key")
            .exists()
    );
    let rules = machine.done(&["nft", "list", "table", "inet", "cardea"]);
    assert!(rules.contains("elements = { 10.9.0.0/24 }"), "{rules}");
    machine.done(&["systemctl", "start", "cardea-firewall-refresh.service"]);
    machine.done(&["systemctl", "reload", "cardea.service"]);
    until("the configuration is read again", || {
        let log = machine.done(&["journalctl", "--unit=cardea.service"]);
        log.contains("configuration read again")
    });
}

fn the_clock_and_updates_are_set(machine: &Machine) {
    let started = machine.property("chrony.service", "ExecStart");
    assert!(started.contains("$DAEMON_OPTS"), "{started}");
    let pid = machine.property("chrony.service", "MainPID");
    let called = machine.done(&["cat", &format!("/proc/{pid}/cmdline")]);
    assert!(called.contains("/etc/chrony/cardea.conf"), "{called:?}");
    until("the server asks chrony", || {
        health(machine).is_some_and(|text| text.contains("\"state\":\"unsynchronised\""))
    });
    let apt = machine.done(&["apt-config", "dump"]);
    for line in [
        "Unattended-Upgrade::Automatic-Reboot \"true\";",
        "Unattended-Upgrade::Automatic-Reboot-Time \"03:30\";",
        "APT::Periodic::Unattended-Upgrade \"1\";",
    ] {
        assert!(apt.lines().any(|found| found == line), "no {line}\n{apt}");
    }
    let origins = apt
        .lines()
        .filter(|line| line.starts_with("Unattended-Upgrade::Origins-Pattern::"));
    let origins: Vec<_> = origins.collect();
    assert!(
        origins.len() == 2 && origins.iter().all(|origin| origin.contains("ecurity")),
        "security only: {origins:?}"
    );
    let timer = machine.property("apt-daily-upgrade.timer", "TimersCalendar");
    assert!(
        timer.contains("02:30:00") && timer.matches("OnCalendar").count() == 1,
        "{timer}"
    );
    assert_eq!(
        machine.property("apt-daily-upgrade.timer", "Persistent"),
        "no"
    );
    fs::write(machine.file("/var/required"), "linux-image").expect("written");
    machine.done(&["cp", "/var/required", "/run/reboot-required.pkgs"]);
    machine.done(&["touch", "/run/reboot-required"]);
    until("the server is told of the restart that is needed", || {
        let tail = machine.done(&["cardea", "audit", "tail"]);
        tail.contains("host.reboot-required\tlinux-image")
    });
}

fn commands_of_root_leave_the_data_to_its_owner(machine: &Machine) {
    machine.done(&["cardea", "door", "add", "Front"]);
    machine.done(&["systemctl", "stop", "cardea.socket", "cardea.service"]);
    // No server: the command opens the store itself, and needs the key.
    machine.done(&["cardea", "door", "add", "Back"]);
    let others = machine.done(&["find", "/var/lib/cardea", "!", "-user", "cardea"]);
    assert_eq!(others, "", "files that the server could not open");
    let left = machine.done(&[
        "find",
        "/run",
        "-maxdepth",
        "1",
        "-name",
        "cardea-command-*",
    ]);
    assert_eq!(left, "", "the key is left behind");
    machine.done(&["systemctl", "start", "cardea.socket", "cardea.service"]);
    let doors = machine.done(&["cardea", "door", "list"]);
    assert!(doors.contains("Front") && doors.contains("Back"), "{doors}");
}

fn backups_are_taken_by_the_timer(machine: &Machine) {
    let public = machine.done(&["cardea", "backup-key", "/root/backup.key"]);
    let setup = [
        "cardea",
        "setup",
        "--firewall=now",
        "--backup-to",
        public.trim(),
    ];
    let said = machine.done(&setup);
    assert!(said.contains("changed: cardea-backup.timer"), "{said}");
    let elsewhere = ["cardea", "setup", "--backup-directory", "/root"];
    let refused = machine.output(&elsewhere);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        error.contains("the owner of the data cannot write there"),
        "{error}"
    );
    assert_eq!(machine.done(&setup), "nothing was changed\n");
    let timer = |name: &str| machine.property("cardea-backup.timer", name);
    assert_eq!(timer("ActiveState"), "active");
    assert_eq!(timer("UnitFileState"), "enabled");
    // What the timer does at its hour, in the unit's sandbox.
    machine.done(&["systemctl", "start", "cardea-backup.service"]);
    let taken = machine.done(&["ls", "/var/backups/cardea"]);
    assert!(
        taken.contains(".age") && taken.contains("withdrawals-"),
        "{taken}"
    );
    let told = health(machine).expect("the server answers");
    assert!(!told.contains("\"backup_age_s\":null"), "{told}");
}

fn an_upgrade_refuses_nobody(machine: &Machine) {
    let pid = machine.property("cardea.service", "MainPID");
    // curl's 7 is a connection that was refused; the loop ends when the file is there.
    let script = format!(
        "n=0; until [ -e /tmp/stop ]; do curl -sk --max-time 20 -o /dev/null \
         https://{ADDRESS}/ready; [ $? = 7 ] && echo refused; n=$((n+1)); \
         [ $n = 5 ] && touch /tmp/asking; done; echo asked $n"
    );
    let asker = machine
        .command(&["sh", "-c", &script])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it runs");
    until("somebody asks", || {
        machine
            .output(&["test", "-e", "/tmp/asking"])
            .status
            .success()
    });
    machine.done(&["dpkg", "-i", DEB]);
    assert_ne!(
        machine.property("cardea.service", "MainPID"),
        pid,
        "the new server runs"
    );
    assert!(health(machine).is_some());
    machine.done(&["touch", "/tmp/stop"]);
    let asked = asker.wait_with_output().expect("it ends");
    let asked = String::from_utf8_lossy(&asked.stdout).into_owned();
    assert!(
        !asked.contains("refused") && asked.contains("asked "),
        "{asked}"
    );
}

fn a_crash_and_a_hang_are_healed(machine: &Machine) {
    let restarts = || -> u32 {
        let count = machine.property("cardea.service", "NRestarts");
        count.parse().expect("a number")
    };
    let pause = || -> u32 {
        let noted = machine.done(&["cat", "/run/cardea/back-off"]);
        let pause = noted.split_whitespace().next_back();
        pause
            .and_then(|pause| pause.parse().ok())
            .expect("a number")
    };
    let before = restarts();
    // The main process by its own number: to reach the others systemd reads a control group, which
    // is gone by then, now and then.
    let signal = |name: &str| {
        let shown = ["show", "--value", "-p", "MainPID", "cardea.service"];
        let pid = machine.done(&[&["systemctl"][..], &shown].concat());
        machine.done(&["bash", "-c", &format!("kill -{name} {}", pid.trim())]);
    };
    signal("KILL");
    until("it is back after a crash", || {
        restarts() > before && health(machine).is_some()
    });
    assert_eq!(pause(), 1);
    let before = restarts();
    signal("KILL");
    until("it is back after another crash", || {
        restarts() > before && health(machine).is_some()
    });
    assert_eq!(pause(), 2, "it waits longer each time");
    // The hour of the watchdog, shortened.
    let folder = "/run/systemd/system/cardea.service.d";
    machine.done(&["mkdir", "-p", folder]);
    let drop_in = format!("printf '[Service]\\nWatchdogSec=2s\\n' >{folder}/test.conf");
    machine.done(&["sh", "-c", &drop_in]);
    machine.done(&["systemctl", "daemon-reload"]);
    machine.done(&["systemctl", "restart", "cardea.service"]);
    let before = restarts();
    signal("STOP");
    until("it is back after a hang", || {
        restarts() > before && health(machine).is_some()
    });
    machine.done(&["rm", "-r", folder]);
    machine.done(&["systemctl", "daemon-reload"]);
}

fn removal_keeps_the_data(machine: Machine) {
    machine.done(&["dpkg", "-r", "cardea"]);
    assert!(!machine.file("/usr/bin/cardea").exists());
    let tables = machine.done(&["nft", "list", "tables"]);
    assert!(
        !tables.contains("cardea"),
        "rules that nobody can take away any more: {tables}"
    );
    machine.done(&["dpkg", "-P", "cardea"]);
    let left = machine.done(&["find", "/etc", "/usr", "/lib", "/run", "-name", "*cardea*"]);
    let kept = "/etc/credstore.encrypted/cardea-sealing-key\n";
    assert_eq!(left, kept, "the key opens the data that stays");
    assert!(machine.file("/var/lib/cardea/store.db").exists());
    // The same site again, and then all of it goes.
    machine.done(&["dpkg", "-i", DEB]);
    machine.done(&[
        "cardea",
        "setup",
        "--devices",
        "10.9.0.0/24",
        "--firewall=no",
    ]);
    assert!(machine.done(&["cardea", "door", "list"]).contains("Back"));
    let mark = machine.file("/etc/cardea/purge-data");
    fs::write(mark, "").expect("written");
    machine.done(&["dpkg", "-P", "cardea"]);
    let left = machine.done(&[
        "find", "/etc", "/usr", "/lib", "/run", "/var", "-name", "*cardea*",
    ]);
    assert_eq!(left, "", "something is left");
}

/// Fails if the server is not told before it is stopped, or the machine's rules are not loaded
/// before the network at the next start.
#[test]
fn a_restart_of_the_machine_is_announced_and_survived() {
    if let Some(why) = no_machine() {
        println!("SKIPPED: no Debian machine here: {why}");
        return;
    }
    let machine = installed(build());
    machine.done(&SETUP);
    until("the server answers", || health(&machine).is_some());
    let tree = machine.restart();
    let audit = Connection::open_with_flags(
        tree.file("/var/lib/cardea/audit.db"),
        OpenFlags::SQLITE_OPEN_READ_ONLY,
    );
    let audit = audit.expect("the audit");
    let told = "SELECT count(*) FROM records WHERE action = 'host.restarting'";
    let told: i64 = audit
        .query_row(told, [], |row| row.get(0))
        .expect("a count");
    assert_eq!(told, 1, "the restart is in the audit");
    drop(audit);
    let machine = tree.boot();
    let rules = machine.done(&["nft", "list", "table", "inet", "cardea"]);
    assert!(rules.contains("10.9.1.0/24"), "{rules}");
    machine.done(&["ip", "addr", "add", &format!("{ADDRESS}/24"), "dev", "lo"]);
    until("the server answers again", || health(&machine).is_some());
}
