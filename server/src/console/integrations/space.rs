//! How Space is reached: read from the store, tested when it is saved, and what of Space's own
//! settings the server can see.

use std::time::{Duration, Instant};

use cardea_space::client::probe;
use cardea_space::status::Probe;
use cardea_space::transport::{self, Fingerprint};

use super::{Indicator, Name, State, unconfigured};
use crate::admin::message::{Request, Response, SpaceKey};
use crate::authorise::{Authoriser, SpaceAuthoriser};
use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::reply::Failure;
use crate::space::{SpaceSetup, Transport};
use crate::store::SettingKey;

/// A Space that takes longer to answer does not answer in time.
const TEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How it is set up, with both keys.
///
/// # Errors
/// Those of a read.
pub(crate) fn setup(desk: &Desk) -> Result<Option<SpaceSetup>, Failure> {
    let Some(json) = desk.sealed(SettingKey::SPACE_SEALED)? else {
        return Ok(None);
    };
    let setup = serde_json::from_slice(&json);
    setup
        .map(Some)
        .map_err(|_| Failure::Broken("the setting of Space is damaged".to_owned()))
}

/// How it is.
///
/// # Errors
/// Those of a read.
pub(crate) fn state(desk: &Desk) -> Result<State, Failure> {
    if desk.read.store.setting(SettingKey::SPACE_SEALED)?.is_none() {
        return Ok(unconfigured(Name::Space));
    }
    let configured = State {
        configured: true,
        ..unconfigured(Name::Space)
    };
    Ok(match &**desk.parts().site.authoriser() {
        Authoriser::Space(SpaceAuthoriser {
            client: Some(client),
            ..
        }) => {
            let status = client.status();
            State {
                indicator: status.connection.into(),
                why: status.why,
                since_unix_s: Some(status.since_unix_s),
                ..configured
            }
        }
        Authoriser::Space(_) | Authoriser::Standalone => configured,
    })
}

/// How the last sync went.
pub(crate) struct Synced {
    /// When the last good one ended, Unix time in seconds.
    pub last_unix_s: Option<i64>,
    /// Why the last one came to nothing; empty if it went well.
    pub failure: String,
}

/// How syncing goes, if Space is set up.
pub(crate) fn synced(desk: &Desk) -> Option<Synced> {
    match &**desk.parts().site.authoriser() {
        Authoriser::Space(SpaceAuthoriser {
            client: Some(client),
            ..
        }) => {
            let status = client.sync_status();
            Some(Synced {
                last_unix_s: status.last_good_unix_s,
                failure: status.failure.unwrap_or_default(),
            })
        }
        Authoriser::Space(_) | Authoriser::Standalone => None,
    }
}

/// What came of saving.
pub(crate) enum Saved {
    /// Stored, and Space answered.
    Connected,
    /// Stored, and Space refuses the key.
    Unauthorized,
    /// Stored, and Space does not answer, in words.
    Disconnected(String),
    /// Not stored: this is the certificate that Space shows. Whether it is Space's own is for the
    /// administrator to say.
    Shows(Fingerprint),
    /// Not stored: no certificate could be looked at, in words.
    Hidden(String),
}

/// Stores how Space is reached, and tries it. Empty keys are kept, or made.
///
/// # Errors
/// [`Failure::Refused`] if this cannot be a Space; those of the writer.
pub(crate) fn save(desk: &Desk, call: &Call, setup: SpaceSetup) -> Result<Saved, Failure> {
    let deadline = call.deadline.min(Instant::now() + TEST_TIMEOUT);
    if setup.transport == Transport::Https && setup.trust.is_none() {
        let shown = transport::fingerprint(&setup.host, setup.port, deadline);
        return Ok(match shown {
            Ok(fingerprint) => Saved::Shows(fingerprint),
            Err(fault) => Saved::Hidden(fault.to_string()),
        });
    }
    desk.ask(call, Request::SpaceSet { setup })?;
    test(desk, deadline)
}

/// Asks Space as it is set up now.
///
/// # Errors
/// [`Failure::NotFound`] if it is not set up.
pub(crate) fn test(desk: &Desk, deadline: Instant) -> Result<Saved, Failure> {
    let setup = setup(desk)?.ok_or(Failure::NotFound)?;
    let config = setup.client_config().map_err(Failure::Refused)?;
    Ok(match probe(&config.endpoint, deadline) {
        Probe::Answered { .. } => Saved::Connected,
        Probe::Unauthorized => Saved::Unauthorized,
        Probe::Failed(why) => Saved::Disconnected(why),
    })
}

/// Makes a key anew; gives it.
///
/// # Errors
/// Those of the writer.
pub(crate) fn rotate(desk: &Desk, call: &Call, key: SpaceKey) -> Result<String, Failure> {
    desk.ask(call, Request::SpaceRotateKey { key })?;
    let setup = setup(desk)?.ok_or(Failure::NotFound)?;
    Ok(match key {
        SpaceKey::Ship => setup.ship_key,
        SpaceKey::Face => setup.face_key,
    })
}

/// The script for Space's machine.
///
/// # Errors
/// Those of the writer.
pub(crate) fn install_script(desk: &Desk, call: &Call) -> Result<Vec<u8>, Failure> {
    match desk.ask(call, Request::SpaceInstallScript)? {
        Response::Done { text } => Ok(text.into_bytes()),
        _ => Err(Failure::Broken("no script".to_owned())),
    }
}

/// What the server can see of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It is so.
    Yes,
    /// It is not.
    No,
    /// Nobody can tell from here.
    Unknown,
}

impl Seen {
    /// Its name in styles and the API.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }

    /// Its symbol.
    pub(crate) fn icon(self) -> &'static str {
        match self {
            Self::Yes => "check",
            Self::No => "cross",
            Self::Unknown => "unknown",
        }
    }
}

/// The settings in Space that must be right, each with what the server sees of it.
pub(crate) fn checks(
    desk: &Desk,
    setup: Option<&SpaceSetup>,
    state: &State,
) -> Vec<(&'static str, Seen)> {
    let https = setup.is_some_and(|setup| setup.transport == Transport::Https);
    let (answers, refuses) = (
        state.indicator == Indicator::Connected,
        state.indicator == Indicator::Unauthorized,
    );
    let seen = |yes: bool, no: bool| match (yes, no) {
        (true, _) => Seen::Yes,
        (false, true) => Seen::No,
        (false, false) => Seen::Unknown,
    };
    let over_tcp = setup.is_some() && !https;
    vec![
        ("https", seen(https && (answers || refuses), over_tcp)),
        ("ship", seen(answers, false)),
        (
            "authentication",
            seen(https && answers, refuses || over_tcp),
        ),
        ("face-tab", seen(desk.parts().site.space_asked(), false)),
        ("no-sleep", Seen::Unknown),
    ]
}
