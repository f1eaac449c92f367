//! Why a command has failed, as the edge of the program tells it: words, cause, way out, exit code.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use scgi_protocol::name::AppName;
use scgi_protocol::scgi::RequestError;

use crate::client::ClientError;
use crate::exit::Exit;
use crate::render::front::{FrontEnd, Obstacle};
use crate::render::{problem, text};

/// Why a command has failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("no app is called `{name}`; nothing has changed")]
    NoSuchApp { name: AppName, apps: Vec<AppName> },
    #[error("there is no app; nothing has changed")]
    NoApps,
    #[error("cannot write the answer")]
    Output(#[from] io::Error),
    #[error("cannot print this as YAML")]
    Yaml(#[from] serde_yaml::Error),
    #[error("cannot print this as JSON")]
    Json(#[from] serde_json::Error),
    #[error("cannot run `{}`", program.display())]
    Daemon { program: PathBuf, source: io::Error },
    #[error("app `{app}` has no address to connect to")]
    ListensNowhere { app: AppName },
    #[error("app `{app}` is out of reach of {}: {why}", front_end.as_str())]
    OutOfReach { app: AppName, front_end: FrontEnd, why: Obstacle },
    #[error(transparent)]
    Variable(RequestError),
    #[error("cannot read `{from}`")]
    Input { from: String, source: io::Error },
    #[error("cannot connect to `{address}`")]
    Connect { address: String, source: io::Error },
    #[error("cannot exchange a request with `{address}`")]
    Exchange { address: String, source: io::Error },
    #[error("`{address}` did not answer within {within}")]
    NoAnswer { address: String, within: String },
    #[error("the daemon has not become `{binary}`; `scgictl status` tells what runs")]
    NotReplaced { binary: String },
    #[error("{why}; the daemon before serves on")]
    NotUpgraded { why: String },
    #[error("what `{address}` sent is not an answer: {why}")]
    NotAnAnswer { address: String, why: String },
}

impl Failure {
    /// The exit code this ends with.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Client(error) => error.exit(),
            Self::NoSuchApp { .. } | Self::NoApps => Exit::NoSuchApp,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Variable(_) | Self::Input { .. } => Exit::Usage,
            Self::NoAnswer { .. } | Self::NotReplaced { .. } => Exit::TimedOut,
            Self::Output(_)
            | Self::Yaml(_)
            | Self::Json(_)
            | Self::Daemon { .. }
            | Self::ListensNowhere { .. }
            | Self::OutOfReach { .. }
            | Self::Connect { .. }
            | Self::Exchange { .. }
            | Self::NotUpgraded { .. }
            | Self::NotAnAnswer { .. } => Exit::Failed,
        }
    }

    /// All there is to say, ready to print: the message, its causes, the way out.
    ///
    /// `None` if there is nobody to tell: the reader of our output has left, as `head` does.
    pub(crate) fn told(&self) -> Option<String> {
        if self.exit() == Exit::Done {
            return None;
        }
        if let Self::Client(ClientError::Refused(refusal)) = self
            && !refusal.problems.is_empty()
        {
            return Some(problem::list(&refusal.problems));
        }
        let mut told = format!("error: {}", text::plain(&self.to_string()));
        let mut source = self.source();
        while let Some(error) = source {
            write!(told, ": {}", text::plain(&error.to_string())).expect("a String takes all");
            source = error.source();
        }
        if let Some(help) = self.help() {
            write!(told, "\n  help: {}", text::plain(&help)).expect("a String takes all");
        }
        Some(told)
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Client(error) => error.help(),
            Self::NoSuchApp { name, apps } => Some(did_you_mean(name, apps)),
            Self::NoApps => Some("`scgid init` writes a configuration to begin with".to_owned()),
            Self::Daemon { .. } => Some(
                "`scgid` is looked for beside this program and on the PATH; is it installed?"
                    .to_owned(),
            ),
            Self::Connect { .. } => Some("`scgictl ps` tells where apps listen".to_owned()),
            Self::ListensNowhere { app } => Some(format!("`scgictl status {app}` says how it is")),
            Self::OutOfReach { app, why, .. } => Some(why.way_out(app)),
            Self::NotAnAnswer { .. } => {
                Some("`--raw` prints what it sends; does it speak SCGI?".to_owned())
            }
            Self::Output(_)
            | Self::Yaml(_)
            | Self::Json(_)
            | Self::Variable(_)
            | Self::Input { .. }
            | Self::Exchange { .. }
            | Self::NoAnswer { .. }
            | Self::NotUpgraded { .. }
            | Self::NotReplaced { .. } => None,
        }
    }
}

/// The name that was probably meant, or all there are if they are few.
fn did_you_mean(name: &AppName, apps: &[AppName]) -> String {
    let likeness = |app: &&AppName| strsim::damerau_levenshtein(app.as_str(), name.as_str());
    match apps.iter().min_by_key(likeness) {
        None => "the daemon has no apps".to_owned(),
        Some(app) if likeness(&app) <= 2 => format!("did you mean `{app}`?"),
        Some(_) if apps.len() <= 10 => {
            let names: Vec<&str> = apps.iter().map(AppName::as_str).collect();
            format!("the apps are {}", names.join(", "))
        }
        Some(_) => "`scgictl ps -o name` lists the apps".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(name: &str, apps: &[&str]) -> String {
        let apps = apps.iter().map(|app| app.parse().unwrap()).collect();
        Failure::NoSuchApp { name: name.parse().unwrap(), apps }.told().unwrap()
    }

    #[test]
    fn an_unknown_app_is_answered_with_the_one_that_was_meant() {
        insta::assert_snapshot!(missing("blgo", &["blog", "shop"]), @r"
        error: no app is called `blgo`; nothing has changed
          help: did you mean `blog`?
        ");
        insta::assert_snapshot!(missing("wiki", &["blog", "shop"]), @r"
        error: no app is called `wiki`; nothing has changed
          help: the apps are blog, shop
        ");
    }

    #[test]
    fn a_reader_that_has_left_is_no_failure() {
        let failure = Failure::Output(io::ErrorKind::BrokenPipe.into());

        assert_eq!((failure.exit(), failure.told()), (Exit::Done, None));
    }
}
