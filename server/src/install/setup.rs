//! `cardea setup`: from an installed package to a running site. Each step looks first at what is
//! there; a second run changes nothing.

use std::fs;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::geteuid;

use super::firewall::{Applied, Firewall};
use super::network::{self, Block, Network, Peer};
use super::owner::{CREDENTIAL_FILE, as_owner, decrypted, other_owner};
use super::{backup, files, site};
use crate::cli::install::{FirewallChoice, SetupArgs};
use crate::config::{self, Config};
use crate::secrets::{CREDENTIAL, KEY_FILE};

const SOCKET: &str = "/etc/systemd/system/cardea.socket.d/site.conf";
const CHRONY: &str = "/etc/chrony/cardea.d/site.conf";
const UPDATE_TIMER: &str = "/etc/systemd/system/apt-daily-upgrade.timer.d/cardea.conf";
const UPDATE_RESTART: &str = "/etc/apt/apt.conf.d/53cardea-restart";
/// Loads the confirmed rules at the next start; until then they are loaded by the command.
const FIREWALL_UNIT: &str = "cardea-firewall.service";
const UNITS: [&str; 6] = [
    "cardea.socket",
    "cardea.service",
    "cardea-firewall-refresh.timer",
    "cardea-host-events.service",
    "cardea-reboot-required.path",
    "cardea-update.path",
];

/// Sets the site up.
///
/// # Errors
/// If this is not root, something needed was not said, or a step fails; the steps before it hold.
pub fn run(data: &Path, args: &SetupArgs) -> io::Result<()> {
    if !geteuid().is_root() {
        return Err(io::Error::other("run it as root: sudo cardea setup"));
    }
    let mut steps = Steps::default();
    make_site(data, args, &mut steps)?;
    let config = Config::read(data).map_err(io::Error::other)?;
    let settings = Path::new(super::FOLDER);
    let network = make_network(settings, args, &config, &mut steps)?;
    keep_key(data, args, &mut steps)?;
    socket(&config, &mut steps)?;
    clock(&network, &mut steps)?;
    let backups = backup::set_up(data, args, &mut steps)?;
    steps.file(UPDATE_TIMER, &site::update_timer(args.updates_at))?;
    steps.file(UPDATE_RESTART, &site::update_restart(args.updates_at))?;
    start(backups, &mut steps)?;
    wall(data, args, settings, &mut steps)?;
    println!(
        "{}",
        if steps.changed {
            "set up"
        } else {
            "nothing was changed"
        }
    );
    Ok(())
}

/// What was done so far.
#[derive(Default)]
pub(super) struct Steps {
    changed: bool,
    /// Whether the last step changed anything.
    pub(super) last: bool,
}

impl Steps {
    pub(super) fn note(&mut self, what: &str, changed: bool) {
        self.last = changed;
        self.changed |= changed;
        if changed {
            println!("changed: {what}");
        }
    }

    pub(super) fn file(&mut self, path: &str, text: &str) -> io::Result<()> {
        let changed = files::write(Path::new(path), text, 0o644)?;
        self.note(path, changed);
        Ok(())
    }
}

/// The site itself, made as the user that owns the data directory.
fn make_site(data: &Path, args: &SetupArgs, steps: &mut Steps) -> io::Result<()> {
    if data.join(config::FILE).exists() {
        let address = Config::read(data).map_err(io::Error::other)?.address;
        return match args.ip {
            Some(ip) if ip != address => Err(io::Error::other(format!(
                "the site's address is {address}: devices know the server by it"
            ))),
            Some(_) | None => {
                steps.note("site", false);
                Ok(())
            }
        };
    }
    let ip = match args.ip {
        Some(ip) => ip,
        None => ask("The address at which devices reach this server")?,
    };
    if fs::metadata(data).is_err() {
        return Err(io::Error::other(format!(
            "{} is not there: the package makes it, for the user of the server",
            data.display()
        )));
    }
    let mut arguments = vec![
        "--data".to_owned(),
        data.display().to_string(),
        "init".to_owned(),
        format!("--ip={ip}"),
        format!("--site={}", args.site),
    ];
    arguments.extend(args.model.iter().map(|model| format!("--model={model}")));
    arguments.extend(
        args.threshold
            .iter()
            .map(|score| format!("--threshold={score}")),
    );
    let mut init = match other_owner(data) {
        Some(owner) => as_owner(&arguments, owner)?,
        None => {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(&arguments);
            command
        }
    };
    succeed(&mut init)?;
    steps.note("site", true);
    Ok(())
}

