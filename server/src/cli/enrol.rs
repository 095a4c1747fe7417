//! `cardea enrol ..`: the Enrolment Service from the command line. Sheets to print are made here,
//! of the links that the server answers with.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Deserialize;

use super::site;
use crate::admin::client::Desk;
use crate::admin::enrol::{EnrolAsk, Invitee};
use crate::admin::message::{Request, Response};
use crate::enrol::link::sheet_svg;
use crate::enrol::{EnrolmentSetup, MailSetup, MailTls};
use crate::limits::INVITEES_MAX;

/// `cardea enrol ..`.
#[derive(Debug, Subcommand)]
pub enum EnrolCommand {
    /// Shows how enrolment is set up.
    Show,
    /// Sets up what people are told; what is not named stays as it is.
    Set(SetArgs),
    /// Sets up how invitations are mailed.
    SetMail(Box<MailArgs>),
    /// Invites a person, or many from a file.
    Invite(InviteArgs),
    /// Who is to enrol, and how far they are.
    List {
        /// Begin after this external id.
        #[arg(long)]
        after: Option<String>,
        /// At most this many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Disenrols a person, and invites again.
    Resend {
        /// The site's own name for the person.
        external_id: String,
        /// Prints the invitation into this folder instead of mailing it.
        #[arg(long)]
        paper: Option<PathBuf>,
    },
    /// Takes an invitation back.
    Cancel {
        /// The site's own name for the person.
        external_id: String,
    },
    /// Says that a likely duplicate is somebody else: the next capture is enrolled.
    Allow {
        /// The site's own name for the person.
        external_id: String,
    },
    /// Records that a person has consented on paper; their device waits for them.
    Consent {
        /// The site's own name for the person.
        external_id: String,
    },
    /// Has the device of a person who has consented wait for them; prints the code.
    Capture {
        /// The site's own name for the person.
        external_id: String,
    },
}

/// `cardea enrol set`.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// The company in charge.
    #[arg(long)]
    pub company: Option<String>,
    /// Where the privacy policy is: `https://..`.
    #[arg(long)]
    pub policy_url: Option<String>,
    /// The policy's version; another one asks everybody again.
    #[arg(long)]
    pub policy_version: Option<String>,
    /// Which way in there is without biometrics.
    #[arg(long)]
    pub alternative: Option<String>,
    /// The device at which people enrol whom Space asks for.
    #[arg(long)]
    pub device: Option<String>,
    /// Where links begin: `https://host[:port]`; by default the server's own address.
    #[arg(long)]
    pub pages_url: Option<String>,
}

/// `cardea enrol set-mail`.
#[derive(Debug, Args)]
pub struct MailArgs {
    /// The relay's host name or address.
    #[arg(long, required_unless_present = "none")]
    pub host: Option<String>,
    /// Its port.
    #[arg(long, default_value_t = 587)]
    pub port: u16,
    /// How the connection is protected.
    #[arg(long, value_enum, default_value = "starttls")]
    pub tls: MailTls,
    /// The sender: an e-mail address.
    #[arg(long, required_unless_present = "none")]
    pub from: Option<String>,
    /// The account, where the relay asks for one.
    #[arg(long, requires = "password_file")]
    pub user: Option<String>,
    /// A file with its password.
    #[arg(long, requires = "user")]
    pub password_file: Option<PathBuf>,
    /// A PEM file of authorities that vouch for the relay, instead of the system's.
    #[arg(long)]
    pub ca: Option<PathBuf>,
    /// Sends no mail any more.
    #[arg(long, conflicts_with_all = ["host", "from"])]
    pub none: bool,
}

/// `cardea enrol invite`.
#[derive(Debug, Args)]
pub struct InviteArgs {
    /// The site's own name for the person.
    #[arg(required_unless_present = "file")]
    pub external_id: Option<String>,
    /// Their name.
    #[arg(long, default_value = "")]
    pub name: String,
    /// Their e-mail address.
    #[arg(long, default_value = "")]
    pub email: String,
    /// The device that captures.
    #[arg(long, default_value = "")]
    pub device: String,
    /// Doors they may pass, separated by `;`, or `*`.
    #[arg(long, default_value = "")]
    pub doors: String,
    /// Two letters: en, fr, de, nl, es, ar.
    #[arg(long, default_value = "")]
    pub language: String,
    /// How many days the invitation holds.
    #[arg(long, default_value_t = 0)]
    pub days: u32,
    /// A CSV with the columns external_id, name, email, device, doors, language, days.
    #[arg(long, conflicts_with = "external_id")]
    pub file: Option<PathBuf>,
    /// Prints invitations as SVG files into this folder instead of mailing them.
    #[arg(long)]
    pub paper: Option<PathBuf>,
}

/// A row of a file; cells may be empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Row {
    external_id: String,
    name: String,
    email: String,
    device: String,
    doors: String,
    language: String,
    days: Option<u32>,
}

