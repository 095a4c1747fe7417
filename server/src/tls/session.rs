//! The TLS side of one connection: bytes of the peer in, plaintext and bytes for the peer out.
//!
//! rustls' unbuffered form is used, so that a quiet connection owns no buffers: the loop reads into
//! a buffer that all connections share, and only an unfinished record is kept here.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic,
};
use rustls::{AlertDescription, HandshakeKind};
use rustls_pki_types::CertificateDer;

use crate::limits::{TLS_HANDSHAKE_BYTES_MAX, TLS_PENDING_BYTES_MAX};

/// A peer's certificate that one of the site's authorities signed.
#[derive(Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// The certificate itself.
    pub der: CertificateDer<'static>,
    /// SHA-256 of the DER.
    pub fingerprint: [u8; 32],
}

impl PeerCertificate {
    /// The certificate with its fingerprint.
    pub fn new(der: CertificateDer<'static>) -> PeerCertificate {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der);
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest.as_ref());
        PeerCertificate { der, fingerprint }
    }
}

/// Why a session is over.
#[derive(Debug)]
pub enum TlsError {
    /// The peer or its certificate broke the protocol; an alert is among the bytes for it.
    Protocol(rustls::Error),
    /// A record or a handshake message is longer than this many bytes.
    TooLong(usize),
    /// No more may be encrypted with this session's keys.
    Exhausted,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::Protocol(error) => write!(f, "{error}"),
            TlsError::TooLong(limit) => write!(f, "more than {limit} bytes in one piece"),
            TlsError::Exhausted => f.write_str("the session's keys are used up"),
        }
    }
}

impl std::error::Error for TlsError {}

impl TlsError {
    /// Whether the peer's certificate is the reason: unknown issuer, expired, bad signature.
    pub fn is_certificate(&self) -> bool {
        match self {
            TlsError::Protocol(rustls::Error::InvalidCertificate(_)) => true,
            TlsError::Protocol(_) | TlsError::TooLong(_) | TlsError::Exhausted => false,
        }
    }

    /// Whether the peer gave up, and said so.
    pub fn is_alert_received(&self) -> bool {
        matches!(self, TlsError::Protocol(rustls::Error::AlertReceived(alert))
            if *alert != AlertDescription::CloseNotify)
    }
}

/// What came of some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// The handshake ended with these bytes.
    pub handshake_done: bool,
    /// The peer said that nothing follows.
    pub peer_closed: bool,
}

/// The TLS side of one connection.
pub struct Session {
    connection: UnbufferedServerConnection,
    /// The beginning of a record, or of a handshake message, whose rest has not arrived.
    pending: Vec<u8>,
    handshaking: bool,
}

impl Session {
    /// A session whose handshake has not begun.
    ///
    /// # Errors
    /// When `config` is one that rustls does not take.
    pub fn new(config: Arc<ServerConfig>) -> Result<Session, TlsError> {
        Ok(Session {
            connection: UnbufferedServerConnection::new(config).map_err(TlsError::Protocol)?,
            pending: Vec::new(),
            handshaking: true,
        })
    }

    /// Whether the handshake is not over yet.
    pub fn is_handshaking(&self) -> bool {
        self.handshaking
    }

    /// Bytes held for the peer.
    pub fn buffered(&self) -> usize {
        self.pending.capacity()
    }

    /// The peer's certificate, once the handshake is over.
    pub fn certificate(&self) -> Option<PeerCertificate> {
        let chain = self.connection.peer_certificates()?;
        chain.first().cloned().map(PeerCertificate::new)
    }

    /// Whether the handshake resumed an earlier session.
    pub fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Writes the bytes that are kept to the front of `buffer` and returns their number; what is
    /// read next belongs behind them. `buffer` must hold `TLS_PENDING_BYTES_MAX` and more.
    pub fn restore(&self, buffer: &mut [u8]) -> usize {
        buffer[..self.pending.len()].copy_from_slice(&self.pending);
        self.pending.len()
    }

