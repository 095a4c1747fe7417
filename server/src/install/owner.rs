//! Commands of root that open the data directory themselves go on as the directory's owner: a file
//! that root made in it could not be opened by the server.
//!
//! The sealing key may be a credential of the service that only root can decrypt; then the owner
//! is given it for as long as the command runs.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use rustix::process::geteuid;

use crate::secrets::{self, CREDENTIAL, KEY_FILE};

/// Where `systemd-creds` and the service look for the sealing key.
pub const CREDENTIAL_FILE: &str = "/etc/credstore.encrypted/cardea-sealing-key";

/// Carries this very command out as the owner of `data`, if that is somebody else and this is
/// root. `None`: go on here.
///
/// # Errors
/// If the command cannot be started, or the key cannot be decrypted.
pub fn go_on_as_owner(data: &Path) -> io::Result<Option<ExitStatus>> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match with_key(data, &arguments)? {
        Some((mut command, _key)) => command.status().map(Some),
        None => Ok(None),
    }
}

/// What another command on `data` prints, carried out as its owner, if that is somebody else and
/// this is root.
///
/// # Errors
/// As [`go_on_as_owner`]; if the command fails.
pub fn output(data: &Path, arguments: &[&str]) -> io::Result<Option<String>> {
    let mut all = vec![OsString::from("--data"), data.into()];
    all.extend(arguments.iter().map(OsString::from));
    let Some((mut command, _key)) = with_key(data, &all)? else {
        return Ok(None);
    };
    let output = command.output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(io::Error::other(said));
    }
    Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// This program as the owner, and the key that must outlive its run.
fn with_key(data: &Path, arguments: &[OsString]) -> io::Result<Option<(Command, Option<Key>)>> {
    let Some(owner) = other_owner(data) else {
        return Ok(None);
    };
    let key = Key::decrypt(data, owner)?;
    let mut command = as_owner(arguments, owner)?;
    if let Some(key) = &key {
        command.env("CREDENTIALS_DIRECTORY", &key.folder);
    }
    Ok(Some((command, key)))
}

/// This program with other arguments, as that user.
pub(super) fn as_owner(
    arguments: &[impl AsRef<std::ffi::OsStr>],
    (user, group): (u32, u32),
) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments).uid(user).gid(group);
    Ok(command)
}

/// User and group that own `data`, if this is root and they are not.
pub(super) fn other_owner(data: &Path) -> Option<(u32, u32)> {
    let owner = fs::metadata(data).ok()?;
    (geteuid().is_root() && owner.uid() != 0).then_some((owner.uid(), owner.gid()))
}

/// The sealing key in a folder of its own, which goes with the value.
struct Key {
    folder: PathBuf,
}

impl Key {
    /// The credential's key, for `owner` to read; `None` where the key lies with the data.
    fn decrypt(data: &Path, owner: (u32, u32)) -> io::Result<Option<Self>> {
        if data.join(KEY_FILE).exists() || !Path::new(CREDENTIAL_FILE).exists() {
            return Ok(None);
        }
        let bytes = decrypted(Path::new(CREDENTIAL_FILE), CREDENTIAL)?;
        let name = secrets::random::<8>().map_err(io::Error::other)?;
        let name: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
        let key = Self {
            folder: PathBuf::from(format!("/run/cardea-command-{name}")),
        };
        fs::create_dir(&key.folder)?;
        let file = key.folder.join(CREDENTIAL);
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o400);
        io::Write::write_all(&mut options.open(&file)?, &bytes)?;
        for path in [&file, &key.folder] {
            chown(path, Some(owner.0), Some(owner.1))?;
        }
        Ok(Some(key))
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // It lies in memory only; a start of the machine clears what is left.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What a credential's file holds.
pub(super) fn decrypted(file: &Path, name: &str) -> io::Result<zeroize::Zeroizing<Vec<u8>>> {
    let output = Command::new("systemd-creds")
        .arg("decrypt")
        .arg(format!("--name={name}"))
        .arg(file)
        .arg("-")
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(io::Error::other(format!("systemd-creds: {said}")));
    }
    Ok(zeroize::Zeroizing::new(output.stdout))
}
