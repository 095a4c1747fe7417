//! Why an attempt was denied or a request refused. Numbers are for ever; 1xx denies, 2xx refuses.

use std::fmt;

/// The reason in a reply. A granted attempt and a served heartbeat carry [`Reason::None`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum Reason {
    /// Nothing to explain.
    None = 0,

    /// Nobody enrolled reaches the decision threshold.
    NoMatch = 100,
    /// The person has no right at this door.
    NoRight = 101,
    /// Presentation attack detection failed on the device.
    PadFailed = 102,
    /// The person was withdrawn while the request was on its way.
    Withdrawn = 103,
    /// The person is banned in the access control system.
    Banned = 104,
    /// The person's access has not begun.
    NotYetActive = 105,
    /// The person's access has ended.
    Expired = 106,
    /// The right does not hold today.
    OutsidePeriod = 107,
    /// The right does not hold at this hour.
    OutsideTimezone = 108,
    /// The right hangs on a timezone table that the site has not described.
    TimezoneNotDescribed = 109,
    /// The access control system does not know the person.
    NotInSpace = 110,
    /// The access control system cannot be asked.
    SpaceUnavailable = 111,
    /// The access control system said no.
    SpaceRefused = 112,
    /// The access control system was asked and its answer is not known.
    OutcomeUnknown = 113,
    /// The person has not consented, or not to the policy in force.
    NoConsent = 114,
    /// An enrolment that an administrator has to look at.
    EnrolmentHeld = 115,
    /// The code that was shown for a capture is not its code.
    WrongCode = 116,
    /// The embeddings of a capture are not of one person.
    CapturesDiffer = 117,
    /// The access control system does not know the door.
    DoorNotInSpace = 118,
    /// What the access control system has of the person cannot be read; it may be a ban.
    RecordUnreadable = 119,
    /// A repeat of an attempt that never came to an end.
    Interrupted = 120,

    /// The bytes are no message of this protocol.
    Malformed = 200,
    /// Another version of the messages.
    UnknownVersion = 201,
    /// An embedding of another face model.
    UnknownModel = 202,
    /// An embedding of another dimension.
    BadDimension = 203,
    /// A number of the embedding is not finite.
    NotFinite = 204,
    /// The embedding is not of unit length.
    NotUnit = 205,
    /// The message is shorter or longer than it says.
    BadLength = 206,
    /// The embedding's encoding does not exist.
    UnknownEncoding = 207,
    /// The device has no certificate on this connection.
    NoCertificate = 208,
    /// The certificate belongs to no device of this site (any more).
    UnknownDevice = 209,
    /// The queue is full.
    Overloaded = 210,
    /// The answer would have come too late.
    DeadlinePassed = 211,
    /// This device has too many requests in flight.
    DeviceBudget = 212,
    /// The attempt cannot be recorded, so nothing may open.
    NotRecorded = 213,
    /// The gallery cannot be searched.
    GalleryUnavailable = 214,
    /// The server is stopping.
    Stopping = 215,
    /// The commissioning token is unknown, used or past its end.
    TokenRefused = 216,
    /// The certificate request is not a sound one.
    BadCertificateRequest = 217,
    /// Commissioning or renewal could not be stored.
    NotStored = 218,
    /// No such capture is wanted of this device (any more).
    CaptureRefused = 219,
}

/// Every reason, for tables and tests.
pub const ALL: [Reason; 42] = [
    Reason::None,
    Reason::NoMatch,
    Reason::NoRight,
    Reason::PadFailed,
    Reason::Withdrawn,
    Reason::Banned,
    Reason::NotYetActive,
    Reason::Expired,
    Reason::OutsidePeriod,
    Reason::OutsideTimezone,
    Reason::TimezoneNotDescribed,
    Reason::NotInSpace,
    Reason::SpaceUnavailable,
    Reason::SpaceRefused,
    Reason::OutcomeUnknown,
    Reason::NoConsent,
    Reason::EnrolmentHeld,
    Reason::WrongCode,
    Reason::CapturesDiffer,
    Reason::DoorNotInSpace,
    Reason::RecordUnreadable,
    Reason::Interrupted,
    Reason::Malformed,
    Reason::UnknownVersion,
    Reason::UnknownModel,
    Reason::BadDimension,
    Reason::NotFinite,
    Reason::NotUnit,
    Reason::BadLength,
    Reason::UnknownEncoding,
    Reason::NoCertificate,
    Reason::UnknownDevice,
    Reason::Overloaded,
    Reason::DeadlinePassed,
    Reason::DeviceBudget,
    Reason::NotRecorded,
    Reason::GalleryUnavailable,
    Reason::Stopping,
    Reason::TokenRefused,
    Reason::BadCertificateRequest,
    Reason::NotStored,
    Reason::CaptureRefused,
];

impl Reason {
    /// The number on the wire and in the audit.
    #[must_use]
    pub fn code(self) -> u16 {
        self as u16
    }

    /// The reason of a number, if there is one.
    #[must_use]
    pub fn from_code(code: u16) -> Option<Self> {
        ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// The reason in a few plain words, for logs and consoles.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::None => "",
            Self::NoMatch => "no match",
            Self::NoRight => "no right at this door",
            Self::PadFailed => "presentation attack suspected",
            Self::Withdrawn => "withdrawn meanwhile",
            Self::Banned => "banned",
            Self::NotYetActive => "not yet active",
            Self::Expired => "expired",
            Self::OutsidePeriod => "outside the right's period",
            Self::OutsideTimezone => "outside the right's hours",
            Self::TimezoneNotDescribed => "timezone table not described",
            Self::NotInSpace => "not known to access control",
            Self::SpaceUnavailable => "access control unavailable",
            Self::SpaceRefused => "refused by access control",
            Self::OutcomeUnknown => "outcome unknown",
            Self::NoConsent => "no consent to the policy in force",
            Self::EnrolmentHeld => "enrolment held for an administrator",
            Self::WrongCode => "wrong enrolment code",
            Self::CapturesDiffer => "captures differ",
            Self::DoorNotInSpace => "door not known to access control",
            Self::RecordUnreadable => "record in access control unreadable",
            Self::Interrupted => "interrupted",
            Self::Malformed => "malformed message",
            Self::UnknownVersion => "unknown message version",
            Self::UnknownModel => "unknown face model",
            Self::BadDimension => "wrong dimension",
            Self::NotFinite => "embedding not finite",
            Self::NotUnit => "embedding not of unit length",
            Self::BadLength => "wrong message length",
            Self::UnknownEncoding => "unknown encoding",
            Self::NoCertificate => "no device certificate",
            Self::UnknownDevice => "unknown device",
            Self::Overloaded => "overloaded",
            Self::DeadlinePassed => "deadline passed",
            Self::DeviceBudget => "too many requests in flight from this device",
            Self::NotRecorded => "attempt cannot be recorded",
            Self::GalleryUnavailable => "gallery unavailable",
            Self::Stopping => "server is stopping",
            Self::TokenRefused => "commissioning token refused",
            Self::BadCertificateRequest => "certificate request refused",
            Self::NotStored => "could not be stored",
            Self::CaptureRefused => "no such capture is wanted",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
