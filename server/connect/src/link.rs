//! What the client knows of one connection.

use std::time::Duration;

use rumqttc::{AsyncClient, QoS};
use tokio::time::Instant;

use crate::fault::Fault;
use crate::limits::ACK_TIMEOUT;
use crate::session::{Published, Window};
use crate::topics::{Kind, Topics};

/// What one connection knows.
pub(crate) struct Link {
    pub(crate) client: AsyncClient,
    pub(crate) topics: Topics,
    pub(crate) window: Window,
    pub(crate) accepted: bool,
    /// The last acknowledgement, or when the first began to be awaited.
    pub(crate) acked: Instant,
    /// Told as delivered.
    pub(crate) told: u64,
    pub(crate) tell_at: Option<Instant>,
    pub(crate) stop_at: Option<Instant>,
}

impl Link {
    pub(crate) fn publish(
        &mut self,
        kind: Kind,
        payload: Vec<u8>,
        as_what: Published,
    ) -> Result<(), Fault> {
        let topic = self.topics.of_kind(kind);
        self.client
            .try_publish(topic, QoS::AtLeastOnce, kind.is_retained(), payload)
            .map_err(|_| Fault::disconnected("the client is stuck"))?;
        self.window.publish(as_what);
        Ok(())
    }

    /// When something is due next; far away if nothing is.
    pub(crate) fn due(&self) -> Instant {
        let watchdog = self.acked + ACK_TIMEOUT;
        let far = Instant::now() + Duration::from_secs(3_600);
        let awaited = (self.accepted && self.window.awaits()).then_some(watchdog);
        [self.tell_at, self.stop_at, awaited]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(far)
    }
}
