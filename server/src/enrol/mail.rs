//! The thread that sends mail, one letter at a time. Nothing waits for it: the writer hands it a
//! letter when it is idle and hears how that ended; what waits stands in the store.
//!
//! SMTP is `lettre`'s, its TLS the same `rustls` with the same provider as all else here.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use lettre::message::{Mailbox, header};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, Message, SmtpTransport, Transport as _};

use super::letter::Letter;
use super::setup::{MailSetup, MailTls};
use crate::limits::{
    MAIL_BACK_OFF_FIRST_S, MAIL_BACK_OFF_MAX_S, MAIL_CA_BYTES_MAX, MAIL_TEST_TIMEOUT, MAIL_TIMEOUT,
};

/// A letter, and how it is to go.
pub struct MailJob {
    /// The relay.
    pub setup: Arc<MailSetup>,
    /// Whom it is from, as shown.
    pub company: String,
    /// Whom it is for.
    pub name: String,
    /// Their address.
    pub email: String,
    /// What it says.
    pub letter: Letter,
    /// Told how it ended.
    pub done: Box<dyn FnOnce(Result<(), MailFailure>) + Send>,
}

/// Why a letter was not sent. It names no person: a relay's own words may, so they are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailFailure {
    /// Trying again is of no use.
    pub permanent: bool,
    /// In words.
    pub why: String,
}

/// The thread's entrance; it ends when this is dropped.
pub struct Mailer {
    jobs: Sender<MailJob>,
}

impl Mailer {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start() -> io::Result<Self> {
        let (jobs, receiver) = bounded(1);
        thread::Builder::new()
            .name("mail".to_owned())
            .spawn(move || work(&receiver))?;
        Ok(Self { jobs })
    }

    /// Gives it a letter; `false` while it has another.
    pub fn give(&self, job: MailJob) -> bool {
        match self.jobs.try_send(job) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }
}

/// Seconds until a letter is tried again that failed so often.
#[must_use]
pub fn back_off_s(tries: u32) -> i64 {
    let doubled = MAIL_BACK_OFF_FIRST_S.saturating_mul(1_i64 << tries.min(20));
    doubled.min(MAIL_BACK_OFF_MAX_S)
}

fn work(jobs: &Receiver<MailJob>) {
    for job in jobs {
        let sent = send(&job);
        (job.done)(sent);
    }
}

fn send(job: &MailJob) -> Result<(), MailFailure> {
    let message = compose(job)?;
    let sent = transport(&job.setup, MAIL_TIMEOUT)?.send(&message);
    sent.map(drop).map_err(|error| in_words(&error))
}

/// Connects to the relay as a letter would, signs in where there is an account, and says goodbye.
///
/// # Errors
/// Why no letter could go.
pub fn test(setup: &MailSetup) -> Result<(), MailFailure> {
    match transport(setup, MAIL_TEST_TIMEOUT)?.test_connection() {
        Ok(true) => Ok(()),
        Ok(false) => Err(failure("the relay ends the conversation")),
        Err(error) => Err(in_words(&error)),
    }
}

fn in_words(error: &lettre::transport::smtp::Error) -> MailFailure {
    let why = match error.status() {
        Some(code) => format!("the relay said {code}"),
        None if error.is_timeout() => "the relay does not answer in time".to_owned(),
        None if error.is_tls() => "no secure connection to the relay".to_owned(),
        None => "the relay cannot be reached".to_owned(),
    };
    MailFailure {
        permanent: error.is_permanent(),
        why,
    }
}

fn compose(job: &MailJob) -> Result<Message, MailFailure> {
    let address = |text: &str| -> Result<Address, MailFailure> {
        text.parse().map_err(|_| failure("not an e-mail address"))
    };
    Message::builder()
        .from(Mailbox::new(
            Some(job.company.clone()),
            address(&job.setup.from)?,
        ))
        .to(Mailbox::new(Some(job.name.clone()), address(&job.email)?))
        .subject(&job.letter.subject)
        .message_id(None)
        .header(header::ContentType::TEXT_PLAIN)
        .body(job.letter.text.clone())
        .map_err(|_| failure("no letter can be made of it"))
}

fn transport(setup: &MailSetup, timeout: Duration) -> Result<SmtpTransport, MailFailure> {
    let tls = match setup.tls {
        MailTls::None => Tls::None,
        MailTls::Starttls => Tls::Required(parameters(setup)?),
        MailTls::Tls => Tls::Wrapper(parameters(setup)?),
    };
    let mut builder = SmtpTransport::builder_dangerous(setup.host.clone())
        .port(setup.port)
        .tls(tls)
        .hello_name(ClientId::Domain("cardea".to_owned()))
        .timeout(Some(timeout));
    if let (Some(user), Some(password)) = (&setup.user, &setup.password) {
        builder = builder.credentials(Credentials::new(user.clone(), password.clone()));
    }
    Ok(builder.build())
}

fn parameters(setup: &MailSetup) -> Result<TlsParameters, MailFailure> {
    let mut builder = TlsParameters::builder(setup.host.clone());
    // By default the authorities are those that the system believes.
    if let Some(pem) = &setup.ca_pem {
        builder = builder.certificate_store(CertificateStore::None);
        for certificate in pem_blocks(pem.as_bytes()) {
            let certificate = Certificate::from_pem(certificate);
            let bad = |_| failure("the authorities for the relay cannot be read");
            builder = builder.add_root_certificate(certificate.map_err(bad)?);
        }
    }
    builder
        .build()
        .map_err(|_| failure("the authorities for the relay cannot be read"))
}

/// Each certificate of a PEM file.
fn pem_blocks(pem: &[u8]) -> impl Iterator<Item = &[u8]> {
    const END: &[u8] = b"-----END CERTIFICATE-----";
    let mut rest = pem;
    std::iter::from_fn(move || {
        let end = rest.windows(END.len()).position(|window| window == END)? + END.len();
        let (block, after) = rest.split_at(end);
        rest = after;
        Some(block)
    })
}

fn failure(why: &str) -> MailFailure {
    MailFailure {
        permanent: false,
        why: why.to_owned(),
    }
}

const _: () = assert!(MAIL_CA_BYTES_MAX <= crate::limits::SETTING_VALUE_BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    // Fails without the doubling, or without its end.
    #[test]
    fn the_pause_doubles_up_to_an_hour() {
        assert_eq!(back_off_s(0), MAIL_BACK_OFF_FIRST_S);
        assert_eq!(back_off_s(2), 4 * MAIL_BACK_OFF_FIRST_S);
        assert_eq!(back_off_s(63), MAIL_BACK_OFF_MAX_S);
    }

    #[test]
    fn a_file_of_authorities_is_taken_apart() {
        let one = b"x\n-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n";
        let two = [one.as_slice(), one].concat();
        assert_eq!(pem_blocks(&two).count(), 2);
        assert_eq!(pem_blocks(b"none").count(), 0);
    }
}
