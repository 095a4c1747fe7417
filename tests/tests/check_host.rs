//! `cardea check-host` on made-up machines: files as the kernel shows them, below a folder.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use cardea_tests::programs::program;
use serde_json::Value;

/// A made-up machine.
struct Machine {
    folder: tempfile::TempDir,
}

const FLAGS: &str = "fpu sse4_2 avx avx2 fma";
const OWN: &str = "10.1.2.3";

impl Machine {
    /// As the system requirements ask for.
    fn good() -> Self {
        let machine = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        machine.processor(8, FLAGS);
        machine.file("proc/meminfo", "MemTotal:       32768000 kB\n");
        machine.file(
            "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq",
            "4700000\n",
        );
        machine.disks("0", "raid1", "CRYPT-LUKS2-1234");
        let route = "Iface\tDestination\tGateway\neno1\t00000000\t0102010A\n";
        machine.file("proc/net/route", route);
        machine.file("sys/class/net/eno1/speed", "1000\n");
        machine.file("sys/class/net/eno1/ifindex", "2\n");
        machine.file("run/systemd/netif/leases/2", "ADDRESS=10.1.2.3\n");
        machine.address(OWN);
        machine.file("etc/resolv.conf", "nameserver 10.1.2.1\n");
        machine.sockets("proc/net/tcp", &[(22, "0A")]);
        machine.sockets("proc/net/udp", &[(68, "07")]);
        let system = "PRETTY_NAME=\"Ubuntu 24.04.1 LTS\"\nID=ubuntu\nVERSION_ID=\"24.04\"\n";
        machine.file("etc/os-release", system);
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("root").join(name)
    }

