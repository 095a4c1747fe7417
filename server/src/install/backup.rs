//! `cardea setup`'s step for backups: for whom and where to, and the timer that takes them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::files;
use super::owner::{as_owner, decrypted, other_owner};
use super::setup::{Steps, keep_credential, succeed};
use crate::backup::Target;
use crate::backup::keys::{Passphrase, PublicKey};
use crate::cli::install::SetupArgs;
use crate::config::{Backup, Config, FILE};

/// Takes backups; enabled once it is known for whom.
pub(super) const TIMER: &str = "cardea-backup.timer";
/// Where they go unless something else is said: the package makes it.
const DIRECTORY: &str = "/var/backups/cardea";
const CREDENTIAL: &str = "cardea-backup-passphrase";
const CREDENTIAL_FILE: &str = "/etc/credstore.encrypted/cardea-backup-passphrase";
/// Units that write there.
const DROP_INS: [&str; 2] = [
    "/etc/systemd/system/cardea.service.d/backup.conf",
    "/etc/systemd/system/cardea-backup.service.d/backup.conf",
];

/// Writes down what the arguments say of backups. Returns whether they can be taken by the timer.
///
/// # Errors
/// A key that is none, a passphrase where keys are configured; those of files and of the programs
/// that are called.
pub(super) fn set_up(data: &Path, args: &SetupArgs, steps: &mut Steps) -> io::Result<bool> {
    for key in &args.backup_to {
        PublicKey::parse(key).map_err(io::Error::other)?;
    }
    let before = Config::read(data).map_err(io::Error::other)?.backup;
    if args.backup_passphrase_file.is_some() && !before.to.is_empty() {
        return Err(io::Error::other(format!(
            "backups are for the keys in {FILE} (backup.to), and a passphrase would open none of \
             them: take the keys out first"
        )));
    }
    let asked = !args.backup_to.is_empty() || args.backup_passphrase_file.is_some();
    if let Some(file) = &args.backup_passphrase_file {
        // One that is too short is refused before anything is written.
        Passphrase::read(file).map_err(io::Error::other)?;
        let credential = Path::new(CREDENTIAL_FILE);
        let kept = credential.exists() && *decrypted(credential, CREDENTIAL)? == fs::read(file)?;
        if !kept {
            keep_credential(file, CREDENTIAL, credential)?;
        }
        steps.note(CREDENTIAL_FILE, !kept);
    }
    let mut backup = before.clone();
    if let Some(directory) = &args.backup_directory {
        backup.directory = Some(directory.clone());
    } else if asked && backup.directory.is_none() {
        backup.directory = Some(PathBuf::from(DIRECTORY));
    }
    for key in &args.backup_to {
        if !backup.to.contains(key) {
            backup.to.push(key.clone());
        }
    }
    if backup != before {
        write(data, &backup)?;
    }
    steps.note(&data.join(FILE).display().to_string(), backup != before);
    let Some(directory) = &backup.directory else {
        return Ok(false);
    };
    let mut sandbox = false;
    for path in DROP_INS {
        match drop_in(directory) {
            Some(text) => steps.file(path, &text)?,
            None => steps.note(path, files::remove(Path::new(path))?),
        }
        sandbox |= steps.last;
    }
    if sd_notify::booted()? {
        take_over(sandbox, backup != before)?;
    }
    Ok(!backup.to.is_empty() || Path::new(CREDENTIAL_FILE).exists())
}

/// Has a server that runs take what was changed.
fn take_over(sandbox: bool, configuration: bool) -> io::Result<()> {
    let systemctl = |words: &[&str]| succeed(Command::new("systemctl").args(words));
    if sandbox {
        systemctl(&["daemon-reload"])?;
        return systemctl(&["try-restart", "cardea.service"]);
    }
    if configuration {
        return systemctl(&["try-reload-or-restart", "cardea.service"]);
    }
    Ok(())
}

/// The units may write to the folder, if it is not the package's own.
fn drop_in(directory: &Path) -> Option<String> {
    (directory != Path::new(DIRECTORY)).then(|| {
        let directory = directory.display();
        format!(
            "# Written by `cardea setup` from cardea.toml.\n[Service]\n\
             ReadWritePaths=-{directory}\n"
        )
    })
}

/// Has the owner of the data change its configuration.
fn write(data: &Path, backup: &Backup) -> io::Result<()> {
    let mut arguments = vec![
        "--data".to_owned(),
        data.display().to_string(),
        "backup-set".to_owned(),
    ];
    if let Some(directory) = &backup.directory {
        arguments.push(format!("--directory={}", directory.display()));
    }
    arguments.extend(backup.to.iter().map(|key| format!("--to={key}")));
    let mut command = match other_owner(data) {
        Some(owner) => as_owner(&arguments, owner)?,
        None => {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(&arguments);
            command
        }
    };
    succeed(&mut command)
}

