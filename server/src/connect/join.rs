//! Joining: a key is made here, and the authority that a code names certifies it. The key never
//! leaves this machine.

use cardea_connect::authority::{Authority, root_with};
use cardea_connect::join::{Code, Join, Joined};
use cardea_connect::tls;

use super::ConnectSetup;

/// Why a text is no code.
pub const NO_CODE: &str = "this is no code to join with";

/// Has the authority of a code certify a new key. The code's token is used up then.
///
/// # Errors
/// Why it could not be done, in words.
pub fn join(code: &str) -> Result<ConnectSetup, String> {
    let code = Code::parse(code).ok_or(NO_CODE)?;
    let fingerprint = code.fingerprint().ok_or(NO_CODE)?;
    let authority_ca = root_with(&code.url, fingerprint).map_err(|error| error.to_string())?;
    let request = tls::Request::make("Cardea site").map_err(|error| error.to_string())?;
    let question = Join {
        v: 1,
        token: code.token.clone(),
        csr: request.csr.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let joined: Joined = Authority::new(&code.url, &authority_ca, None)
        .and_then(|authority| authority.ask("/v1/join", &question))
        .map_err(|error| error.to_string())?;
    joined.check().map_err(|error| error.to_string())?;
    Ok(ConnectSetup {
        site: joined.site,
        broker_host: joined.broker_host,
        broker_port: joined.broker_port,
        ca: joined.ca,
        certificate: joined.certificate,
        key: request.key.to_string(),
        crl: joined.crl,
        authority_url: code.url,
        authority_ca,
        update_keys: joined.update_keys,
    })
}
