//! One `GetInfo`: is Space there, and does it take the key.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::caller::Caller;
use crate::message::Request;
use crate::message::reply::{self, Reply};
use crate::status::Probe;
use crate::transport::{CallError, Endpoint};

const UNAUTHORIZED: u16 = 401;

/// Asks a Space that no client talks to yet: what came of it is what its card would show.
#[must_use]
pub fn probe(endpoint: &Endpoint, deadline: Instant) -> Probe {
    endpoint.resolve();
    let unix_s = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| {
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        })
    };
    ask(
        endpoint,
        &mut Caller::default(),
        deadline,
        &|| true,
        &unix_s,
    )
}

pub(super) fn ask(
    endpoint: &Endpoint,
    caller: &mut Caller,
    deadline: Instant,
    go_on: &dyn Fn() -> bool,
    unix_s: &dyn Fn() -> i64,
) -> Probe {
    let began = Instant::now();
    let request = Request::GetInfo;
    let body = caller.call(endpoint, &request, deadline, go_on);
    let round_trip = began.elapsed();
    let body = match body {
        Ok(body) => body,
        Err(CallError::Status(UNAUTHORIZED)) => return Probe::Unauthorized,
        Err(error) => return Probe::Failed(error.to_string()),
    };
    match reply::read(&request, &body) {
        Ok(Reply::Info(info)) => {
            let offset_s = info.date_time.and_then(|shown| shown.offset_from(unix_s()));
            Probe::Answered {
                round_trip,
                offset_s,
            }
        }
        Ok(_) => Probe::Failed("no answer to GetInfo".into()),
        Err(error) => Probe::Failed(error.to_string()),
    }
}