/// `network.toml`: from the arguments the first time; later what it says, and what arguments add.
fn make_network(
    settings: &Path,
    args: &SetupArgs,
    config: &Config,
    steps: &mut Steps,
) -> io::Result<Network> {
    let is_new = !settings.join(network::FILE).exists();
    let mut network = if is_new {
        Network {
            out: mirrors()?,
            ..Network::default()
        }
    } else {
        Network::read(settings)?
    };
    let mut devices = args.devices.clone();
    if is_new && devices.is_empty() {
        devices.push(ask("The network of the devices, as 10.1.0.0/16")?);
    }
    for (list, added) in [
        (&mut network.devices, &devices),
        (&mut network.admins, &args.admins),
        (&mut network.people, &args.people),
        (&mut network.space, &args.space),
        (&mut network.ssh, &args.ssh),
    ] {
        add(list, added);
    }
    network.nts |= args.nts;
    if network.devices.is_empty() {
        tracing::warn!("no network of devices: nothing reaches {}", config.listen);
    }
    let text = network.to_text();
    Network::parse(&text).map_err(io::Error::other)?;
    let path = settings.join(network::FILE);
    let changed = Network::read(settings).ok().as_ref() != Some(&network)
        && files::write(&path, &text, 0o644)?;
    steps.note(&path.display().to_string(), changed);
    Ok(network)
}

fn add(list: &mut Vec<Block>, added: &[Block]) {
    for block in added {
        if !list.contains(block) {
            list.push(*block);
        }
    }
}

/// Package mirrors that apt reads from without HTTPS.
fn mirrors() -> io::Result<Vec<Peer>> {
    let mut text = fs::read_to_string("/etc/apt/sources.list").unwrap_or_default();
    if let Ok(folder) = fs::read_dir("/etc/apt/sources.list.d") {
        for entry in folder {
            text.push('\n');
            text.push_str(&fs::read_to_string(entry?.path()).unwrap_or_default());
        }
    }
    let parsed = site::mirrors(&text)
        .into_iter()
        .map(|mirror| mirror.parse());
    parsed
        .collect::<Result<_, String>>()
        .map_err(io::Error::other)
}

/// Moves the sealing key from the data into a credential that only this machine can decrypt.
fn keep_key(data: &Path, args: &SetupArgs, steps: &mut Steps) -> io::Result<()> {
    let (key, credential) = (data.join(KEY_FILE), PathBuf::from(CREDENTIAL_FILE));
    if args.key_beside_data || !key.exists() || !has("systemd-creds") {
        steps.note("sealing key", false);
        return Ok(());
    }
    keep_credential(&key, CREDENTIAL, &credential)?;
    fs::remove_file(&key)?;
    steps.note(CREDENTIAL_FILE, true);
    Ok(())
}

/// Makes a credential of a file, which only this machine can decrypt, and looks whether it gives
/// the file back.
pub(super) fn keep_credential(file: &Path, name: &str, credential: &Path) -> io::Result<()> {
    let folder = credential.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    let beside = folder.join(format!(".{name}.new"));
    files::remove(&beside)?;
    succeed(
        Command::new("systemd-creds")
            .arg("encrypt")
            .arg(format!("--name={name}"))
            .args([file, &beside]),
    )?;
    if *decrypted(&beside, name)? != fs::read(file)? {
        return Err(io::Error::other(
            "the credential does not give the key back",
        ));
    }
    fs::File::open(&beside)?.sync_all()?;
    fs::rename(&beside, credential)?;
    fs::File::open(folder)?.sync_all()
}

