//! The last of what is numbered, and what follows: behind `logs` and `events`.

use scgi_protocol::control::{Event, LogLine};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::Context;
use crate::cli::{Format, Tail};
use crate::client::{Client, ClientError};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render::{View, line, value};
use crate::stream::{Follow, Next};

/// A list of the daemon that can be read from its end, and followed.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// Where it is, with a query if it takes one: `/v1/events?app=blog`.
    pub(super) path: String,
    /// The parameter that says how many of the last are wanted.
    pub(super) count: &'static str,
    /// How many of the last are asked for.
    pub(super) ask: usize,
}

/// One thing of such a list.
pub(super) trait Entry: Serialize + DeserializeOwned + Send + 'static {
    /// Its number, by which several lists are merged.
    fn number(&self) -> u64;

    /// The entry for people, ended by a newline.
    fn render(&self, view: &View) -> String;
}

impl Entry for Event {
    fn number(&self) -> u64 {
        self.id
    }

    fn render(&self, view: &View) -> String {
        line::event(self, view)
    }
}

impl Entry for LogLine {
    fn number(&self) -> u64 {
        self.id
    }

    fn render(&self, view: &View) -> String {
        line::log(self, view)
    }
}

/// Prints the last entries of all `sources` that are to `keep`, then, if asked, what follows.
pub(super) async fn run<T: Entry>(
    mut context: Context<'_>,
    sources: Vec<Source>,
    tail: Tail,
    keep: impl Fn(&T) -> bool,
) -> Result<Exit, Failure> {
    let mut past: Vec<T> = Vec::new();
    let mut followed = Vec::new();
    for source in sources {
        let entries: Vec<T> = context.client.get(&source.last()).await?;
        followed.push((source, entries.iter().map(T::number).max().unwrap_or(0)));
        past.extend(entries.into_iter().filter(&keep));
    }
    past.sort_by_key(T::number);
    for entry in past.iter().skip(past.len().saturating_sub(tail.lines)) {
        print(&mut context, entry)?;
    }
    if tail.follow {
        follow(context, followed, keep).await?;
    }
    Ok(Exit::Done)
}

/// Prints what follows until interrupted.
async fn follow<T: Entry>(
    mut context: Context<'_>,
    sources: Vec<(Source, u64)>,
    keep: impl Fn(&T) -> bool,
) -> Result<(), Failure> {
    let (sender, mut entries) = mpsc::channel(64);
    for (source, after) in sources {
        tokio::spawn(feed::<T>(context.client.clone(), source, after, sender.clone()));
    }
    drop(sender);
    let mut is_away = false;
    while let Some(next) = entries.recv().await {
        match next? {
            Next::Got(entry) => {
                is_away = false;
                if keep(&entry) {
                    print(&mut context, &entry)?;
                }
            }
            Next::Missed(number) => {
                context.console.say(&format!("{number} missed: they came faster than they went"));
            }
            Next::Broken if is_away => {}
            Next::Broken => {
                is_away = true;
                context.console.say("the connection broke; following again when it can be made");
            }
        }
    }
    Ok(())
}

/// Sends what comes from one source until nobody listens or the daemon refuses.
async fn feed<T: Entry>(
    client: Client,
    source: Source,
    after: u64,
    entries: mpsc::Sender<Result<Next<T>, ClientError>>,
) {
    let mut stream = match Follow::open(&client, source.path, Some(after)).await {
        Ok(stream) => stream,
        Err(error) => {
            let _nobody_may_listen = entries.send(Err(error)).await;
            return;
        }
    };
    loop {
        let next = stream.next().await;
        let is_end = next.is_err();
        if entries.send(next).await.is_err() || is_end {
            return;
        }
    }
}

fn print<T: Entry>(context: &mut Context<'_>, entry: &T) -> Result<(), Failure> {
    let text = match context.format {
        Format::Json => value::json_line(entry)?,
        Format::Yaml => value::yaml(entry)?,
        Format::Name => format!("{}\n", entry.number()),
        Format::Table | Format::Wide => entry.render(&context.console.view()),
    };
    context.console.data(text)
}

impl Source {
    /// Its last entries; one at least, whose number says where following begins.
    fn last(&self) -> String {
        let Self { path, count, ask } = self;
        let separator = if path.contains('?') { '&' } else { '?' };
        format!("{path}{separator}{count}={}", ask.max(&1))
    }
}
