//! Reads the daemon's server-sent events and takes the stream up again when it breaks.
//!
//! Tolerant: fields and messages that are not understood are skipped, as the format wants it.
//! Never prints; whoever follows decides what a break is worth.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::client::{Client, ClientError};

/// How long to wait before the stream is opened again: at first, and at most.
const AGAIN_AFTER: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// A stream of things, each with a number, that survives the daemon's absence.
#[derive(Debug)]
pub(crate) struct Follow {
    client: Client,
    path: String,
    after: Option<u64>,
    body: Option<Incoming>,
    reader: Reader,
}

/// What a [`Follow`] has to say.
#[derive(Debug)]
pub(crate) enum Next<T> {
    /// The next thing.
    Got(T),
    /// So many things were dropped before the next one.
    Missed(u64),
    /// The stream broke; asking for the next thing waits until it can be opened again.
    Broken,
}

impl Follow {
    /// Opens the stream at `path`, after number `after` if one is given.
    ///
    /// # Errors
    ///
    /// [`ClientError`] if the daemon is not there or refuses.
    pub(crate) async fn open(
        client: &Client,
        path: String,
        after: Option<u64>,
    ) -> Result<Self, ClientError> {
        let body = Some(client.open(&path, after).await?);
        let client = client.clone();
        Ok(Self { client, path, after, body, reader: Reader::default() })
    }

    /// The next thing, or word of a break. May be dropped and called again at any time.
    ///
    /// # Errors
    ///
    /// [`ClientError`] if the daemon is back and refuses; a daemon that is away is no error.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> Result<Next<T>, ClientError> {
        loop {
            while let Some(message) = self.reader.next() {
                self.after = message.id.or(self.after);
                if let Some(number) = message.missed() {
                    return Ok(Next::Missed(number));
                }
                if let Ok(thing) = serde_json::from_str(&message.data) {
                    return Ok(Next::Got(thing));
                }
            }
            let Some(body) = &mut self.body else {
                self.reopen().await?;
                continue;
            };
            match body.frame().await {
                Some(Ok(frame)) => self.reader.feed(frame.data_ref().map_or(&[], |data| data)),
                Some(Err(_)) | None => {
                    self.body = None;
                    self.reader = Reader::default();
                    return Ok(Next::Broken);
                }
            }
        }
    }

    async fn reopen(&mut self) -> Result<(), ClientError> {
        let (mut wait, longest) = AGAIN_AFTER;
        loop {
            tokio::time::sleep(wait).await;
            wait = longest.min(wait * 2);
            match self.client.open(&self.path, self.after).await {
                Ok(body) => {
                    self.body = Some(body);
                    return Ok(());
                }
                Err(error) if error.is_absence() => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// One server-sent event.
#[derive(Debug, Default, PartialEq, Eq)]
struct Message {
    id: Option<u64>,
    event: String,
    data: String,
}

/// What the daemon says in a message of the kind `missed`.
#[derive(Debug, Deserialize)]
struct Missed {
    missed: u64,
}

impl Message {
    /// How many things were dropped, if this is a word about that.
    fn missed(&self) -> Option<u64> {
        let is_word = self.event == "missed";
        is_word.then(|| serde_json::from_str::<Missed>(&self.data).ok())?.map(|word| word.missed)
    }
}

/// Takes bytes as they come and gives messages.
#[derive(Debug, Default)]
struct Reader {
    buffer: Vec<u8>,
    message: Message,
}

impl Reader {
    fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    fn next(&mut self) -> Option<Message> {
        while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            if !line.is_empty() {
                self.field(line);
            } else if self.message != Message::default() {
                return Some(std::mem::take(&mut self.message));
            }
        }
        None
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" => self.message.id = value.parse().ok(),
            "event" => value.clone_into(&mut self.message.event),
            "data" => {
                if !self.message.data.is_empty() {
                    self.message.data.push('\n');
                }
                self.message.data.push_str(value);
            }
            // Comments have no name; other fields are of no use here.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str, cut: usize) -> Vec<Message> {
        let mut reader = Reader::default();
        let mut messages = Vec::new();
        for part in [&text.as_bytes()[..cut], &text.as_bytes()[cut..]] {
            reader.feed(part);
            while let Some(message) = reader.next() {
                messages.push(message);
            }
        }
        messages
    }

    #[test]
    fn messages_are_read_wherever_the_bytes_are_cut() {
        let text =
            ": hello\n\nid: 7\nevent: ready\ndata: {\"a\":\ndata: 1}\n\nid:8\r\ndata:x\r\n\r\n";
        let expected = [
            Message { id: Some(7), event: "ready".into(), data: "{\"a\":\n1}".into() },
            Message { id: Some(8), event: String::new(), data: "x".into() },
        ];

        for cut in 0..=text.len() {
            assert_eq!(messages(text, cut), expected, "cut at {cut}");
        }
    }

    #[test]
    fn what_was_dropped_is_told_by_a_message_of_its_own_kind() {
        let all = messages("event: missed\ndata: {\"missed\":3}\n\ndata: {\"missed\":3}\n\n", 0);

        assert_eq!(all.iter().map(Message::missed).collect::<Vec<_>>(), [Some(3), None]);
    }

    #[test]
    fn an_unfinished_message_is_not_given_out() {
        assert_eq!(messages("id: 7\ndata: 1\n", 3), []);
    }
}
