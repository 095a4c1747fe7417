//! Certificates that must let nobody in: expired, of another site, of a device that was removed, of
//! another device whose key is not at hand.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use cardea_loadtest::identity::Identity;
use cardea_wire::{Head, Kind, RequestId, path};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};

use super::aim::{Aim, Anybody, Lane};

/// A certificate with a key, and what its bearer is to be answered.
pub(crate) struct Badge {
    name: String,
    config: Arc<ClientConfig>,
    /// The beginning of the answer; nothing if the handshake must fail.
    due: &'static [u8],
}

/// The badges of a folder: its `NAME.identity` files. `removed` is to be answered 403, every other
/// handshake must fail. Of `device` only the certificate is shown, with the key of `removed`.
///
/// # Errors
/// What cannot be read.
pub(crate) fn load(folder: &Path) -> Result<Vec<Badge>, String> {
    let identity = |name: &str| {
        let file = folder.join(format!("{name}.identity"));
        Identity::load(&file).map_err(|error| format!("{}: {error:?}", file.display()))
    };
    let mut badges = Vec::new();
    for name in ["expired", "foreign", "removed", "device"] {
        let shown = identity(name)?;
        let key = match name {
            "device" => identity("removed")?.key,
            _ => shown.key,
        };
        let due: &[u8] = match name {
            "removed" => b"HTTP/1.1 403 ",
            _ => b"",
        };
        badges.push(Badge {
            name: name.to_owned(),
            config: config(shown.certificate, &PrivateKeyDer::Pkcs8(key))?,
            due,
        });
    }
    Ok(badges)
}

fn config(
    certificate: CertificateDer<'static>,
    key: &PrivateKeyDer<'static>,
) -> Result<Arc<ClientConfig>, String> {
    let key = aws_lc_rs::sign::any_supported_type(key).map_err(|error| error.to_string())?;
    let shown = Shown(Arc::new(CertifiedKey::new(vec![certificate], key)));
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_client_cert_resolver(Arc::new(shown));
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Shows this certificate, whether the key belongs to it or not.
#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Shows a badge, says that it is alive, and looks at the answer.
pub(crate) fn show(aim: &Aim, number: usize) {
    let Some(badge) = aim.badges.get(number % aim.badges.len().max(1)) else {
        return;
    };
    let Some(mut peer) = aim.peer_of(Lane::Badge, number, &badge.config) else {
        return;
    };
    let mut message = Vec::new();
    Head::new(Kind::Heartbeat, RequestId([7; 16]), 0).write(&mut message);
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        path::HEARTBEAT,
        message.len()
    );
    // The server may have ended it before all is sent.
    let sent = peer
        .send(head.as_bytes())
        .and_then(|()| peer.send(&message));
    if sent.is_ok() {
        aim.count_sent(Lane::Badge);
    }
    let answer = peer.read_to_end();
    aim.count_closed(Lane::Badge);
    let right = match badge.due.is_empty() {
        true => answer.is_empty(),
        false => answer.starts_with(badge.due),
    };
    if !right {
        let answer = String::from_utf8_lossy(&answer);
        eprintln!("the badge {} got {answer:?}", badge.name);
        aim.wrong.fetch_add(1, Ordering::Relaxed);
    }
}
