//! What a simulation may see of a loop's service.

use super::Api;
use super::access::Exchange;
use crate::net::ExchangeId;

impl Api {
    /// The ticket of an exchange whose attempt is on its way.
    pub(crate) fn ticket_of(&self, exchange: ExchangeId) -> Option<u64> {
        match self.exchanges.get(&exchange)? {
            Exchange::InFlight(ticket) => Some(*ticket),
            Exchange::Sending { .. } => None,
        }
    }
}
