//! Requests of browsers and scripts go to the console's threads; their answers come back as any
//! other completion.

use super::Api;
use crate::console::{Job, busy};
use crate::net::{ExchangeId, Peer, Replies, Request};

impl Api {
    /// A request for the console has come.
    pub(super) fn console(
        &mut self,
        exchange: ExchangeId,
        peer: &Peer,
        request: Request,
        to: &mut Replies,
    ) {
        self.interval.counts.add("console_requests", 1);
        let job = Job {
            exchange,
            remote: peer.address.ip(),
            request,
            done: self.done.clone(),
        };
        if let Err(exchange) = self.console.try_send(job) {
            self.interval.counts.add("console_requests_refused", 1);
            to.push(exchange, busy());
        }
    }
}
