//! The part of a reply that the kernel had no room for yet, in order. Performs no waiting.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io;

use crate::wire::{PARTS_MAX, Wire};

/// Small pieces are kept together up to this size.
const CHUNK_BYTES: usize = 64 << 10;

/// Bytes to be sent before anything else is.
#[derive(Debug, Default)]
pub(crate) struct Unsent {
    chunks: VecDeque<Cow<'static, [u8]>>,
    /// How much of the first chunk has been sent.
    sent: usize,
    bytes: usize,
}

impl Unsent {
    /// How many bytes there are.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Adds bytes behind all others, by copying them.
    pub(crate) fn copy(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.bytes += bytes.len();
        match self.chunks.back_mut() {
            // Not more: what has been sent of a chunk is given back with the whole of it.
            Some(Cow::Owned(last)) if last.len() + bytes.len() <= CHUNK_BYTES => {
                last.extend_from_slice(bytes);
            }
            _ => self.chunks.push_back(Cow::Owned(bytes.to_vec())),
        }
    }

    /// Adds a chunk behind all others. Its first `sent` bytes have been sent; there are none if
    /// others are to be sent before it.
    pub(crate) fn keep(&mut self, chunk: Cow<'static, [u8]>, sent: usize) {
        debug_assert!(sent == 0 || self.is_empty(), "bytes are sent in order");
        if sent < chunk.len() {
            self.bytes += chunk.len() - sent;
            self.sent += sent;
            self.chunks.push_back(chunk);
        }
    }

    /// Gives as much as there is room for; how many bytes that were.
    ///
    /// # Errors
    ///
    /// What the connection broke with.
    pub(crate) fn give(&mut self, wire: &dyn Wire) -> io::Result<usize> {
        let mut given = 0;
        while self.bytes > 0 {
            let mut parts: [&[u8]; PARTS_MAX] = [&[]; PARTS_MAX];
            let mut skip = self.sent;
            let mut count = 0;
            for (part, chunk) in parts.iter_mut().zip(&self.chunks) {
                *part = &chunk[skip..];
                skip = 0;
                count += 1;
            }
            let now = wire.give(&parts[..count])?;
            if now == 0 {
                break;
            }
            given += now;
            self.drop_front(now);
        }
        Ok(given)
    }

    fn drop_front(&mut self, mut bytes: usize) {
        self.bytes -= bytes;
        while let Some(first) = self.chunks.front() {
            let left = first.len() - self.sent;
            if bytes < left {
                self.sent += bytes;
                return;
            }
            bytes -= left;
            self.sent = 0;
            self.chunks.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scripted::Scripted;

    proptest! {
        #[test]
        fn what_is_given_in_whatever_pieces_is_all_there_was_in_order(
            chunks in proptest::collection::vec((any::<bool>(), 0..50_usize), 0..8),
            room in proptest::collection::vec(1..40_usize, 1..20),
        ) {
            let mut unsent = Unsent::default();
            let mut whole = Vec::new();
            for (nth, (owned, length)) in (1..).zip(chunks) {
                let chunk = vec![nth; length];
                whole.extend_from_slice(&chunk);
                if owned { unsent.copy(&chunk) } else { unsent.keep(Cow::Owned(chunk), 0) }
            }
            prop_assert_eq!(unsent.bytes(), whole.len());

            let wire = Scripted::default();
            for room in room.iter().cycle() {
                if unsent.is_empty() { break }
                wire.make_room(*room);
                prop_assert_eq!(unsent.give(&wire).unwrap(), wire.last_given());
            }

            prop_assert_eq!(wire.sent(), whole);
        }
    }

    #[test]
    fn what_was_sent_of_a_chunk_is_not_sent_again() {
        let mut unsent = Unsent::default();

        unsent.keep(Cow::Borrowed(b"sent unsent"), 5);

        let wire = Scripted::default();
        wire.make_room(100);
        unsent.give(&wire).unwrap();
        assert_eq!(wire.sent(), b"unsent");
    }
}
