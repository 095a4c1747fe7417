//! A thread's own connection to Space, made when it is needed and kept alive between calls.

use std::time::Instant;

use crate::limits::{PAGE_BYTES_MAX, REPLY_BYTES_MAX};
use crate::message::Request;
use crate::transport::{CallError, Connection, Endpoint, Fault};

/// At most one connection.
#[derive(Default)]
pub(super) struct Caller {
    kept: Option<Connection>,
}

impl Caller {
    /// Makes one call and returns the body of the answer. `may_send` is asked immediately before
    /// the first byte.
    ///
    /// A kept connection that fails before the first byte is replaced by a new one. After it,
    /// only a request that changes nothing at Space is made again, once, on a new connection.
    pub(super) fn call(
        &mut self,
        endpoint: &Endpoint,
        request: &Request,
        deadline: Instant,
        may_send: &dyn Fn() -> bool,
    ) -> Result<Vec<u8>, CallError> {
        let message = request.to_xml();
        let body_max = body_max(request);
        if let Some(mut kept) = self.kept.take()
            && kept.is_live()
        {
            match kept.call(&message, body_max, deadline, may_send) {
                Ok(body) => {
                    self.keep(kept);
                    return Ok(body);
                }
                Err(CallError::NotSent(fault)) if is_final(&fault) => {
                    return Err(CallError::NotSent(fault));
                }
                Err(CallError::NotSent(_)) => {}
                Err(CallError::Lost(Fault::Closed)) if request.is_read_only() => {}
                Err(error) => return Err(error),
            }
        }
        let mut fresh = Connection::open(endpoint, deadline).map_err(CallError::NotSent)?;
        let body = fresh.call(&message, body_max, deadline, may_send)?;
        self.keep(fresh);
        Ok(body)
    }

    fn keep(&mut self, mut connection: Connection) {
        self.kept = connection.is_live().then_some(connection);
    }
}

/// Whether another connection would meet the same.
fn is_final(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Deadline | Fault::Withheld | Fault::RequestTooLarge(_)
    )
}

fn body_max(request: &Request) -> usize {
    match request {
        Request::GetInfo | Request::OpenDoor(_) => REPLY_BYTES_MAX,
        Request::ReadUsers { .. }
        | Request::ReadDoors { .. }
        | Request::ReadZones { .. }
        | Request::ReadGroups { .. } => PAGE_BYTES_MAX,
    }
}
