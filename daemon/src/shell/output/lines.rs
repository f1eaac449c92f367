//! Lines: a stream of bytes, cut where it ends a line, however it was torn on its way.

/// Longest line that is kept, in bytes; the rest of a longer one is counted.
pub(super) const LINE_MAX_BYTES: usize = 8 * 1024;

/// One line, without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// What is kept of it.
    pub(super) bytes: &'a [u8],
    /// How many bytes of it are not.
    pub(super) cut_bytes: u64,
}

/// Cuts a stream of bytes into lines. Holds at most one line of [`LINE_MAX_BYTES`].
#[derive(Debug, Default)]
pub(super) struct Splitter {
    partial: Vec<u8>,
    cut_bytes: u64,
}

impl Splitter {
    /// Takes the next bytes and gives every line that they complete to `each`.
    pub(super) fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(Line<'_>)) {
        let mut pieces = bytes.split_inclusive(|&byte| byte == b'\n');
        for piece in pieces.by_ref() {
            match piece.strip_suffix(b"\n") {
                Some(end) => {
                    self.append(end);
                    self.emit(&mut each);
                }
                None => self.append(piece),
            }
        }
    }

    /// Gives what is left, a line without an end, to `each`.
    pub(super) fn end(&mut self, mut each: impl FnMut(Line<'_>)) {
        if !self.partial.is_empty() {
            self.emit(&mut each);
        }
    }

    /// What there is of a line that has not ended.
    pub(super) fn begun(&self) -> &[u8] {
        &self.partial
    }

    fn append(&mut self, bytes: &[u8]) {
        let room = LINE_MAX_BYTES - self.partial.len();
        let (kept, cut) = bytes.split_at(bytes.len().min(room));
        self.partial.extend_from_slice(kept);
        self.cut_bytes += cut.len() as u64;
    }

    fn emit(&mut self, each: &mut impl FnMut(Line<'_>)) {
        let line = self.partial.strip_suffix(b"\r").unwrap_or(&self.partial);
        each(Line { bytes: line, cut_bytes: self.cut_bytes });
        // Given back rather than cleared: there are many pipes and few of them are in mid-line.
        self.partial = Vec::new();
        self.cut_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<(Vec<u8>, u64)> {
        let mut splitter = Splitter::default();
        let mut lines = Vec::new();
        let mut keep = |line: Line<'_>| lines.push((line.bytes.to_vec(), line.cut_bytes));
        pieces.iter().for_each(|piece| splitter.feed(piece, &mut keep));
        splitter.end(keep);
        lines
    }

    #[test]
    fn a_line_is_whole_however_it_was_torn() {
        let text = b"one\r\n\ntwo \xff\nthree";
        let whole = lines(&[text]);
        assert_eq!(whole.len(), 4);
        assert_eq!(whole[0], (b"one".to_vec(), 0));
        assert_eq!(whole[1], (b"".to_vec(), 0));

        for at in 0..text.len() {
            assert_eq!(lines(&[&text[..at], &text[at..]]), whole, "torn at {at}");
        }
    }

    #[test]
    fn an_endless_line_takes_no_more_room_than_the_longest_one() {
        let megabyte = vec![b'x'; 1024 * 1024];

        let lines = lines(&[&megabyte, &megabyte, b"\nnext\n"]);

        let cut = 2 * 1024 * 1024 - LINE_MAX_BYTES as u64;
        assert_eq!((lines[0].0.len(), lines[0].1), (LINE_MAX_BYTES, cut));
        assert_eq!(lines[1], (b"next".to_vec(), 0));
    }
}
