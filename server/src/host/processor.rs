//! The processor: AVX2, cores, clock.

use super::{Check, Root};

/// Of the system requirements.
const CORES: usize = 8;
const CLOCK_MHZ: f64 = 3_200.0;

pub(super) fn checks(root: &Root) -> Vec<Check> {
    let text = root.read("/proc/cpuinfo").unwrap_or_default();
    let flags = field(&text, "flags").unwrap_or_default();
    let has = |flag: &str| flags.split(' ').any(|found| found == flag);
    let model = field(&text, "model name").unwrap_or("unknown processor");
    vec![
        avx2(root, model, has("avx2"), has("hypervisor")),
        cores(&text),
        clock(root, &text, model, has("hypervisor")),
    ]
}

fn avx2(root: &Root, model: &str, there: bool, virtual_machine: bool) -> Check {
    const NAME: &str = "AVX2";
    if there {
        return Check::pass(NAME, model);
    }
    let vendor = root
        .read("/sys/class/dmi/id/sys_vendor")
        .unwrap_or_default();
    let setting = if !virtual_machine {
        "this processor cannot serve: it takes one with AVX2 (Intel since 2013, AMD since 2015)"
    } else if vendor.contains("Microsoft") {
        "Hyper-V: turn processor compatibility off: Set-VMProcessor NAME \
         -CompatibilityForMigrationEnabled $false"
    } else if vendor.contains("VMware") {
        "VMware: raise the machine's EVC mode to Haswell or newer, or turn EVC off"
    } else if vendor.contains("QEMU") || vendor.contains("KVM") || vendor.contains("Proxmox") {
        "QEMU, KVM, Proxmox: set the processor type to host, or x86-64-v3"
    } else if vendor.contains("innotek") || vendor.contains("Oracle") {
        "VirtualBox: turn Hyper-V off on the host, or VBoxManage modifyvm NAME --cpu-profile host"
    } else {
        "have the hypervisor pass the host's processor through (host model, no compatibility mode)"
    };
    Check::fail(NAME, format!("{model}: not there"), setting)
}

fn cores(text: &str) -> Check {
    const NAME: &str = "cores";
    let cores = text
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let found = cores.to_string();
    match cores {
        CORES.. => Check::pass(NAME, found),
        2..CORES => Check::warn(
            NAME,
            found,
            "the system requirements ask for 8: see what this host serves, below",
        ),
        _ => Check::fail(
            NAME,
            found,
            "a search would keep everything else waiting: take 2 or more",
        ),
    }
}

fn clock(root: &Root, text: &str, model: &str, virtual_machine: bool) -> Check {
    const NAME: &str = "clock";
    let highest = root
        .read("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")
        .and_then(|khz| khz.parse::<f64>().ok())
        .map(|khz| khz / 1_000.0);
    let now = field(text, "cpu MHz").and_then(|mhz| mhz.parse().ok());
    let Some(mhz) = highest.or_else(|| nominal_mhz(model)).or(now) else {
        return Check::warn(NAME, "unknown", "look it up: 3.2 GHz or more is asked for");
    };
    let found = format!("{:.1} GHz", mhz / 1_000.0);
    // 3.19 is what a processor of 3.2 may say.
    if mhz >= CLOCK_MHZ - 50.0 {
        return Check::pass(NAME, found);
    }
    let advice = if virtual_machine {
        "3.2 GHz is asked for; a virtual machine often names the base clock only"
    } else {
        "3.2 GHz is asked for: see what this host serves, below"
    };
    Check::warn(NAME, found, advice)
}

/// `.. @ 3.20GHz`.
fn nominal_mhz(model: &str) -> Option<f64> {
    let (_, clock) = model.rsplit_once("@ ")?;
    let ghz: f64 = clock.strip_suffix("GHz")?.parse().ok()?;
    Some(ghz * 1_000.0)
}

/// The value of the first line of this name.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| found.trim() == name)
        .map(|(_, value)| value.trim())
}
