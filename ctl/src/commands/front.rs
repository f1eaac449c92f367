//! `front`: the configuration of a web server for the live site.

use scgi_protocol::control::AppDetail;
use scgi_protocol::name::AppName;
use serde::Serialize;

use super::Context;
use crate::cli::{Format, Front};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render::front::{FrontEnd, LeftOut, Site, configuration};
use crate::render::value;

/// The configuration, for programs.
#[derive(Debug, Serialize)]
struct Printed<'a> {
    front_end: FrontEnd,
    apps: Vec<Row<'a>>,
    left_out: Vec<Left<'a>>,
    configuration: String,
}

/// An app in the configuration.
#[derive(Debug, Serialize)]
struct Row<'a> {
    app: &'a AppName,
    mount: &'a str,
    address: String,
    timeout_seconds: u64,
}

/// An app that is not, and why.
#[derive(Debug, Serialize)]
struct Left<'a> {
    app: &'a AppName,
    why: String,
}

/// Prints the configuration for one app, or for all that can be reached.
pub(super) async fn run(context: Context<'_>, front: Front) -> Result<Exit, Failure> {
    let Front { front_end, app: only } = front;
    let mut apps: Vec<AppDetail> = Vec::new();
    for name in context.named(only.as_slice()).await? {
        apps.push(context.client.get(&format!("/v1/apps/{name}")).await?);
    }
    let site = Site::of(&apps, front_end, only);
    if let (None, Some(LeftOut { app, why })) = (site.rows().next(), site.left_out().first()) {
        return Err(Failure::OutOfReach { app: app.clone(), front_end, why: why.clone() });
    }
    let text = match context.format {
        Format::Json => value::json(&printed(front_end, &site))?,
        Format::Yaml => value::yaml(&printed(front_end, &site))?,
        Format::Name => site.rows().map(|(app, ..)| format!("{app}\n")).collect(),
        Format::Table | Format::Wide => configuration(front_end, &site),
    };
    context.console.data(text)?;
    for left in site.left_out() {
        context.console.say(&left.to_string());
    }
    Ok(Exit::Done)
}

fn printed(front_end: FrontEnd, site: &Site) -> Printed<'_> {
    let rows = site.rows().map(|(app, mount, address, timeout_seconds)| Row {
        app,
        mount,
        address: address.to_string(),
        timeout_seconds,
    });
    let left =
        site.left_out().iter().map(|LeftOut { app, why }| Left { app, why: why.to_string() });
    Printed {
        front_end,
        apps: rows.collect(),
        left_out: left.collect(),
        configuration: configuration(front_end, site),
    }
}
