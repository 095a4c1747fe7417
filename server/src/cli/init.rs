//! `cardea init`: a new site in an empty data directory.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use time::OffsetDateTime;

use super::InitArgs;
use super::team::print_password;
use crate::config::{Config, FILE};
use crate::console::password;
use crate::pki::SitePki;
use crate::secrets::{Sealer, random, write_new};
use crate::store::{DataDirectory, Role, SettingKey, Store, WithdrawalKey};

/// Who signs in first.
const FIRST_MEMBER: &str = "admin";

/// Makes the site.
///
/// # Errors
/// If there is one already, the model is no model id, or a file cannot be written.
pub fn run(data: &Path, args: &InitArgs) -> io::Result<()> {
    let model = parse_model(&args.model)?;
    let listen = args
        .listen
        .unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 443)));
    let config = Config::new(&args.site, args.ip, listen);
    fs::create_dir_all(data)?;
    if data.join(FILE).exists() {
        return Err(io::Error::other(
            "there is a site in this directory already",
        ));
    }
    let directory = DataDirectory::lock(data).map_err(io::Error::other)?;
    let sealer = Sealer::create(data).map_err(io::Error::other)?;
    let now = OffsetDateTime::now_utc();
    let server = (args.ip, config.server_certificate_life_s);
    SitePki::create(data, &sealer, &args.site, server, now).map_err(io::Error::other)?;

    let site_id = random::<16>().map_err(io::Error::other)?;
    // The threshold, then the number of people and the FPIR it was set for: not calibrated yet.
    let mut threshold = [0_u8; 16];
    threshold[..4].copy_from_slice(&args.threshold.to_le_bytes());
    let withdrawal_key = WithdrawalKey::sealed(&sealer).map_err(io::Error::other)?;
    let mut store = Store::open(&directory).map_err(io::Error::other)?;
    store
        .settings_set(&[
            (SettingKey::SITE_ID, site_id.as_slice()),
            (SettingKey::MODEL_ID, &model),
            (SettingKey::DECISION_THRESHOLD, &threshold),
            (SettingKey::WITHDRAWAL_KEY, &withdrawal_key),
            (SettingKey::ADDRESS_AT_SETUP, args.ip.to_string().as_bytes()),
        ])
        .map_err(io::Error::other)?;
    let password = password::generate().map_err(io::Error::other)?;
    let hash = password::hash(&password).map_err(io::Error::other)?;
    store
        .team_add(
            FIRST_MEMBER,
            Role::Administrator,
            &hash,
            now.unix_timestamp(),
        )
        .map_err(io::Error::other)?;
    // Last, so that an interrupted init leaves no configuration: then it is no site yet.
    write_new(&data.join(FILE), config.to_text().as_bytes(), 0o640).map_err(io::Error::other)?;
    println!(
        "A new site in {}. Next: cardea --data {0} serve",
        data.display()
    );
    print_password(FIRST_MEMBER, &password);
    Ok(())
}

fn parse_model(text: &str) -> io::Result<[u8; 16]> {
    let number = u128::from_str_radix(text, 16)
        .ok()
        .filter(|_| text.len() == 32);
    number
        .map(u128::to_be_bytes)
        .ok_or_else(|| io::Error::other("--model takes 32 hexadecimal digits"))
}