/// Has systemd listen where the configuration says; its sockets are opened anew if they are open.
fn socket(config: &Config, steps: &mut Steps) -> io::Result<()> {
    match site::socket(config.listen, config.loops) {
        Some(text) => steps.file(SOCKET, &text)?,
        None => steps.note(SOCKET, files::remove(Path::new(SOCKET))?),
    }
    if steps.last && sd_notify::booted()? && is("is-active", "cardea.socket")? {
        // A socket is not opened anew under a running service; the next step starts both.
        for words in [
            &["stop", "cardea.service", "cardea.socket"][..],
            &["daemon-reload"],
        ] {
            succeed(Command::new("systemctl").args(words))?;
        }
    }
    Ok(())
}

/// Says to chrony whom it follows and serves, and has it read that.
fn clock(network: &Network, steps: &mut Steps) -> io::Result<()> {
    steps.file(CHRONY, &site::chrony(network))?;
    if !steps.last || !sd_notify::booted()? {
        return Ok(());
    }
    let systemctl = |words: &[&str]| succeed(Command::new("systemctl").args(words));
    let read =
        systemctl(&["daemon-reload"]).and_then(|()| systemctl(&["restart", "chrony.service"]));
    if read.is_err() {
        // So that the next run tries again.
        files::remove(Path::new(CHRONY))?;
    }
    read
}

/// Enables and starts what the package brought.
fn start(backups: bool, steps: &mut Steps) -> io::Result<()> {
    if !sd_notify::booted()? {
        println!("systemd does not run here: nothing was started");
        return Ok(());
    }
    let systemctl = || Command::new("systemctl");
    succeed(systemctl().arg("daemon-reload"))?;
    let enabled = is("is-enabled", FIREWALL_UNIT)?;
    if !enabled {
        succeed(systemctl().args(["--quiet", "enable", FIREWALL_UNIT]))?;
    }
    steps.note(FIREWALL_UNIT, !enabled);
    for unit in UNITS.into_iter().chain(backups.then_some(backup::TIMER)) {
        let runs = is("is-enabled", unit)? && is("is-active", unit)?;
        if !runs {
            succeed(systemctl().args(["--quiet", "enable", "--now", unit]))?;
        }
        steps.note(unit, !runs);
    }
    if !backups && steps.changed {
        println!(
            "no backups are taken: cardea setup --backup-to KEY (cardea backup-key makes one)"
        );
    }
    Ok(())
}

fn is(what: &str, unit: &str) -> io::Result<bool> {
    let asked = Command::new("systemctl")
        .args(["--quiet", what, unit])
        .status();
    Ok(asked?.success())
}

fn wall(data: &Path, args: &SetupArgs, settings: &Path, steps: &mut Steps) -> io::Result<()> {
    let firewall = Firewall {
        settings: settings.to_owned(),
        run: args.run.clone(),
    };
    let trial_s = match args.firewall {
        FirewallChoice::No => return Ok(()),
        FirewallChoice::Now => None,
        FirewallChoice::Try => Some(args.within),
    };
    let (rules, _) = firewall.rules(data, &crate::cli::install::integrations(data)?)?;
    let applied = firewall.apply(&rules.text(), trial_s)?;
    steps.note("firewall", applied != Applied::AsItWas);
    if let Applied::OnTrial(seconds) = applied {
        println!("the firewall is taken back in {seconds} s unless: cardea firewall confirm");
    }
    Ok(())
}

fn ask<T: std::str::FromStr>(what: &str) -> io::Result<T> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        let lower = what.to_lowercase();
        return Err(io::Error::other(format!(
            "nobody can be asked: say {lower}, see cardea setup --help"
        )));
    }
    loop {
        print!("{what}: ");
        io::stdout().flush()?;
        let mut line = String::new();
        if stdin.lock().read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim().parse() {
            Ok(answer) => return Ok(answer),
            Err(_) => println!("{:?} is not one.", line.trim()),
        }
    }
}

fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

pub(super) fn succeed(command: &mut Command) -> io::Result<()> {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let called = words.join(" ");
    let output = command
        .output()
        .map_err(|error| io::Error::new(error.kind(), format!("{called}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(format!(
        "{called}: {} {said}",
        output.status
    )))
}