    /// Takes ciphertext, that which [`Session::restore`] gave back in front. Appends what it
    /// carries to `plaintext` and what the peer is owed to `outgoing`.
    ///
    /// # Errors
    /// The session is over. An alert may be in `outgoing`.
    pub fn receive(
        &mut self,
        ciphertext: &mut [u8],
        plaintext: &mut Vec<u8>,
        outgoing: &mut Vec<u8>,
    ) -> Result<Received, TlsError> {
        let mut received = Received::default();
        let mut start = 0;
        loop {
            let UnbufferedStatus { mut discard, state } = self
                .connection
                .process_tls_records(&mut ciphertext[start..]);
            let mut done = false;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(TlsError::Protocol)?;
                        discard += record.discard;
                        plaintext.extend_from_slice(record.payload);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append(outgoing, |to| data.encode(to).map_err(required_encode))?;
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => received.peer_closed = true,
                Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => {
                    done = true;
                }
                Ok(_) => {
                    received.peer_closed = true;
                    done = true;
                }
                Err(error) => {
                    start += discard;
                    self.alert(&mut ciphertext[start..], outgoing);
                    return Err(TlsError::Protocol(error));
                }
            }
            start += discard;
            if done {
                break;
            }
        }
        if self.handshaking && !self.connection.is_handshaking() {
            self.handshaking = false;
            received.handshake_done = true;
        }
        let rest = match received.peer_closed {
            true => &[][..], // to be ignored, says RFC 8446 in 6.1
            false => &ciphertext[start..],
        };
        self.keep(rest)?;
        Ok(received)
    }

    /// Keeps what is not a whole record; owns nothing when there is none.
    fn keep(&mut self, rest: &[u8]) -> Result<(), TlsError> {
        let limit = match self.handshaking {
            true => TLS_HANDSHAKE_BYTES_MAX,
            false => TLS_PENDING_BYTES_MAX,
        };
        if rest.len() > limit {
            return Err(TlsError::TooLong(limit));
        }
        if rest.is_empty() {
            self.pending = Vec::new();
        } else {
            self.pending.clear();
            self.pending.extend_from_slice(rest);
        }
        Ok(())
    }

    /// Appends the alert that follows a fatal error.
    fn alert(&mut self, ciphertext: &mut [u8], outgoing: &mut Vec<u8>) {
        // Alerts that wait come before any more input is looked at; the first other state ends.
        while let UnbufferedStatus {
            state: Ok(ConnectionState::EncodeTlsData(mut data)),
            ..
        } = self.connection.process_tls_records(ciphertext)
        {
            if append(outgoing, |to| data.encode(to).map_err(required_encode)).is_err() {
                break;
            }
        }
    }

    /// Encrypts `plaintext` and appends it to `outgoing`. The handshake must be over.
    ///
    /// # Errors
    /// When the session can send no more.
    pub fn send(&mut self, plaintext: &[u8], outgoing: &mut Vec<u8>) -> Result<(), TlsError> {
        self.write(outgoing, |traffic, to| {
            traffic.encrypt(plaintext, to).map_err(required_encrypt)
        })
    }

    /// Appends the alert that says that nothing follows, if the handshake is over.
    ///
    /// # Errors
    /// When the session can send no more.
    pub fn close(&mut self, outgoing: &mut Vec<u8>) -> Result<(), TlsError> {
        if self.handshaking {
            return Ok(());
        }
        self.write(outgoing, |traffic, to| {
            traffic.queue_close_notify(to).map_err(required_encrypt)
        })
    }

    fn write(
        &mut self,
        outgoing: &mut Vec<u8>,
        mut encrypt: impl FnMut(&mut Traffic<'_>, &mut [u8]) -> Result<usize, Option<usize>>,
    ) -> Result<(), TlsError> {
        // rustls remembers places in the bytes that wait, so it must see them; they hold no whole
        // record, so nothing is lost by not looking at what they carry.
        let mut pending = std::mem::take(&mut self.pending);
        let mut result = Err(TlsError::Exhausted);
        loop {
            let status = self.connection.process_tls_records(&mut pending);
            match status.state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    result = append(outgoing, |to| encrypt(&mut traffic, to));
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    let encoded = append(outgoing, |to| data.encode(to).map_err(required_encode));
                    if encoded.is_ok() {
                        continue;
                    }
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    continue;
                }
                Ok(ConnectionState::PeerClosed) => continue,
                Ok(_) => {}
                Err(error) => result = Err(TlsError::Protocol(error)),
            }
            break;
        }
        self.pending = pending;
        result
    }
}

type Traffic<'a> = WriteTraffic<'a, ServerConnectionData>;

/// Room for one small record; longer ones say how much they need.
const ROOM_BYTES: usize = 512;

/// Lets `write` write behind the end of `outgoing`, with as much room as it asks for.
fn append(
    outgoing: &mut Vec<u8>,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> Result<(), TlsError> {
    let start = outgoing.len();
    let mut room = ROOM_BYTES;
    // Twice when more room is needed, once more when a key update joins in.
    for _ in 0..3 {
        outgoing.resize(start + room, 0);
        match write(&mut outgoing[start..]) {
            Ok(written) => {
                outgoing.truncate(start + written);
                return Ok(());
            }
            Err(Some(required)) => room = required,
            Err(None) => break,
        }
    }
    outgoing.truncate(start);
    Err(TlsError::Exhausted)
}

fn required_encode(error: EncodeError) -> Option<usize> {
    match error {
        EncodeError::InsufficientSize(size) => Some(size.required_size),
        EncodeError::AlreadyEncoded => None,
    }
}

fn required_encrypt(error: EncryptError) -> Option<usize> {
    match error {
        EncryptError::InsufficientSize(size) => Some(size.required_size),
        EncryptError::EncryptExhausted => None,
    }
}
