//! The caps and timeouts that one loop runs under. The defaults are those of `limits.rs`.

use std::time::Duration;

use crate::limits;

/// Caps of one loop, but for `device_connections`.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections.
    pub connections: usize,
    /// Unfinished handshakes.
    pub handshakes: usize,
    /// Connections of one address (of one /64 for IPv6).
    pub address_connections: usize,
    /// Unfinished handshakes of one address.
    pub address_handshakes: usize,
    /// Connections that one address may open in one second.
    pub address_pace: usize,
    /// Requests in flight of one address.
    pub address_requests: usize,
    /// Connections with one certificate, over all loops that share their devices.
    pub device_connections: usize,
    /// Requests in flight.
    pub requests: usize,
    /// Bytes held for peers.
    pub bytes: usize,
    /// Bytes held of long bodies, apart from the others.
    pub large_bytes: usize,
    /// How long each phase of a connection may take.
    pub timeouts: Timeouts,
}

/// How long each phase of a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From accept to the end of the handshake.
    pub handshake: Duration,
    /// From the first byte of a head to its last.
    pub head: Duration,
    /// From the last byte of a head to the last of its body.
    pub body: Duration,
    /// The same for a body longer than any that a device sends.
    pub large_body: Duration,
    /// From a whole request to its answer.
    pub answer: Duration,
    /// From an answer to the moment its last byte went to the kernel.
    pub write: Duration,
    /// Between requests, for a peer with a certificate.
    pub idle_device: Duration,
    /// Between requests, for a peer without.
    pub idle_stranger: Duration,
    /// From our last byte to the peer's end of the connection.
    pub linger: Duration,
    /// From the wish to stop to the last connection's end.
    pub stop: Duration,
}

impl Bounds {
    /// The default bounds of each of `loops` loops in a process that may have `descriptors` open
    /// files. Without enough for all connections there are fewer, so that a crowd of strangers
    /// never keeps a database from opening its files.
    pub fn within(descriptors: usize, loops: usize) -> Bounds {
        let share = descriptors.saturating_sub(limits::DESCRIPTORS_RESERVED) / loops.max(1);
        let connections = share.clamp(1, limits::CONNECTIONS_MAX);
        Bounds {
            connections,
            handshakes: limits::HANDSHAKES_MAX.min(connections),
            ..Bounds::default()
        }
    }
}

/// How many files this process may have open, if the kernel says.
pub fn descriptors() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(usize::MAX),
        number => number.parse().ok(),
    }
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            connections: limits::CONNECTIONS_MAX,
            handshakes: limits::HANDSHAKES_MAX,
            address_connections: limits::ADDRESS_CONNECTIONS_MAX,
            address_handshakes: limits::ADDRESS_HANDSHAKES_MAX,
            address_pace: limits::ADDRESS_ACCEPTS_PER_SECOND,
            address_requests: limits::ADDRESS_REQUESTS_MAX,
            device_connections: limits::DEVICE_CONNECTIONS_MAX,
            requests: limits::REQUESTS_IN_FLIGHT_MAX,
            bytes: limits::BYTES_IN_FLIGHT_MAX,
            large_bytes: limits::LARGE_BYTES_IN_FLIGHT_MAX,
            timeouts: Timeouts::default(),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            handshake: limits::HANDSHAKE_TIMEOUT,
            head: limits::HEAD_TIMEOUT,
            body: limits::BODY_TIMEOUT,
            large_body: limits::LARGE_BODY_TIMEOUT,
            answer: limits::ANSWER_TIMEOUT,
            write: limits::WRITE_TIMEOUT,
            idle_device: limits::IDLE_DEVICE_TIMEOUT,
            idle_stranger: limits::IDLE_STRANGER_TIMEOUT,
            linger: limits::LINGER_TIMEOUT,
            stop: limits::STOP_TIMEOUT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_to_others() {
        assert_eq!(Bounds::within(1_024, 1).connections, 768);
        assert_eq!(Bounds::within(1_024, 2).connections, 384);
        assert_eq!(Bounds::within(1_024, 2).handshakes, 384);
        assert_eq!(Bounds::within(100, 2).connections, 1);
        assert_eq!(
            Bounds::within(usize::MAX, 1).connections,
            limits::CONNECTIONS_MAX
        );
        assert!(descriptors().is_some_and(|number| number > 0));
    }
}
