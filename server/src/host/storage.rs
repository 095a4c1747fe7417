//! The disks below the data directory: followed through encryption, mirrors and volumes down to
//! what spins or does not.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::root::{names, read};
use super::{Check, Root};
use crate::limits::HOST_DEPTH_MAX;

const BYTES_ASKED_FOR: u64 = 480_000_000_000;
/// Somewhat less is sold under that name.
const BYTES_SLACK: u64 = 30_000_000_000;

/// What lies below a file system.
#[derive(Debug, Default)]
struct Stack {
    encrypted: bool,
    mirrored: bool,
    disks: BTreeSet<PathBuf>,
    rotating: BTreeSet<PathBuf>,
    bytes: u64,
}

pub(super) fn checks(root: &Root, data: &Path) -> Vec<Check> {
    let Some((device, kind)) = mount(root, data) else {
        let advice = "the list of mounted file systems could not be read";
        return vec![Check::warn("disk", "unknown", advice)];
    };
    match kind.as_str() {
        "tmpfs" | "ramfs" | "overlay" => {
            let advice = "what is stored must outlive the machine: put it on a disk";
            return vec![Check::fail("disk", format!("{kind} is no disk"), advice)];
        }
        "zfs" | "btrfs" => {
            let advice = "this file system keeps its own disks: check that they are SSDs, mirrored \
                          (zpool status, btrfs filesystem show) and encrypted";
            return vec![Check::warn("disk", kind, advice)];
        }
        _ => {}
    }
    let node = fs::canonicalize(root.at(&format!("/sys/dev/block/{device}")));
    let Ok(node) = node else {
        let advice = "check by hand that it is a mirrored, encrypted SSD";
        return vec![Check::warn("disk", format!("{kind} on {device}"), advice)];
    };
    let mut stack = Stack::default();
    descend(&node, &mut stack, 0);
    judge(root, &stack)
}

fn judge(root: &Root, stack: &Stack) -> Vec<Check> {
    let disks = stack.disks.iter().filter_map(|disk| disk.file_name());
    let disks: Vec<_> = disks
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    let found = disks.join(", ");
    let cpu = root.read("/proc/cpuinfo").unwrap_or_default();
    let virtual_machine = cpu.split_whitespace().any(|flag| flag == "hypervisor");
    let speed = if stack.rotating.is_empty() {
        Check::pass("SSD", found.clone())
    } else if virtual_machine {
        let advice = "a virtual disk says that it rotates; make sure that the host's are SSDs";
        Check::warn("SSD", found.clone(), advice)
    } else {
        let advice = "hard disks answer too late for the record of an attempt: take SSDs";
        Check::fail("SSD", found.clone(), advice)
    };
    let mirrored = if stack.mirrored {
        Check::pass("mirrored", found)
    } else {
        let advice = "one disk's end is the site's: mirror two (md RAID 1), or let the host do it";
        Check::warn("mirrored", "no mirror found", advice)
    };
    let encrypted = if stack.encrypted {
        Check::pass("encrypted", "dm-crypt")
    } else {
        let advice = "who takes the disk reads the embeddings: install on LUKS, or encrypt beneath";
        Check::warn("encrypted", "no encryption found", advice)
    };
    let size = format!("{} GB", stack.bytes / 1_000_000_000);
    let size = if stack.bytes >= BYTES_ASKED_FOR - BYTES_SLACK {
        Check::pass("disk size", size)
    } else {
        let advice = "480 GB is asked for; 100,000 people take 1 GB, with room for backups 3";
        Check::warn("disk size", size, advice)
    };
    vec![speed, mirrored, encrypted, size]
}

/// Device number and kind of the file system that `data` is on.
fn mount(root: &Root, data: &Path) -> Option<(String, String)> {
    let text = root.read("/proc/self/mountinfo")?;
    let mounts = text.lines().filter_map(|line| {
        let (own, kind) = line.split_once(" - ")?;
        let mut words = own.split(' ');
        let device = words.nth(2)?;
        let point = words.nth(1)?.replace("\\040", " ");
        let kind = kind.split(' ').next()?;
        data.starts_with(&point)
            .then(|| (point.len(), device.to_owned(), kind.to_owned()))
    });
    // Of two mounts at one place the later one is seen.
    let (_, device, kind) = mounts.max_by_key(|(length, ..)| *length)?;
    Some((device, kind))
}

/// Goes down from a block device to its disks.
fn descend(node: &Path, stack: &mut Stack, depth: usize) {
    if depth > HOST_DEPTH_MAX {
        return;
    }
    if depth == 0 {
        let sectors = read(&node.join("size")).and_then(|size| size.parse::<u64>().ok());
        stack.bytes = sectors.unwrap_or(0) * 512;
    }
    let uuid = read(&node.join("dm/uuid")).unwrap_or_default();
    stack.encrypted |= uuid.starts_with("CRYPT-");
    let level = read(&node.join("md/level")).unwrap_or_default();
    stack.mirrored |= ["raid1", "raid10", "raid4", "raid5", "raid6"].contains(&level.as_str());
    let below = names(&node.join("slaves"));
    // The images of a mirrored logical volume.
    let images = |name: &String| {
        let name = read(&node.join("slaves").join(name).join("dm/name"));
        name.is_some_and(|name| name.contains("_rimage_") || name.contains("_mimage_"))
    };
    stack.mirrored |=
        uuid.starts_with("LVM-") && below.iter().filter(|one| images(one)).count() > 1;
    for name in &below {
        if let Ok(next) = fs::canonicalize(node.join("slaves").join(name)) {
            descend(&next, stack, depth + 1);
        }
    }
    if !below.is_empty() {
        return;
    }
    let disk = match node.join("partition").exists() {
        true => node.parent().unwrap_or(node),
        false => node,
    };
    stack.disks.insert(disk.to_owned());
    if read(&disk.join("queue/rotational")).as_deref() != Some("0") {
        stack.rotating.insert(disk.to_owned());
    }
}