    fn file(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn processor(&self, cores: usize, flags: &str) {
        let text: String = (0..cores)
            .map(|core| {
                format!("processor\t: {core}\nmodel name\t: Test CPU\nflags\t\t: {flags}\n\n")
            })
            .collect();
        self.file("proc/cpuinfo", &text);
    }

    fn address(&self, address: &str) {
        let text = format!(
            "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.1\n        /32 host LOCAL\n     \
             |-- {address}\n        /32 host LOCAL\n     |-- 10.1.2.255\n        \
             /32 link BROADCAST\n"
        );
        self.file("proc/net/fib_trie", &text);
    }

    fn sockets(&self, table: &str, sockets: &[(u16, &str)]) {
        let mut text = "  sl  local_address rem_address   st tx_queue\n".to_owned();
        for (port, state) in sockets {
            text.push_str(&format!(
                "   0: 00000000:{port:04X} 00000000:0000 {state} 00000000\n"
            ));
        }
        self.file(table, &text);
    }

    /// Two disks below a mirror below encryption below the root file system.
    fn disks(&self, rotational: &str, level: &str, uuid: &str) {
        let _ = fs::remove_dir_all(self.path("sys/devices/virtual"));
        let _ = fs::remove_dir_all(self.path("sys/dev"));
        let mount = "30 1 253:0 / / rw,relatime shared:1 - ext4 /dev/mapper/root rw\n\
                     31 30 0:25 / /run rw - tmpfs tmpfs rw\n";
        self.file("proc/self/mountinfo", mount);
        let (crypt, mirror) = (
            "sys/devices/virtual/block/dm-0",
            "sys/devices/virtual/block/md0",
        );
        self.file(&format!("{crypt}/dm/uuid"), uuid);
        self.file(&format!("{crypt}/size"), "937703088\n");
        self.file(&format!("{mirror}/md/level"), level);
        for (disk, number) in [("sda", 1), ("sdb", 2)] {
            let device = format!("sys/devices/pci/block/{disk}");
            self.file(&format!("{device}/queue/rotational"), rotational);
            self.file(&format!("{device}/{disk}2/partition"), "2\n");
            self.link(
                &format!("{device}/{disk}2"),
                &format!("{mirror}/slaves/{number}"),
            );
        }
        self.link(mirror, &format!("{crypt}/slaves/md0"));
        self.link(crypt, "sys/dev/block/253:0");
    }

    fn link(&self, to: &str, from: &str) {
        let from = self.path(from);
        fs::create_dir_all(from.parent().expect("a folder")).expect("made");
        symlink(self.path(to), from).expect("linked");
    }

    /// Exit status and report.
    fn check(&self) -> (i32, Value) {
        let root = self.path("");
        let data = self.folder.path().join("data");
        check(&["--offline", "--no-measure", "--root", text(&root)], &data)
    }

    fn verdicts(&self, name: &str) -> (String, String) {
        let (_, report) = self.check();
        let found = verdict(&report, name);
        (found["verdict"].to_string(), found["advice"].to_string())
    }

    fn is(&self, name: &str, due: &str, advice: &str) {
        let (verdict, advised) = self.verdicts(name);
        assert_eq!(verdict, format!("\"{due}\""), "{name}: {advised}");
        assert!(advised.contains(advice), "{name}: {advised}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn check(arguments: &[&str], data: &Path) -> (i32, Value) {
    let mut command = Command::new(program("cardea"));
    command
        .arg("--data")
        .arg(data)
        .args(["check-host", "--json"]);
    let output = command.args(arguments).output().expect("it runs");
    let error = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout);
    (
        output.status.code().expect("no signal"),
        report.unwrap_or_else(|_| panic!("{error}")),
    )
}

fn verdict(report: &Value, name: &str) -> Value {
    let checks = report["checks"].as_array().expect("a list");
    let found = checks.iter().find(|check| check["name"] == name);
    found
        .unwrap_or_else(|| panic!("no {name} in {report}"))
        .clone()
}

/// Fails if any check finds fault where there is none, or the exit status is not the worst one's.
#[test]
fn the_machine_that_is_asked_for_passes() {
    let machine = Machine::good();
    let (status, report) = machine.check();
    let checks = report["checks"].as_array().expect("a list");
    let not_passed: Vec<_> = checks
        .iter()
        .filter(|check| check["verdict"] != "pass")
        .collect();
    // Whether the DHCP server reserves it, no file of this machine can say.
    assert_eq!(not_passed.len(), 1, "{not_passed:?}");
    assert_eq!(not_passed[0]["name"], "reserved address");
    assert_eq!((status, &report["verdict"]), (3, &Value::from("warn")));
}

/// Fails if the flag is looked for in the wrong place, or every hypervisor gets one advice.
#[test]
fn a_machine_without_avx2_is_told_which_setting() {
    let machine = Machine::good();
    machine.processor(8, "fpu sse4_2 avx avx2x");
    machine.is("AVX2", "fail", "this processor cannot");
    assert_eq!(machine.check().0, 4);
    machine.processor(8, "fpu avx hypervisor");
    for (vendor, advice) in [
        ("Microsoft Corporation", "CompatibilityForMigrationEnabled"),
        ("VMware, Inc.", "EVC"),
        ("QEMU", "host"),
        ("innotek GmbH", "VirtualBox"),
        ("Somebody", "pass the host's processor"),
    ] {
        machine.file("sys/class/dmi/id/sys_vendor", vendor);
        machine.is("AVX2", "fail", advice);
    }
}

#[test]
fn cores_clock_and_memory_are_held_against_what_is_asked_for() {
    let machine = Machine::good();
    for (cores, due) in [
        (16, "pass"),
        (8, "pass"),
        (7, "warn"),
        (2, "warn"),
        (1, "fail"),
    ] {
        machine.processor(cores, FLAGS);
        machine.is("cores", due, "");
    }
    let frequency = "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq";
    for (khz, due) in [("3200000", "pass"), ("3100000", "warn")] {
        machine.file(frequency, khz);
        machine.is("clock", due, "");
    }
    for (kib, due) in [
        ("32768000", "pass"),
        ("16000000", "warn"),
        ("1000000", "fail"),
    ] {
        machine.file("proc/meminfo", &format!("MemTotal: {kib} kB\n"));
        machine.is("memory", due, "");
    }
}

/// Fails if the walk does not go down through encryption, mirror and partition.
#[test]
fn the_disks_below_the_data_are_found() {
    let machine = Machine::good();
    let (_, report) = machine.check();
    assert_eq!(verdict(&report, "SSD")["found"], "sda, sdb");
    machine.disks("1", "raid1", "CRYPT-LUKS2-1");
    machine.is("SSD", "fail", "hard disks");
    machine.disks("0", "raid0", "CRYPT-LUKS2-1");
    machine.is("mirrored", "warn", "mirror two");
    machine.disks("0", "raid1", "LVM-1234");
    machine.is("encrypted", "warn", "LUKS");
    machine.processor(8, &format!("{FLAGS} hypervisor"));
    machine.disks("1", "raid1", "CRYPT-LUKS2-1");
    machine.is("SSD", "warn", "virtual disk");
    machine.file("proc/self/mountinfo", "30 1 0:9 / / rw - tmpfs tmpfs rw\n");
    machine.is("disk", "fail", "outlive");
}

#[test]
fn the_network_is_looked_at() {
    let machine = Machine::good();
    machine.file("sys/class/net/eno1/speed", "100\n");
    machine.is("wired network", "warn", "Gigabit");
    machine.file("sys/class/net/eno1/phy80211/name", "phy0\n");
    machine.is("wired network", "fail", "cable");
    machine.address("172.31.255.7");
    machine.is("address", "fail", "inside the devices");
    machine.address("172.31.254.7");
    machine.is("address", "pass", "");
    machine.file("etc/resolv.conf", "# nothing\n");
    machine.is("DNS", "fail", "DHCP");
    machine.sockets("proc/net/tcp6", &[(443, "06")]);
    machine.is("port 443", "pass", "");
    machine.sockets("proc/net/tcp6", &[(443, "0A")]);
    machine.is("port 443", "fail", "something else");
    machine.sockets("proc/net/udp", &[(123, "07")]);
    machine.is("port 123", "warn", "chrony");
    machine.file("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
    machine.is("operating system", "warn", "Ubuntu Server 24.04");
}

/// Fails if an empty tree makes it stop, or pass.
#[test]
fn a_machine_that_shows_nothing_does_not_pass() {
    let machine = Machine {
        folder: tempfile::tempdir().expect("a temporary folder"),
    };
    let (status, report) = machine.check();
    assert_eq!(status, 4);
    let checks = report["checks"].as_array().expect("a list");
    let passed = checks.iter().filter(|check| check["verdict"] == "pass");
    let passed: Vec<_> = passed.map(|check| check["name"].to_string()).collect();
    assert_eq!(passed, ["\"port 443\"", "\"port 123\""]);
}

/// This machine, measured. Fails if a part of the self-test does not run.
#[test]
fn this_machine_is_measured() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (_, report) = check(&["--offline", "--people", "1000"], folder.path());
    assert_eq!(report["serves"]["people"], 1_000);
    assert!(
        report["serves"]["devices"]
            .as_u64()
            .is_some_and(|devices| devices > 0),
        "{report}"
    );
    assert!(
        report["measured"]["rows"]
            .as_u64()
            .is_some_and(|rows| rows > 1_000),
        "{report}"
    );
    assert_eq!(
        fs::read_dir(folder.path()).expect("there").count(),
        0,
        "nothing is left"
    );
}
