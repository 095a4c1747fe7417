//! What one connection has published and not seen acknowledged. Pure.
//!
//! ```text
//! outbox -> [queued] --written, packet id--> [in flight] --PUBACK--> acknowledged
//! ```
//!
//! Rows go out in their order and are told as delivered up to a number: a row that is
//! acknowledged before an older one waits for it.

use std::collections::{HashMap, VecDeque};

use crate::limits::PUBLISHES_IN_FLIGHT_MAX;

/// A publish of ours: a row of the outbox, or something that is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Published {
    /// The row of this number.
    Row(u64),
    /// Status or heartbeat.
    Unkept,
}

/// The publishes of one connection.
#[derive(Debug, Default)]
pub(crate) struct Window {
    queued: VecDeque<Published>,
    in_flight: HashMap<u16, Published>,
    /// Rows in their order, and whether each is acknowledged.
    rows: VecDeque<(u64, bool)>,
    last: u64,
    delivered: u64,
}

impl Window {
    /// How many more rows may be published now.
    pub(crate) fn room(&self) -> usize {
        usize::from(PUBLISHES_IN_FLIGHT_MAX)
            .saturating_sub(self.queued.len() + self.in_flight.len())
    }

    /// The last row that was published; the next ones come after it.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// A publish was handed to the library.
    pub(crate) fn publish(&mut self, published: Published) {
        if let Published::Row(number) = published {
            self.rows.push_back((number, false));
            self.last = number;
        }
        self.queued.push_back(published);
    }

    /// The library has written the next publish under this packet id.
    pub(crate) fn written(&mut self, packet: u16) {
        if let Some(published) = self.queued.pop_front() {
            self.in_flight.insert(packet, published);
        }
    }

    /// The broker has acknowledged this packet id.
    pub(crate) fn acknowledged(&mut self, packet: u16) {
        if let Some(Published::Row(number)) = self.in_flight.remove(&packet)
            && let Some(row) = self.rows.iter_mut().find(|(known, _)| *known == number)
        {
            row.1 = true;
        }
        while let Some((number, true)) = self.rows.front() {
            self.delivered = *number;
            self.rows.pop_front();
        }
    }

    /// Whether an acknowledgement is awaited.
    pub(crate) fn awaits(&self) -> bool {
        !(self.queued.is_empty() && self.in_flight.is_empty())
    }

    /// Every row up to this number is delivered; 0 before the first.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails when `acknowledged` tells the number of the row itself instead of the oldest gap.
    #[test]
    fn a_row_is_delivered_when_all_before_it_are() {
        let mut window = Window::default();
        for number in [10, 12, 15] {
            window.publish(Published::Row(number));
        }
        window.publish(Published::Unkept);
        (1..=4).for_each(|packet| window.written(packet));
        window.acknowledged(2);
        assert_eq!((window.delivered(), window.last()), (0, 15));
        window.acknowledged(1);
        assert_eq!(window.delivered(), 12);
        window.acknowledged(4);
        assert!(window.awaits());
        window.acknowledged(3);
        assert_eq!(window.delivered(), 15);
        assert!(!window.awaits());
        window.acknowledged(3);
        assert_eq!(window.delivered(), 15, "an unknown packet changes nothing");
    }

    #[test]
    fn the_window_is_bounded() {
        let mut window = Window::default();
        let mut number = 0;
        while window.room() > 0 {
            number += 1;
            window.publish(Published::Row(number));
        }
        assert_eq!(number, u64::from(PUBLISHES_IN_FLIGHT_MAX));
        window.written(1);
        assert_eq!(window.room(), 0);
        window.acknowledged(1);
        assert_eq!(window.room(), 1);
    }
}
