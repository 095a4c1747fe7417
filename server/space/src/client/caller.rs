//! A thread's own connection to Space, made when it is needed and kept alive between calls.

use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::limits::{CONNECT_TIME_MAX, PAGE_BYTES_MAX, REPLY_BYTES_MAX};
use crate::message::Request;
use crate::transport::{CallError, Connection, Endpoint, Fault};

/// Ends a call from another thread, by closing its connection.
#[derive(Clone, Default)]
pub(super) struct Interrupt(Arc<Mutex<Option<TcpStream>>>);

impl Interrupt {
    /// A call that waits for an answer fails at once.
    pub(super) fn interrupt(&self) {
        if let Some(socket) = self.socket().take() {
            // One that is closed already needs no closing.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn socket(&self) -> MutexGuard<'_, Option<TcpStream>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// At most one connection.
#[derive(Default)]
pub(super) struct Caller {
    kept: Option<Connection>,
    interrupt: Option<Interrupt>,
}

impl Caller {
    /// One whose calls can be ended by `interrupt`. `may_send` must say no once that was done, as
    /// a connection that is just being made is not known to it yet.
    pub(super) fn interruptible(interrupt: &Interrupt) -> Self {
        Self {
            kept: None,
            interrupt: Some(interrupt.clone()),
        }
    }

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
        let outcome = self.call_once_or_twice(endpoint, request, deadline, may_send);
        if self.kept.is_none() {
            self.forget();
        }
        outcome
    }

    fn call_once_or_twice(
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
        let connected_by = deadline.min(Instant::now() + CONNECT_TIME_MAX);
        let mut fresh = Connection::open(endpoint, connected_by).map_err(CallError::NotSent)?;
        if let Some(interrupt) = &self.interrupt {
            *interrupt.socket() = fresh.socket();
        }
        let body = fresh.call(&message, body_max, deadline, may_send)?;
        self.keep(fresh);
        Ok(body)
    }

    /// The connection is gone, so the second handle must not keep it open.
    fn forget(&self) {
        if let Some(interrupt) = &self.interrupt {
            interrupt.interrupt();
        }
    }

    fn keep(&mut self, mut connection: Connection) {
        self.kept = connection.is_live().then_some(connection);
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.forget();
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// How long the body is that is read when Space answers this request with so many bytes.
    fn answered(request: &Request, bytes: usize) -> Result<usize, CallError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let mut socket = listener.accept().unwrap().0;
            assert_ne!(socket.read(&mut [0; 4_096]).unwrap(), 0);
            let answer = [format!("STP/00/{bytes}/").into_bytes(), vec![b' '; bytes]].concat();
            // The client may have seen enough and closed.
            let _ = socket.write_all(&answer);
        });
        let endpoint = Endpoint::tcp("127.0.0.1", address.port()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        let body = Caller::default().call(&endpoint, request, deadline, &|| true);
        server.join().unwrap();
        body.map(|body| body.len())
    }

    /// Fails if the limit of a page is put on other answers, or either is passed by a byte.
    #[test]
    fn each_answer_may_be_as_long_as_its_limit_and_no_longer() {
        let (count, after) = (1, None);
        let page = Request::ReadUsers { count, after };
        for (request, max) in [(Request::GetInfo, REPLY_BYTES_MAX), (page, PAGE_BYTES_MAX)] {
            assert_eq!(answered(&request, max), Ok(max));
            let too_large = CallError::Lost(Fault::TooLarge(max));
            assert_eq!(answered(&request, max + 1), Err(too_large));
        }
    }
}
