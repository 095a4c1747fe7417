//! SHIP over TCP: `STP/00/<length>/<xml>`, one connection, one thread.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use crate::answer::{Answer, Delivery, answer};
use crate::https::reset;
use crate::world::World;

const BODY_BYTES_MAX: usize = 1 << 20;
const DIGITS_MAX: usize = 7;

/// Serves until the connection ends.
pub(crate) fn serve(world: &Arc<World>, socket: TcpStream) {
    let number = world.register(&socket);
    // How a connection ends is the client's affair, or a fault that was ordered.
    let _ = converse(world, number, socket);
    world.unregister(number);
}

fn converse(world: &World, number: u64, mut socket: TcpStream) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut is_first = true;
    loop {
        if !is_first && socket.peek(&mut [0])? > 0 && world.faults.take_stale() {
            return reset(&socket);
        }
        is_first = false;
        let Some(body) = read_frame(&mut socket)? else {
            return Ok(());
        };
        let answer = answer(world, number, None, &body);
        if !deliver(world, &mut socket, &answer)? {
            return Ok(());
        }
    }
}

/// `None` when the client is done, or sends no frame.
fn read_frame(socket: &mut TcpStream) -> std::io::Result<Option<Vec<u8>>> {
    let mut byte = [0];
    let mut head = Vec::new();
    while head.iter().filter(|byte| **byte == b'/').count() < 3 {
        if head.len() > 7 + DIGITS_MAX || socket.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head);
    let digits = text
        .strip_prefix("STP/00/")
        .and_then(|rest| rest.strip_suffix('/'));
    let length = digits.and_then(|digits| digits.parse::<usize>().ok());
    let Some(length) = length.filter(|length| *length <= BODY_BYTES_MAX) else {
        return Ok(None);
    };
    let mut body = vec![0; length];
    socket.read_exact(&mut body)?;
    Ok(Some(body))
}

/// False when the connection is over.
fn deliver(world: &World, socket: &mut TcpStream, answer: &Answer) -> std::io::Result<bool> {
    let frame = |length: usize| {
        let mut frame = format!("STP/00/{length}/").into_bytes();
        frame.extend_from_slice(&answer.body);
        frame
    };
    match answer.delivery {
        Delivery::Whole | Delivery::Chunked => {
            answer.delivered(world);
            socket.write_all(&frame(answer.body.len()))?;
            Ok(true)
        }
        Delivery::ThenClose => {
            answer.delivered(world);
            socket.write_all(&frame(answer.body.len()))?;
            Ok(false)
        }
        Delivery::Trickle(gap) => {
            for byte in frame(answer.body.len()) {
                socket.write_all(&[byte])?;
                world.faults.pause(gap);
            }
            answer.delivered(world);
            Ok(true)
        }
        Delivery::WrongLength => {
            socket.write_all(&frame(answer.body.len() + 100))?;
            Ok(false)
        }
        Delivery::Status(_) | Delivery::Close => Ok(false),
        Delivery::Reset => reset(socket).map(|()| false),
    }
}
