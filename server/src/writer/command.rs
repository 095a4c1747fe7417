//! What the writer is asked to do, and the queue to ask it.

use std::sync::Arc;

use cardea_engine::erase::EraseError;
use cardea_engine::{Embedding, Gallery};
use cardea_space::sync::Snapshot as SpaceSnapshot;
use cardea_wire::RequestId;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::{ConsoleAsk, DeviceCapture, DeviceSign, Enrolment, PersonCall, WriterError};
use crate::admin::message::{Request, Response};
use crate::api::Completion;
use crate::completions::CompletionSender;
use crate::connect::News;
use crate::enrol::extractor::ExtractorError;
use crate::enrol::mail::MailFailure;
use crate::limits::WRITER_QUEUED_MAX;
use crate::metrics::events::WRITER_FULL;
use crate::net::ExchangeId;
use crate::store::{PersonId, TokenHash};

/// Who asks: a connection of the administration socket, or the command line itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Session(pub u64);

impl Session {
    /// A command that holds the data directory itself.
    pub const COMMAND_LINE: Self = Self(0);
    /// Connect's broker.
    pub const CONNECT: Self = Self(u64::MAX);
    /// Nobody any more: what is left of a session that has ended.
    pub const ABANDONED: Self = Self(u64::MAX - 1);
}

/// Where the answer to a device goes.
pub struct Asker {
    /// The exchange that waits.
    pub exchange: ExchangeId,
    /// The device's name for its request.
    pub request_id: RequestId,
    /// The loop.
    pub done: CompletionSender<Completion>,
}

/// What the writer is asked to do.
pub enum Command {
    /// An administrator's request.
    Administer {
        /// Who asks.
        session: Session,
        /// What.
        request: Request,
        /// Where the answer goes, once it is durable and in force.
        reply: Sender<Response>,
    },
    /// The same, asked by somebody whom the audit is to name.
    AdministerAs {
        /// Who asks, for the audit.
        actor: String,
        /// Under which an import is staged.
        session: Session,
        /// What.
        request: Box<Request>,
        /// Where the answer goes, once it is durable and in force.
        reply: Sender<Response>,
    },
    /// A change of the console's own.
    Console(ConsoleAsk),
    /// A connection of the administration socket has ended; its import is taken back.
    SessionEnded(Session),
    /// A new device wants a certificate for its token.
    Commission {
        /// The token.
        token: [u8; cardea_wire::limits::TOKEN_BYTES],
        /// The certificate request.
        csr: Vec<u8>,
        /// Who waits.
        asker: Asker,
    },
    /// A commissioned device wants a new certificate.
    Renew {
        /// The device.
        device: u64,
        /// SHA-256 of the certificate that it shows.
        shown: [u8; 32],
        /// The certificate request.
        csr: Vec<u8>,
        /// Who waits.
        asker: Asker,
    },
    /// Signs of life of devices.
    Seen(Vec<DeviceSign>),
    /// A search met damage in the gallery's file.
    GalleryDamaged,
    /// A snapshot has been written, or not.
    SnapshotWritten(Result<Arc<Gallery>, WriterError>),
    /// Read the configuration again.
    Reload,
    /// Space asks about a person.
    Enrolment(Box<Enrolment>),
    /// A device has captured somebody who is to be enrolled.
    DeviceCaptured(Box<DeviceCapture>),
    /// Somebody asks by the link of their invitation.
    Person(Box<PersonCall>),
    /// The extractor has looked at a photo.
    PhotoRead {
        /// Whose.
        person: PersonId,
        /// What it found.
        faces: Result<Vec<Embedding>, ExtractorError>,
    },
    /// A mail has gone, or not.
    MailDone {
        /// To whom.
        person: PersonId,
        /// Which invitation of theirs.
        token: TokenHash,
        /// How often it had failed before.
        tries: u32,
        /// How it ended.
        sent: Result<(), MailFailure>,
    },
    /// A sync with Space has brought this.
    SpaceSynced(Arc<SpaceSnapshot>),
    /// A retired snapshot has been erased, or not.
    Erased(Result<(), EraseError>),
    /// Is the writer alive?
    Alive(Sender<()>),
    /// Connect's threads tell something.
    Connect(Box<News>),
    /// Finish and end.
    Stop,
}

/// The writer's entrance.
#[derive(Clone)]
pub struct WriterHandle {
    sender: Sender<Command>,
}

impl WriterHandle {
    /// Gives a command; never waits.
    ///
    /// # Errors
    /// The command itself, if the queue is full or the writer has ended.
    pub fn try_send(&self, command: Command) -> Result<(), Box<Command>> {
        self.sender.try_send(command).map_err(|error| match error {
            TrySendError::Full(command) => {
                WRITER_FULL.count();
                Box::new(command)
            }
            TrySendError::Disconnected(command) => Box::new(command),
        })
    }

    /// Gives a command; waits for room in the queue.
    ///
    /// # Errors
    /// If the writer has ended.
    pub fn send(&self, command: Command) -> Result<(), WriterError> {
        self.sender.send(command).map_err(|_| WriterError::Ended)
    }
}

/// The queue of a writer that is about to start.
#[must_use]
pub fn queue() -> (WriterHandle, Receiver<Command>) {
    let (sender, receiver) = bounded(WRITER_QUEUED_MAX);
    (WriterHandle { sender }, receiver)
}