/// `cardea backup-set`: writes into `cardea.toml` where backups go, and for whom; all else in it
/// stays as it was written.
///
/// # Errors
/// A configuration that cannot be read or written; a key that is none; a folder that backups cannot
/// go to.
pub fn configure(data: &Path, directory: Option<PathBuf>, to: Vec<String>) -> io::Result<()> {
    for key in &to {
        PublicKey::parse(key).map_err(io::Error::other)?;
    }
    let path = data.join(FILE);
    let text = fs::read_to_string(&path)?;
    let before = Config::parse(&text).map_err(io::Error::other)?.backup;
    if let Some(directory) = &directory {
        // This runs as the owner of the data, who takes them.
        Target::configured(data, directory).map_err(io::Error::other)?;
    }
    let changed = with_backup(
        &text,
        &Backup {
            directory,
            to,
            days: before.days,
        },
    );
    Config::parse(&changed).map_err(io::Error::other)?;
    files::write(&path, &changed, 0o640).map(drop)
}

/// The text with other values in the table `[backup]`. What is said of them in comments stays.
fn with_backup(text: &str, backup: &Backup) -> String {
    let table = toml::to_string(backup).expect("paths, keys and a number have a form in TOML");
    let mut changed = String::new();
    let (mut inside, mut found) = (false, false);
    for line in text.lines() {
        let (code, comment) = line.split_at(comment_at(line));
        let header = code.trim().strip_prefix('[');
        if let Some(header) = header {
            let name = header.strip_suffix(']').unwrap_or_default();
            inside = name.trim() == "backup";
        }
        match (inside, header.is_some()) {
            (false, _) => changed.push_str(line),
            (true, true) => {
                found = true;
                changed.push_str(line);
                changed.push('\n');
                changed.push_str(table.trim_end());
            }
            (true, false) if code.trim().is_empty() || !comment.is_empty() => {
                changed.push_str(comment);
            }
            (true, false) => continue,
        }
        changed.push('\n');
    }
    match found {
        true => changed,
        false => format!("{}\n\n[backup]\n{table}", changed.trim_end()),
    }
}

/// Where the comment of a line of TOML begins: at a `#` that is in no string.
fn comment_at(line: &str) -> usize {
    let (mut quote, mut escaped) = (None, false);
    for (at, symbol) in line.char_indices() {
        match quote {
            None if symbol == '#' => return at,
            None if symbol == '"' || symbol == '\'' => quote = Some(symbol),
            Some('"') if escaped => escaped = false,
            Some('"') if symbol == '\\' => escaped = true,
            Some(open) if open == symbol => quote = None,
            None | Some(_) => {}
        }
    }
    line.len()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use clap::Parser as _;

    use super::*;
    use crate::backup::keys::SecretKey;
    use crate::cli::{InitArgs, init};

    fn backup() -> Backup {
        Backup {
            directory: Some(PathBuf::from("/b")),
            to: vec!["age1x".to_owned()],
            days: 7,
        }
    }

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: SetupArgs,
    }

    /// It was taken without a word, and opened nothing. Fails without the refusal.
    #[test]
    fn a_passphrase_is_refused_where_keys_are_configured() {
        let folder = tempfile::tempdir().expect("a folder");
        let init = InitArgs {
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            listen: None,
            site: "test".to_owned(),
            model: "0".repeat(31) + "1",
            threshold: 0.5,
        };
        init::run(folder.path(), &init).expect("a new site");
        let key = SecretKey::generate().and_then(|key| key.public());
        let key = key.expect("a key").to_string();
        configure(folder.path(), None, vec![key]).expect("written");
        // There is no such file: nothing is written, whatever comes of this.
        let words = ["setup", "--backup-passphrase-file", "/nonexistent/word"];
        let Cli { args } = Cli::parse_from(words);
        let refused = set_up(folder.path(), &args, &mut Steps::default());
        let why = refused.expect_err("it would open nothing").to_string();
        assert!(why.contains("backup.to"), "{why}");
    }

    /// A header with a comment was not known, and comments were lost, also the one above the next
    /// table. Fails without `comment_at`, or if another table is lost, or an old value stays.
    #[test]
    fn only_the_values_of_backups_change() {
        let text = "# mine\nsite = \"a\"\n\n[backup] # nightly\n# old\ndays = 30 # a month\n\
                    to = [\n  \"age1#y\", # hers\n]\n\n# ours\n[extractor]\nx = 1\n";
        let values = "directory = \"/b\"\nto = [\"age1x\"]\ndays = 7\n";
        let changed = with_backup(text, &backup());
        assert_eq!(
            changed,
            format!(
                "# mine\nsite = \"a\"\n\n[backup] # nightly\n{values}# old\n# a month\n\
                 # hers\n\n# ours\n[extractor]\nx = 1\n"
            )
        );
        assert_eq!(with_backup(&changed, &backup()), changed);
        assert_eq!(
            with_backup("site = \"a\"\n", &backup()),
            format!("site = \"a\"\n\n[backup]\n{values}")
        );
    }

    #[test]
    fn a_comment_begins_outside_of_strings() {
        for (line, at) in [
            ("days = 7", 8),
            ("# all", 0),
            (r##"a = "#\"#" # x"##, 11),
            ("a = '#\\' # x", 9),
        ] {
            assert_eq!(comment_at(line), at, "{line}");
        }
    }

    /// Fails if a folder of one's own cannot be written to in the sandbox.
    #[test]
    fn only_another_folder_takes_a_drop_in() {
        assert_eq!(drop_in(Path::new(DIRECTORY)), None);
        let other = drop_in(Path::new("/mnt/backups")).expect("a drop-in");
        assert!(other.ends_with("ReadWritePaths=-/mnt/backups\n"), "{other}");
    }
}
