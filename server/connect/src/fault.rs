//! Why a connection to the broker ended: what the status shows, and what the next attempt does.

use std::error::Error as StdError;

use rumqttc::{ConnectReturnCode, ConnectionError, StateError};
use rustls::{AlertDescription, CertificateError, Error as TlsError};

use crate::status::Connection;

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What the status shows.
    pub connection: Connection,
    /// Why, in words.
    pub why: String,
    /// A packet in the broker's queue for us is one that we do not take: the next connection
    /// begins without that queue, or it would be sent again for ever.
    pub clears_session: bool,
}

impl Fault {
    /// The broker cannot be used now.
    #[must_use]
    pub fn disconnected(why: impl Into<String>) -> Self {
        Self {
            connection: Connection::Disconnected,
            why: why.into(),
            clears_session: false,
        }
    }

    /// The broker refuses us.
    #[must_use]
    pub fn unauthorized(why: impl Into<String>) -> Self {
        Self {
            connection: Connection::Unauthorized,
            ..Self::disconnected(why)
        }
    }

    /// What the library says.
    #[must_use]
    pub fn of(error: &ConnectionError) -> Self {
        if let ConnectionError::ConnectionRefused(code) = error {
            return Self::refused(*code);
        }
        if let ConnectionError::MqttState(StateError::Deserialization(
            rumqttc::mqttbytes::Error::PayloadSizeLimitExceeded(bytes),
        )) = error
        {
            return Self {
                clears_session: true,
                ..Self::disconnected(format!(
                    "a packet of {bytes} bytes is longer than this site takes"
                ))
            };
        }
        tls_error(error).map_or_else(
            || Self::disconnected(plain(error)),
            |error| Self::of_tls(&error),
        )
    }

    fn refused(code: ConnectReturnCode) -> Self {
        match code {
            ConnectReturnCode::NotAuthorized | ConnectReturnCode::BadUserNamePassword => {
                Self::unauthorized("the broker does not know this site")
            }
            ConnectReturnCode::BadClientId => {
                Self::unauthorized("the broker refuses this site's name")
            }
            ConnectReturnCode::Success
            | ConnectReturnCode::RefusedProtocolVersion
            | ConnectReturnCode::ServiceUnavailable => {
                Self::disconnected(format!("the broker refuses: {code:?}"))
            }
        }
    }

    fn of_tls(error: &TlsError) -> Self {
        match error {
            TlsError::AlertReceived(alert) => match alert {
                AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied
                | AlertDescription::CertificateRequired => Self::unauthorized(format!(
                    "the broker refuses this site's certificate: {alert:?}"
                )),
                _ => Self::disconnected(format!("the broker ends TLS: {alert:?}")),
            },
            TlsError::InvalidCertificate(why) => Self::disconnected(format!(
                "the broker's certificate is refused: {}",
                certificate(why)
            )),
            other => Self::disconnected(format!("TLS: {other}")),
        }
    }
}

fn certificate(why: &CertificateError) -> String {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired".to_owned()
        }
        CertificateError::Revoked => "it is revoked".to_owned(),
        // A CA of the same name and another key is another one as well.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "another authority issued it".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name".to_owned()
        }
        other => other.to_string(),
    }
}

/// The error of TLS beneath, if there is one: libraries wrap it in errors of input and output.
fn tls_error(error: &ConnectionError) -> Option<TlsError> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<TlsError>() {
            return Some(found.clone());
        }
        let inner = error.downcast_ref::<std::io::Error>();
        next = match inner.and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// The innermost cause, in words.
fn plain(error: &ConnectionError) -> String {
    match error {
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => {
            "the broker does not answer".to_owned()
        }
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            "the broker closed the connection".to_owned()
        }
        ConnectionError::MqttState(StateError::AwaitPingResp) => {
            "the broker has gone silent".to_owned()
        }
        ConnectionError::Io(error) | ConnectionError::MqttState(StateError::Io(error)) => {
            error.to_string()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn read(error: TlsError) -> ConnectionError {
        ConnectionError::MqttState(StateError::Io(io::Error::new(
            io::ErrorKind::InvalidData,
            error,
        )))
    }

    /// Fails when the chain of causes is not followed: all would be "Disconnected".
    #[test]
    fn whose_certificate_is_at_fault_decides_the_word() {
        let ours = Fault::of(&read(TlsError::AlertReceived(
            AlertDescription::CertificateRevoked,
        )));
        assert_eq!(ours.connection, Connection::Unauthorized);
        let theirs = Fault::of(&read(TlsError::InvalidCertificate(
            CertificateError::Revoked,
        )));
        assert_eq!(theirs.connection, Connection::Disconnected);
        assert!(theirs.why.ends_with("it is revoked"), "{}", theirs.why);
        let refused = ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized);
        assert_eq!(Fault::of(&refused).connection, Connection::Unauthorized);
        let gone = ConnectionError::Io(io::ErrorKind::ConnectionRefused.into());
        assert_eq!(Fault::of(&gone).connection, Connection::Disconnected);
    }
}
