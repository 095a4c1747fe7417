//! The encrypted bytes of a backup, as age has them: pieces of 64 KiB, each sealed with
//! ChaCha20-Poly1305 under a nonce of its number and whether it is the last. A piece that is
//! changed, missing, moved or cut off does not open.

use std::io::{self, Read, Write};

use aws_lc_rs::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};

use super::BackupError;
use super::envelope::{PayloadKey, aead};

/// Bytes of a piece before it is sealed.
const PIECE: usize = 64 * 1024;
const TAG: usize = 16;
/// Bytes of a sealed piece that is not the last.
pub(super) const SEALED_PIECE: u64 = (PIECE + TAG) as u64;

/// Seals what is written to it.
pub(super) struct Sealing<W> {
    out: W,
    key: LessSafeKey,
    number: u64,
    /// So many pieces are written already: they are counted, and no more.
    there: u64,
    piece: Vec<u8>,
}

impl<W: Write> Sealing<W> {
    #[cfg(test)]
    pub(super) fn new(out: W, key: &PayloadKey) -> Result<Self, BackupError> {
        Self::behind(out, key, 0)
    }

    /// Goes on behind so many pieces: what is written to it begins at the beginning all the same,
    /// and must be what it was.
    pub(super) fn behind(out: W, key: &PayloadKey, there: u64) -> Result<Self, BackupError> {
        Ok(Self {
            out,
            key: aead(key)?,
            number: 0,
            there,
            piece: Vec::with_capacity(PIECE + TAG),
        })
    }

    /// Seals the last piece. Without it the whole does not open.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        Ok(self.out)
    }

    fn seal(&mut self, last: bool) -> io::Result<()> {
        if self.number < self.there {
            if last {
                // No later run makes it more: this one is not gone on with.
                let why = "less than was written before";
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
            self.piece.clear();
            self.number += 1;
            return Ok(());
        }
        self.key
            .seal_in_place_append_tag(nonce(self.number, last), Aad::empty(), &mut self.piece)
            .map_err(|_| io::Error::other("a piece could not be sealed"))?;
        self.out.write_all(&self.piece)?;
        self.piece.clear();
        self.number += 1;
        Ok(())
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full piece waits for what follows: the last one must be known as such.
        if self.piece.len() == PIECE {
            self.seal(false)?;
        }
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Opens what is read through it. Nothing of a piece comes out before it is authenticated.
pub(super) struct Opening<R> {
    from: R,
    key: LessSafeKey,
    number: u64,
    opened: Vec<u8>,
    given: usize,
    // What was read behind the piece: the first bytes of the next.
    ahead: Vec<u8>,
    ended: bool,
}

impl<R: Read> Opening<R> {
    pub(super) fn new(from: R, key: &PayloadKey) -> Result<Self, BackupError> {
        Ok(Self {
            from,
            key: aead(key)?,
            number: 0,
            opened: Vec::new(),
            given: 0,
            ahead: Vec::new(),
            ended: false,
        })
    }

    fn next_piece(&mut self) -> io::Result<()> {
        let mut sealed = std::mem::take(&mut self.ahead);
        // One byte more than a piece says whether another follows.
        let left = (PIECE + TAG + 1 - sealed.len()) as u64;
        self.from.by_ref().take(left).read_to_end(&mut sealed)?;
        let last = sealed.len() <= PIECE + TAG;
        if !last {
            self.ahead = sealed.split_off(PIECE + TAG);
        }
        let opened = self
            .key
            .open_in_place(nonce(self.number, last), Aad::empty(), &mut sealed)
            .map_err(|_| damaged())?
            .len();
        // Only the whole may be empty: else bytes could be cut off and an empty end put there.
        if opened == 0 && self.number > 0 {
            return Err(damaged());
        }
        sealed.truncate(opened);
        self.opened = sealed;
        self.given = 0;
        self.number += 1;
        self.ended = last;
        Ok(())
    }
}

impl<R: Read> Read for Opening<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.given == self.opened.len() {
            if self.ended {
                return Ok(0);
            }
            self.next_piece()?;
        }
        let given = to.len().min(self.opened.len() - self.given);
        to[..given].copy_from_slice(&self.opened[self.given..self.given + given]);
        self.given += given;
        Ok(given)
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, BackupError::Damaged)
}

fn nonce(number: u64, last: bool) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[3..11].copy_from_slice(&number.to_be_bytes());
    nonce[11] = u8::from(last);
    Nonce::assume_unique_for_key(nonce)
}
