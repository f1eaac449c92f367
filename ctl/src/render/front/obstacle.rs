//! Why an app cannot stand in the configuration of a front end.

use std::path::PathBuf;

use scgi_protocol::name::AppName;

/// What is in the way, and for a person what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Obstacle {
    #[error("it listens nowhere")]
    ListensNowhere,
    #[error("nobody has given it `{}`", .0.join("`, `"))]
    NotHandedOver(Vec<String>),
    #[error("it listens on unix sockets alone, and mod_scgi speaks TCP alone")]
    UnixAlone,
    #[error("its mount `{0}` has a character that means something else to the server")]
    Mount(String),
    #[error("the path `{}` has a character that means something else to the server", .0.display())]
    Path(PathBuf),
    #[error("`{first}` is at `{mount}` as well")]
    Taken { first: AppName, mount: String },
}

impl Obstacle {
    /// What a person can do about it for `app`.
    pub(crate) fn way_out(&self, app: &AppName) -> String {
        match self {
            Self::ListensNowhere => format!("`scgictl status {app}` says how it is"),
            Self::NotHandedOver(_) => "start the socket unit, then the daemon".to_owned(),
            Self::UnixAlone => format!("add `127.0.0.1:PORT` to the `listen` of `{app}`"),
            Self::Mount(_) | Self::Path(_) => {
                "letters, digits and `/._-+,@=~` mean themselves everywhere".to_owned()
            }
            Self::Taken { .. } => {
                format!(
                    "give one of them a `mount`, or print `{app}` alone for a server of its own"
                )
            }
        }
    }
}