impl Row {
    fn invitee(self) -> Invitee {
        Invitee {
            external_id: self.external_id,
            name: self.name,
            email: self.email,
            device: self.device,
            doors: self.doors,
            language: self.language,
            days: self.days.unwrap_or(0),
        }
    }
}

/// Carries an `enrol` command out.
///
/// # Errors
/// If it could not be done; the message says why.
pub fn run(data: &Path, command: EnrolCommand) -> io::Result<()> {
    match command {
        EnrolCommand::Invite(args) => return invite(data, args),
        EnrolCommand::Resend { external_id, paper } => {
            let ask = EnrolAsk::Resend {
                external_id,
                paper: paper.is_some(),
            };
            let reply = Desk::open(data)?.ask(&Request::Enrol { ask })?;
            return print(data, reply, paper.as_deref());
        }
        _ => {}
    }
    let ask = request(command)?;
    site::ask(data, &Request::Enrol { ask })
}

fn request(command: EnrolCommand) -> io::Result<EnrolAsk> {
    Ok(match command {
        EnrolCommand::Show => EnrolAsk::Show,
        EnrolCommand::Set(args) => EnrolAsk::Set {
            setup: EnrolmentSetup {
                company: args.company,
                policy_url: args.policy_url,
                policy_version: args.policy_version,
                alternative: args.alternative,
                device: args.device,
                pages_url: args.pages_url,
            },
        },
        EnrolCommand::SetMail(args) => EnrolAsk::SetMail {
            mail: if args.none { None } else { Some(mail(*args)?) },
        },
        EnrolCommand::List { after, limit } => EnrolAsk::List { after, limit },
        EnrolCommand::Cancel { external_id } => EnrolAsk::Cancel { external_id },
        EnrolCommand::Allow { external_id } => EnrolAsk::Allow { external_id },
        EnrolCommand::Consent { external_id } => EnrolAsk::Consent { external_id },
        EnrolCommand::Capture { external_id } => EnrolAsk::Capture { external_id },
        EnrolCommand::Invite(_) | EnrolCommand::Resend { .. } => {
            unreachable!("carried out by the caller")
        }
    })
}

fn mail(args: MailArgs) -> io::Result<MailSetup> {
    let password = args.password_file.map(fs::read_to_string).transpose()?;
    Ok(MailSetup {
        host: args.host.unwrap_or_default(),
        port: args.port,
        tls: args.tls,
        from: args.from.unwrap_or_default(),
        user: args.user,
        password: password.map(|text| text.trim_end_matches(['\r', '\n']).to_owned()),
        ca_pem: args.ca.map(fs::read_to_string).transpose()?,
    })
}

fn invite(data: &Path, args: InviteArgs) -> io::Result<()> {
    let people = match &args.file {
        Some(file) => {
            let rows = csv::Reader::from_path(file)?.into_deserialize();
            let rows = rows.map(|row| row.map(Row::invitee));
            rows.collect::<Result<Vec<Invitee>, _>>()?
        }
        None => vec![Invitee {
            external_id: args.external_id.unwrap_or_default(),
            name: args.name,
            email: args.email,
            device: args.device,
            doors: args.doors,
            language: args.language,
            days: args.days,
        }],
    };
    let mut desk = Desk::open(data)?;
    for some in people.chunks(INVITEES_MAX) {
        let ask = EnrolAsk::Invite {
            people: some.to_vec(),
            paper: args.paper.is_some(),
        };
        let reply = desk.ask(&Request::Enrol { ask })?;
        print(data, reply, args.paper.as_deref())?;
    }
    Ok(())
}

/// Prints a table of invitations; links become sheets in `paper`, and are printed nowhere.
fn print(data: &Path, reply: Response, paper: Option<&Path>) -> io::Result<()> {
    let (folder, columns, mut rows) = match (paper, reply) {
        (Some(folder), Response::Table { columns, rows }) => (folder, columns, rows),
        (_, reply) => return site::print(reply),
    };
    fs::create_dir_all(folder)?;
    for row in &mut rows {
        let [external_id, link] = row.as_mut_slice() else {
            continue;
        };
        if !link.starts_with("https://") {
            continue;
        }
        let company = crate::config::Config::read(data).map(|config| config.site);
        let sheet = sheet_svg(&company.unwrap_or_default(), external_id, link);
        let sheet = sheet.ok_or_else(|| io::Error::other("the link is too long for a code"))?;
        let file = folder.join(format!("{}.svg", file_name(external_id)));
        fs::write(&file, sheet)?;
        *link = file.display().to_string();
    }
    site::print(Response::Table { columns, rows })
}

/// An external id as a file's name: what could be a path is not.
fn file_name(external_id: &str) -> String {
    external_id
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || "-_".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_external_id_leads_out_of_no_folder() {
        assert_eq!(file_name("../../etc/P 1"), "______etc_P_1");
    }
}
