//! Configurations of the web servers that stand in front of apps, made from what the daemon says.
//!
//! ```text
//! settings, addresses ─▶ Site: places that can be reached, apps that cannot and why
//!                          └─▶ nginx | apache | mod_scgi | lighttpd ─▶ text
//! ```
//!
//! One file for each server knows its language and its traps. Nothing here asks, prints or knows
//! of any site but the one it is given.

mod apache;
mod lighttpd;
mod mod_scgi;
mod nginx;
mod obstacle;
mod patience;
mod site;
mod text;

use serde::Serialize;

pub(crate) use obstacle::Obstacle;
pub(crate) use site::{LeftOut, Site};
use text::Text;

/// A web server that speaks SCGI; Apache httpd by its own mod_proxy_scgi, or by the mod_scgi of
/// Python's scgi package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FrontEnd {
    Nginx,
    Apache,
    ApacheModScgi,
    Lighttpd,
}

impl FrontEnd {
    /// All of them.
    pub(crate) const ALL: [Self; 4] =
        [Self::Nginx, Self::Apache, Self::ApacheModScgi, Self::Lighttpd];

    /// Its name on the command line.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Apache => "apache",
            Self::ApacheModScgi => "apache-mod-scgi",
            Self::Lighttpd => "lighttpd",
        }
    }

    /// It can connect to unix sockets.
    fn takes_unix(self) -> bool {
        !matches!(self, Self::ApacheModScgi)
    }

    /// It had rather have TCP if an app listens on both.
    ///
    /// On a unix socket whose queue is full, Apache waits for ever, whatever it is told.
    fn prefers_tcp(self) -> bool {
        matches!(self, Self::Apache | Self::ApacheModScgi)
    }
}

/// The configuration that puts `front_end` in front of `site`, to be included where its first lines
/// say.
pub(crate) fn configuration(front_end: FrontEnd, site: &Site) -> String {
    let mut text = Text::default();
    match front_end {
        FrontEnd::Nginx => nginx::write(site, &mut text),
        FrontEnd::Apache => apache::write(site, &mut text),
        FrontEnd::ApacheModScgi => mod_scgi::write(site, &mut text),
        FrontEnd::Lighttpd => lighttpd::write(site, &mut text),
    }
    for app in &site.left_out {
        text.gap();
        text.note(&app.to_string());
    }
    text.into_string()
}
