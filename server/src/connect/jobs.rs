//! What is asked of the authority: renewal of the site's certificate, revoked certificates,
//! diagnostics, updates. A thread of its own, because each may take long; nothing waits for it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use cardea_connect::join::{Renew, Renewed};
use cardea_connect::tls::{self, Request};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};

use super::supervise::supervised;
use super::updates::{self, Fetched, Progress};
use super::{ConnectSetup, News, diagnostics};
use crate::limits::CONNECT_JOBS_MAX;
use crate::site::unix_ms;
use crate::writer::{Command, WriterHandle};

/// How often the list of revoked certificates is read again.
const REVOKED_PERIOD: Duration = Duration::from_secs(3_600);
/// How long after a renewal that failed the next one is tried, at most: a tenth of the life left.
const RENEW_AGAIN: Duration = Duration::from_secs(3_600);

/// What is to be done.
#[derive(Debug)]
pub enum Job {
    /// Gather diagnostics and upload them.
    Diagnostics {
        /// For which command.
        command: String,
        /// What only the writer knows: names and contents of files.
        facts: Vec<(String, String)>,
    },
    /// Fetch an update and check it.
    Update {
        /// For which command.
        command: String,
        /// Its manifest, below `/v1/updates/`.
        manifest: String,
        /// Also an older version.
        allow_older: bool,
    },
}

/// What has come of something.
#[derive(Debug)]
pub enum JobEnd {
    /// A command's job has ended; why it failed, in words.
    Of(String, Result<JobDone, String>),
    /// The site has a new certificate.
    Renewed {
        /// The certificate, PEM.
        certificate: String,
        /// Its key, PEM.
        key: String,
        /// Revoked certificates, PEM.
        crl: String,
    },
    /// The list of revoked certificates is another one.
    Revoked(String),
}

/// What a command's job has brought.
#[derive(Debug)]
pub enum JobDone {
    /// Uploaded under this name, so many bytes.
    Uploaded(String, u64),
    /// An update is here and checked.
    Fetched(Box<Fetched>),
}

/// The thread's entrance.
pub(super) struct Jobs {
    sender: Sender<Job>,
}

impl Jobs {
    /// Starts the thread. It ends by itself after its present job when the entrance is gone.
    pub(super) fn start(
        setup: ConnectSetup,
        data: PathBuf,
        writer: WriterHandle,
        progress: Arc<Progress>,
    ) -> io::Result<Self> {
        let (sender, received) = bounded(CONNECT_JOBS_MAX);
        thread::Builder::new()
            .name("connect-jobs".to_owned())
            .spawn(move || {
                let mut worker = Worker {
                    setup,
                    data,
                    writer,
                    progress,
                    renew_at: None,
                    revoked_at: 0,
                };
                supervised("connect-jobs", || worker.run(&received));
            })?;
        Ok(Self { sender })
    }

    /// Gives a job; never waits.
    pub(super) fn give(&self, job: Job) -> Result<(), &'static str> {
        self.sender.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => "too many jobs wait for the authority",
            TrySendError::Disconnected(_) => "the module is stopping",
        })
    }
}

struct Worker {
    setup: ConnectSetup,
    data: PathBuf,
    writer: WriterHandle,
    progress: Arc<Progress>,
    /// Not before this, Unix seconds, after a renewal that failed.
    renew_at: Option<i64>,
    revoked_at: i64,
}

impl Worker {
    fn run(&mut self, jobs: &Receiver<Job>) {
        loop {
            match jobs.recv_timeout(Duration::from_secs(1)) {
                Ok(job) => self.job(job),
                Err(RecvTimeoutError::Timeout) => self.upkeep(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn tell(&self, end: JobEnd) {
        // A writer that has ended means that the server is stopping.
        let _ = self.writer.send(Command::Connect(Box::new(News::Job(end))));
    }

    fn job(&mut self, job: Job) {
        let (command, done) = match job {
            Job::Diagnostics { command, facts } => {
                let done = self.diagnostics(&command, facts);
                (command, done)
            }
            Job::Update {
                command,
                manifest,
                allow_older,
            } => {
                let fetched = updates::fetch(
                    &self.setup,
                    &self.data,
                    &manifest,
                    allow_older,
                    &self.progress,
                );
                self.progress.end();
                let done = fetched.map(|fetched| JobDone::Fetched(Box::new(fetched)));
                (command, done)
            }
        };
        self.tell(JobEnd::Of(command, done));
    }

    fn diagnostics(&self, id: &str, facts: Vec<(String, String)>) -> Result<JobDone, String> {
        let bundle = diagnostics::bundle(&self.data, facts).map_err(|error| error.to_string())?;
        let name = format!("{}-{id}.tar", self.setup.site);
        let authority = self.setup.authority()?;
        authority
            .put(&format!("/v1/diagnostics/{name}"), &bundle)
            .map_err(|error| error.to_string())?;
        Ok(JobDone::Uploaded(name, bundle.len() as u64))
    }

    fn upkeep(&mut self) {
        let now = i64::try_from(unix_ms() / 1_000).unwrap_or(i64::MAX);
        let due = self.setup.validity().map(tls::renew_at);
        if due.is_some_and(|due| due <= now) && self.renew_at.is_none_or(|at| at <= now) {
            let left = self.setup.validity().map_or(0, |(_, until)| until - now);
            let pause = (left / 10).clamp(1, RENEW_AGAIN.as_secs().cast_signed());
            self.renew_at = Some(now.saturating_add(pause));
            match self.renew() {
                Ok(end) => self.tell(end),
                Err(why) => tracing::warn!(why, "the site's certificate is not renewed"),
            }
        }
        if now - self.revoked_at >= REVOKED_PERIOD.as_secs().cast_signed() {
            self.revoked_at = now;
            match self.revoked() {
                Ok(crl) if crl != self.setup.crl => {
                    self.setup.crl.clone_from(&crl);
                    self.tell(JobEnd::Revoked(crl));
                }
                Ok(_) => {}
                Err(why) => tracing::debug!(why, "revoked certificates"),
            }
        }
    }

    fn renew(&self) -> Result<JobEnd, String> {
        let request = Request::make(&self.setup.site)?;
        let question = Renew {
            v: 1,
            csr: request.csr.clone(),
        };
        let renewed: Renewed = self
            .setup
            .authority()?
            .ask("/v1/renew", &question)
            .map_err(|error| error.to_string())?;
        let key = request.key.to_string();
        // Only what can be used takes the place of what can.
        tls::client_config(&self.setup.ca, &renewed.certificate, &key, &renewed.crl)?;
        Ok(JobEnd::Renewed {
            certificate: renewed.certificate,
            key,
            crl: renewed.crl,
        })
    }

    fn revoked(&self) -> Result<String, String> {
        let read = self.setup.authority()?.read("/v1/crl");
        let text = String::from_utf8(read.map_err(|error| error.to_string())?);
        let crl = text.map_err(|_| "the list is not text".to_owned())?;
        tls::client_config(
            &self.setup.ca,
            &self.setup.certificate,
            &self.setup.key,
            &crl,
        )?;
        Ok(crl)
    }
}
