//! A slow disk: what a process reads and writes is held to so many bytes a second by the kernel's
//! control groups, of version 1 or 2.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Where version 1 has its block devices, and version 2 is.
const VERSION_1: &str = "/sys/fs/cgroup/blkio";
const VERSION_2: &str = "/sys/fs/cgroup";
/// Written to see that the limit holds.
const TRIED_BYTES: u64 = 8 << 20;

/// A process on a slow disk; with this value goes the limit.
pub struct Throttle {
    group: PathBuf,
    parent: PathBuf,
    process: u32,
    /// What a file that was written and synced under the limit reached, bytes a second.
    pub measured_bytes_per_s: f64,
}

impl Throttle {
    /// Holds a process, with all its threads, to this speed on the disk that `folder` lies on.
    ///
    /// # Errors
    /// Why it cannot be had here: no rights, no controller, or no disk of its own.
    pub fn begin(process: u32, folder: &Path, bytes_per_s: u64) -> Result<Throttle, String> {
        let disk = disk_of(folder)?;
        let version_1 = Path::new(VERSION_1).join("blkio.throttle.write_bps_device");
        let parent = match version_1.exists() {
            true => VERSION_1,
            false => VERSION_2,
        };
        let group = Path::new(parent).join(format!("cardea-slow-disk-{process}"));
        if parent == VERSION_2 {
            let controllers = Path::new(VERSION_2).join("cgroup.subtree_control");
            write(&controllers, "+io")?;
        }
        fs::create_dir_all(&group).map_err(|error| format!("{}: {error}", group.display()))?;
        let mut throttle = Throttle {
            group,
            parent: parent.into(),
            process,
            measured_bytes_per_s: 0.0,
        };
        throttle.limit(parent == VERSION_1, &disk, bytes_per_s)?;
        throttle.measured_bytes_per_s = throttle.measure(folder)?;
        if throttle.measured_bytes_per_s > 1.5 * bytes_per_s as f64 {
            let found = throttle.measured_bytes_per_s;
            return Err(format!(
                "the limit does not hold: {found:.0} bytes a second"
            ));
        }
        write(&throttle.group.join("cgroup.procs"), &process.to_string())?;
        Ok(throttle)
    }

    fn limit(&self, is_version_1: bool, disk: &str, bytes_per_s: u64) -> Result<(), String> {
        if is_version_1 {
            for what in ["read", "write"] {
                let file = format!("blkio.throttle.{what}_bps_device");
                write(&self.group.join(file), &format!("{disk} {bytes_per_s}"))?;
            }
            return Ok(());
        }
        let limits = format!("{disk} rbps={bytes_per_s} wbps={bytes_per_s}");
        write(&self.group.join("io.max"), &limits)
    }

    /// Writes a file from within the group.
    fn measure(&self, folder: &Path) -> Result<f64, String> {
        let file = folder.join("slow-disk-tried");
        let (group, tried) = (self.group.display(), file.display());
        let megabytes = TRIED_BYTES >> 20;
        let script = format!(
            "echo $$ > {group}/cgroup.procs && \
             exec dd if=/dev/zero of={tried} bs=1M count={megabytes} conv=fsync status=none"
        );
        let begun = Instant::now();
        let status = Command::new("sh").args(["-c", &script]).status();
        let took = begun.elapsed();
        // It may not be there; then the status says why.
        let _ = fs::remove_file(&file);
        match status {
            Ok(status) if status.success() => Ok(TRIED_BYTES as f64 / took.as_secs_f64()),
            Ok(status) => Err(format!("dd: {status}")),
            Err(error) => Err(format!("sh: {error}")),
        }
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        // The process may have ended, and a group of nobody may go.
        let _ = write(&self.parent.join("cgroup.procs"), &self.process.to_string());
        let _ = fs::remove_dir(&self.group);
    }
}

/// Major and minor number of the whole disk below a folder.
fn disk_of(folder: &Path) -> Result<String, String> {
    let found = fs::metadata(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let (major, minor) = (
        rustix::fs::major(found.dev()),
        rustix::fs::minor(found.dev()),
    );
    let device = PathBuf::from(format!("/sys/dev/block/{major}:{minor}"));
    let device = fs::canonicalize(&device)
        .map_err(|_| format!("{} is on no disk ({major}:{minor})", folder.display()))?;
    // A partition is limited by its disk.
    let disk = match device.join("partition").exists() {
        true => device.parent().unwrap_or(&device),
        false => &device,
    };
    let number = fs::read_to_string(disk.join("dev"));
    let number = number.map_err(|error| format!("{}: {error}", disk.display()))?;
    Ok(number.trim().to_owned())
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}
