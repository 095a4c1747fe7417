//! A test authority for Connect: it issues certificates to a broker and to sites, takes
//! diagnostics and serves updates. Everything is in one folder, so that a broker can read its
//! share of it. For tests and trials: its keys lie open on the disk.
//!
//! ```text
//! connect-authority init FOLDER                     CA, its own and the broker's certificate
//! connect-authority code FOLDER --port N SITE       a code for `cardea connect join`
//! connect-authority client FOLDER SITE NAME         a client certificate, NAME.pem and NAME.key
//! connect-authority server FOLDER HOST NAME         a server certificate
//! connect-authority revoke FOLDER CERTIFICATE       adds it to crl.pem
//! connect-authority serve FOLDER --port N           HTTPS; prints a line of JSON when it listens
//! ```

mod limits;
mod pki;
mod request;
mod serve;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Parser, Subcommand};

use pki::{Authority, Certificate};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// A test authority for Connect.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a CA, the authority's own certificate and the broker's.
    Init {
        folder: PathBuf,
        /// The host of both, a name or an address.
        #[arg(long, default_value = "127.0.0.1")]
        host: String,
    },
    /// Prints a code that a site joins with, once.
    Code {
        folder: PathBuf,
        /// The site's id.
        site: String,
        /// Where `serve` listens.
        #[arg(long)]
        port: u16,
    },
    /// Makes a client certificate.
    Client {
        folder: PathBuf,
        /// Whose.
        site: String,
        /// The files' name.
        name: String,
        /// Its life from now; negative: it has ended.
        #[arg(long, default_value_t = 86_400, allow_hyphen_values = true)]
        life_s: i64,
    },
    /// Makes a server certificate.
    Server {
        folder: PathBuf,
        /// For which host.
        host: String,
        /// The files' name.
        name: String,
        /// Its life from now; negative: it has ended.
        #[arg(long, default_value_t = 86_400, allow_hyphen_values = true)]
        life_s: i64,
    },
    /// Revokes a certificate (a PEM file).
    Revoke {
        folder: PathBuf,
        certificate: PathBuf,
    },
    /// Serves sites.
    Serve {
        folder: PathBuf,
        /// Where; 0 takes a free one.
        #[arg(long, default_value_t = 0)]
        port: u16,
        /// What joined sites are told of the broker.
        #[arg(long, default_value = "127.0.0.1")]
        broker_host: String,
        /// Its port.
        #[arg(long)]
        broker_port: u16,
        /// Life of sites' certificates.
        #[arg(long, default_value_t = 30 * 86_400)]
        life_s: i64,
        /// A file of public keys of minisign that sites are told.
        #[arg(long)]
        update_keys: Option<PathBuf>,
        /// Cuts each download after so many bytes.
        #[arg(long)]
        cut_after: Option<usize>,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("connect-authority: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Outcome<()> {
    match command {
        Command::Init { folder, host } => {
            fs::create_dir_all(&folder)?;
            let authority = Authority::create(&folder)?;
            authority
                .server(&host, 365 * 86_400)?
                .write(&folder, "authority")?;
            authority
                .server(&host, 365 * 86_400)?
                .write(&folder, "broker")?;
            authority.write_revoked(&folder, &[])
        }
        Command::Code { folder, site, port } => {
            let authority = Authority::open(&folder)?;
            let token = pki::random_hex()?;
            let tokens = folder.join("tokens");
            fs::create_dir_all(&tokens)?;
            fs::write(tokens.join(&token), &site)?;
            let host = fs::read_to_string(folder.join("authority.host"))?;
            let code = serde_json::json!({
                "u": format!("https://{host}:{port}"),
                "f": authority.fingerprint(),
                "t": token,
            });
            println!("CONNECT1-{}", URL_SAFE_NO_PAD.encode(code.to_string()));
            Ok(())
        }
        Command::Client {
            folder,
            site,
            name,
            life_s,
        } => {
            let certificate: Certificate = Authority::open(&folder)?.client(&site, life_s)?;
            certificate.write(&folder, &name)
        }
        Command::Server {
            folder,
            host,
            name,
            life_s,
        } => Authority::open(&folder)?
            .server(&host, life_s)?
            .write(&folder, &name),
        Command::Revoke {
            folder,
            certificate,
        } => Authority::open(&folder)?.revoke(&folder, &certificate),
        Command::Serve {
            folder,
            port,
            broker_host,
            broker_port,
            life_s,
            update_keys,
            cut_after,
        } => {
            let told = serve::Told {
                broker_host,
                broker_port,
                life_s,
                update_keys: keys(update_keys)?,
                cut_after,
            };
            serve::run(folder, port, told)
        }
    }
}

/// The keys of a file as minisign writes it.
fn keys(file: Option<PathBuf>) -> Outcome<Vec<String>> {
    let Some(file) = file else {
        return Ok(Vec::new());
    };
    let text = fs::read_to_string(file)?;
    let keys = text
        .lines()
        .filter(|line| !line.starts_with("untrusted comment:"));
    Ok(keys.map(str::to_owned).collect())
}
