//! What a program writes, as a response: its head judged, its body passed on as it comes.
//!
//! ```text
//! program writes ─▶ head complete? ─▶ over already? ─yes─▶ a response whose length is known
//!     └─ anything wrong: 502, 504            └──no──▶ a stream; anything wrong: the client is cut off
//! ```
//!
//! `Location` without `Status` is a 302, wherever it leads: a front end that redirects within the
//! site by itself goes on doing so. A status line of HTTP in the place of a head (an `nph-` script)
//! is taken for the status it says.

use std::io::{self, Write};

use scgi_protocol::scgi::ResponseHead;
use scgi_worker::{Body, Response};

use super::exchange::{Run, Step, Wait};
use super::failure::Failure;

/// Longest head of an answer, in bytes: the most that any front end takes.
const HEAD_MAX_BYTES: usize = 64 << 10;

/// What a program may have written when its answer begins to be sent, in bytes.
const COLLECTED_BYTES: usize = 64 << 10;

/// The same while the client is still sending, in bytes: some read nothing before they have sent
/// everything, Apache among them.
const HELD_BYTES: usize = 8 << 20;

/// Headers that speak of the program's own end of the line, or are written by others.
const WITHHELD: [&str; 7] = [
    "Connection",
    "Content-Length",
    "Keep-Alive",
    "Proxy-Connection",
    "Status",
    "Transfer-Encoding",
    "Upgrade",
];

/// An answer of which the head is there.
#[derive(Debug)]
struct Begun {
    head: ResponseHead,
    /// The length of the body, if the program says it.
    length: Option<u64>,
    /// What there is of the body.
    body: Vec<u8>,
}

/// The response of a program at work.
///
/// # Errors
///
/// Whatever goes wrong before anything is sent.
pub(super) fn of(mut run: Run, head_only: bool, body: &mut Body<'_>) -> Result<Response, Failure> {
    let mut output = Vec::new();
    let mut step = Step::Moved;
    let (head, taken) = loop {
        // Wrong heads are found out here, and missing ones when nothing more comes.
        if let Some(found) =
            ResponseHead::decode(&output, HEAD_MAX_BYTES).map_err(Failure::BadHead)?
        {
            break found;
        }
        if step == Step::Over {
            return Err(Failure::NoHead(run.end()?));
        }
        step = run.step(body, &mut output, Wait::Yes)?;
    };
    let body_begun = output.split_off(taken);
    if output.trim_ascii().is_empty() {
        return Err(Failure::EmptyHead);
    }
    let mut begun = Begun::of(head, body_begun)?;
    loop {
        let is_fed = head_only || run.is_fed_from(body);
        let most = if is_fed { HELD_BYTES } else { COLLECTED_BYTES };
        if step == Step::Over || begun.body.len() >= most {
            break;
        }
        let wait = if is_fed { Wait::Yes } else { Wait::No };
        step = run.step(body, &mut begun.body, wait)?;
        if head_only {
            begun.body.clear();
        } else if step == Step::Still {
            break;
        }
    }
    if step == Step::Over {
        run.end()?;
        return begun.whole(head_only);
    }
    Ok(begun.stream(run, body.remaining() == 0))
}

impl Begun {
    fn of(head: ResponseHead, body: Vec<u8>) -> Result<Self, Failure> {
        if head.status() < 200 {
            return Err(Failure::Interim(head.status()));
        }
        let said = head.get("Content-Length").and_then(|said| str::from_utf8(said).ok());
        let length = said.and_then(|said| said.trim().parse().ok());
        Ok(Self { head, length, body })
    }

    /// The response of a program that is done.
    fn whole(mut self, head_only: bool) -> Result<Response, Failure> {
        if head_only {
            let head = self.head(self.length);
            return Ok(Response::staged(move |_, out| out.begin(head)));
        }
        if let Some(announced) = self.length {
            let written = self.body.len() as u64;
            if written < announced {
                return Err(Failure::Short { announced, written });
            }
            self.body.truncate(usize::try_from(announced).unwrap_or(usize::MAX));
        }
        let head = self.head(Some(self.body.len() as u64));
        Ok(Response::staged(move |_, out| {
            out.begin(head)?;
            out.write_whole(&self.body)
        }))
    }

    /// The response of a program that goes on writing. Its length is said if it is known and
    /// nothing of the request's own body is left to be fed.
    fn stream(mut self, run: Run, is_fed: bool) -> Response {
        let head = self.head(self.length.filter(|_| is_fed));
        let rest = Rest { run, output: std::mem::take(&mut self.body), length: self.length };
        Response::staged(move |body, out| {
            out.begin(head)?;
            rest.pass_on(body, out)
        })
    }

    /// The head as it goes out: as the program wrote it, without what is for others to say.
    fn head(&self, length: Option<u64>) -> ResponseHead {
        let is_passed = |name: &str| WITHHELD.iter().all(|other| !name.eq_ignore_ascii_case(other));
        let head = ResponseHead::new(self.head.status()).with_reason(self.head.reason());
        let passed = self.head.headers().filter(|(name, _)| is_passed(name));
        let head = passed.fold(head, |head, (name, value)| head.header(name, value));
        match length {
            Some(bytes) => head.header("Content-Length", bytes.to_string()),
            None => head,
        }
    }
}

/// What is left of an answer that has begun.
#[derive(Debug)]
struct Rest {
    run: Run,
    output: Vec<u8>,
    /// How long the body is to be, if that is known.
    length: Option<u64>,
}

impl Rest {
    /// Passes on what the program writes while it writes it, and ends it. An error cuts the client
    /// off, so that nobody takes a part for the whole.
    fn pass_on(mut self, body: &mut Body<'_>, to: &mut dyn Write) -> io::Result<()> {
        let mut left = self.length.unwrap_or(u64::MAX);
        loop {
            // What is beyond the length that was announced is nobody's.
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(self.output.len());
            to.write_all(&self.output[..wanted])?;
            to.flush()?;
            left -= wanted as u64;
            self.output.clear();
            let step = self.run.step(body, &mut self.output, Wait::Yes);
            if step.map_err(io::Error::other)? == Step::Over && self.output.is_empty() {
                break;
            }
        }
        self.run.end().map_err(io::Error::other)?;
        match self.length.filter(|_| left > 0) {
            Some(announced) => {
                let written = announced - left;
                Err(io::Error::other(Failure::Short { announced, written }))
            }
            None => Ok(()),
        }
    }
}
