//! `cardea backup`, `backup-key` and `restore`.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::site;
use crate::admin::client::Desk;
use crate::admin::message::{Request, Response};
use crate::background;
use crate::backup::keys::{Lock, Opener, Passphrase, PublicKey, SecretKey, secret_keys};
use crate::backup::{Order, Since, Target, kept_s, restore, take};
use crate::config::Config;
use crate::secrets::write_new;
use crate::site::unix_ms;

/// The credential that holds the passphrase under systemd.
const CREDENTIAL: &str = "cardea-backup-passphrase";

/// `cardea backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// A folder that is there: the backup is a file in it whose name says when, and old backups
    /// go. Anything else is a new file, in a folder that is there; with `/` at its end it is
    /// refused. By default the folder `backup.directory` of cardea.toml, which must be there.
    pub target: Option<PathBuf>,
    /// A public key (`age1..`) of somebody who can open it; may be given again. By default those
    /// of the configuration.
    #[arg(long)]
    pub to: Vec<String>,
    /// A file whose first line is the passphrase, or `-` for standard input.
    #[arg(long, conflicts_with = "to")]
    pub passphrase_file: Option<PathBuf>,
}

/// `cardea restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The backup.
    pub file: PathBuf,
    /// A file of secret keys (`AGE-SECRET-KEY-1..`).
    #[arg(long, required_unless_present = "passphrase_file")]
    pub key: Option<PathBuf>,
    /// A file whose first line is the passphrase, or `-` for standard input.
    #[arg(long, conflicts_with = "key")]
    pub passphrase_file: Option<PathBuf>,
    /// The newest list of withdrawals, where it is not beside the backup.
    #[arg(long)]
    pub withdrawals: Option<PathBuf>,
    /// There is no such list: people withdrawn since the backup come back.
    #[arg(long, conflicts_with = "withdrawals")]
    pub withdrawals_unknown: bool,
}

/// Takes a backup.
///
/// # Errors
/// Why not.
pub fn backup(data: &Path, args: &BackupArgs) -> io::Result<()> {
    let config = Config::read(data).map_err(io::Error::other)?;
    let target = match (&args.target, &config.backup.directory) {
        (Some(path), _) => Target::said(path.clone()),
        (None, Some(folder)) => Target::configured(data, folder),
        (None, None) => {
            return Err(io::Error::other(
                "say where to, or set backup.directory in the configuration",
            ));
        }
    };
    let target = target.map_err(io::Error::other)?;
    let lock = lock(args, &config.backup.to)?;
    background::enter();
    let mut desk = Desk::open(data)?;
    expect_done(desk.ask(&Request::BackupBegin {
        target: target.path().display().to_string(),
    })?)?;
    let taken = take(&Order {
        data: data.to_owned(),
        target,
        lock,
        days: config.backup.days,
        now_unix_s: i64::try_from(unix_ms() / 1_000).unwrap_or(i64::MAX),
        kept_s: kept_s(config.erasure_period_s),
    })
    .map_err(io::Error::other)?;
    let taken_unix_s = taken.taken_unix_s;
    expect_done(desk.ask(&Request::BackupEnd { taken_unix_s })?)?;
    println!(
        "{}: {} bytes, generation {}",
        taken.path.display(),
        taken.bytes,
        taken.generation
    );
    if taken.resumed_bytes > 0 {
        println!("gone on at byte {}", taken.resumed_bytes);
    }
    for gone in taken.expired {
        println!("{}: its time was over, removed", gone.display());
    }
    Ok(())
}

/// Makes a key pair: the secret key goes to a new file, the public key is printed.
///
/// # Errors
/// If the file is there or cannot be written.
pub fn backup_key(file: &Path) -> io::Result<()> {
    let secret = SecretKey::generate().map_err(io::Error::other)?;
    let public = secret.public().map_err(io::Error::other)?;
    let text = format!("# public key: {public}\n{}\n", *secret.to_text());
    write_new(file, text.as_bytes(), 0o400).map_err(io::Error::other)?;
    println!("{public}");
    Ok(())
}

/// Restores a backup.
///
/// # Errors
/// Why not.
pub fn restore_site(data: &Path, args: &RestoreArgs) -> io::Result<()> {
    let opener = match (&args.key, &args.passphrase_file) {
        (Some(key), _) => Opener::Keys(secret_keys(key).map_err(io::Error::other)?),
        (None, file) => {
            let file = file.as_deref().unwrap_or(Path::new("-"));
            Opener::Passphrase(Passphrase::read(file).map_err(io::Error::other)?)
        }
    };
    let since = match &args.withdrawals {
        Some(path) => Since::File(path.clone()),
        None if args.withdrawals_unknown => Since::Unknown,
        None => Since::Beside,
    };
    let restored = restore(&args.file, data, &opener, &since).map_err(io::Error::other)?;
    println!(
        "restored: {} people, {} devices, as of {}",
        restored.people,
        restored.devices,
        crate::site::rfc3339(restored.taken_unix_s)
    );
    println!(
        "withdrawn again: {} people, {} devices; withdrawals are known up to {}",
        restored.again.people,
        restored.again.devices,
        crate::site::rfc3339(restored.withdrawals_unix_s)
    );
    println!("{}", restored.warning());
    Ok(())
}

fn lock(args: &BackupArgs, configured: &[String]) -> io::Result<Lock> {
    let credential = std::env::var_os("CREDENTIALS_DIRECTORY")
        .map(|folder| PathBuf::from(folder).join(CREDENTIAL))
        .filter(|path| path.exists());
    let passphrase = |path: &Path| Passphrase::read(path).map(Lock::Passphrase);
    let keys = |keys: &[String]| {
        let keys: Result<_, _> = keys.iter().map(|key| PublicKey::parse(key)).collect();
        keys.map(Lock::Keys)
    };
    let lock = match (&args.passphrase_file, credential) {
        (Some(path), _) => passphrase(path),
        (None, _) if !args.to.is_empty() => keys(&args.to),
        (None, _) if !configured.is_empty() => keys(configured),
        (None, Some(path)) => passphrase(&path),
        (None, None) => {
            return Err(io::Error::other(
                "say for whom: --to a public key (`cardea backup-key` makes one), \
                 --passphrase-file, or backup.to in the configuration",
            ));
        }
    };
    lock.map_err(io::Error::other)
}

fn expect_done(reply: Response) -> io::Result<()> {
    match reply {
        Response::Done { .. } => Ok(()),
        other => site::print(other),
    }
}
