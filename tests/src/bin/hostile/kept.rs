//! Lanes that hold connections: whatever the server closes is opened again.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use super::aim::{Aim, Lane, Peer};

/// Between two looks at each connection.
const ROUND: Duration = Duration::from_secs(1);

enum Kept {
    Socket(TcpStream),
    /// With how often it has sent something.
    Peer(Box<Peer>, usize),
}

impl Kept {
    fn open(aim: &Aim, lane: Lane, number: usize) -> Option<Kept> {
        let kept = match lane {
            Lane::Stall => Kept::Socket(aim.socket(lane, number)?),
            _ => Kept::Peer(Box::new(aim.peer(lane, number)?), 0),
        };
        kept.socket().set_nonblocking(true).ok()?;
        Some(kept)
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Kept::Socket(socket) => socket,
            Kept::Peer(peer, _) => &peer.socket,
        }
    }

    /// Whether the server has closed it. Reads and drops what came, ciphertext or not.
    fn is_closed(&mut self) -> bool {
        let mut dropped = [0; 4_096];
        loop {
            match self.socket().read(&mut dropped) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() != ErrorKind::WouldBlock,
            }
        }
    }
}

/// Holds `size` connections until it is over; says so by dropping `placed` once all were opened.
pub(crate) fn run(aim: &Aim, lane: Lane, size: usize, placed: Sender<()>) {
    let mut placed = Some(placed);
    let mut all: Vec<Option<Kept>> = Vec::new();
    all.resize_with(size, || None);
    while !aim.is_over() {
        let began = Instant::now();
        for (number, slot) in all.iter_mut().enumerate() {
            if aim.is_over() {
                return;
            }
            keep(aim, lane, number, slot);
        }
        placed = None;
        std::thread::sleep(ROUND.saturating_sub(began.elapsed()));
    }
    drop(placed);
}

fn keep(aim: &Aim, lane: Lane, number: usize, slot: &mut Option<Kept>) {
    let closed = match slot {
        // Whoever is deaf does not even look.
        Some(_) if lane == Lane::Deaf => false,
        Some(kept) => kept.is_closed(),
        None => {
            *slot = Kept::open(aim, lane, number);
            return;
        }
    };
    let sent = match (slot.as_mut(), closed) {
        (Some(Kept::Peer(peer, times)), false) => act(peer, lane, number, times),
        (Some(Kept::Socket(_)) | None, false) => Ok(false),
        (_, true) => Err(()),
    };
    match sent {
        Ok(true) => aim.count_sent(lane),
        Ok(false) => {}
        Err(()) => {
            aim.count_closed(lane);
            *slot = None;
        }
    }
}

/// Does what the lane does, once a round. Returns whether something was sent.
fn act(peer: &mut Peer, lane: Lane, number: usize, times: &mut usize) -> Result<bool, ()> {
    const HEAD: &[u8] = b"POST /v1/access HTTP/1.1\r\nhost: a\r\ncontent-length: 2112\r\n\r\n";
    const QUESTION: &[u8] = b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n";
    let bytes = match lane {
        // Every second one gives a whole head at first, and its body in drops.
        Lane::Trickle if number.is_multiple_of(2) && *times == 0 => HEAD,
        Lane::Trickle => &HEAD[*times % HEAD.len()..][..1],
        Lane::Deaf => QUESTION,
        Lane::Idle | Lane::Stall => return Ok(false),
        Lane::Flood | Lane::Garbage | Lane::Liar | Lane::Badge => return Ok(false),
    };
    peer.send(bytes).map_err(drop)?;
    *times += 1;
    Ok(true)
}
