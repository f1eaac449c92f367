//! One app, put together of its parts.

use scgi_protocol::name::AppName;

use super::{Context, clash::Clashes, launch, listen, policy};
use crate::config::problem::Finding;
use crate::config::raw;
use crate::config::read::Said;
use crate::spec::AppSpec;

/// The spec of one app; `None` if a part of it is missing, and the findings say which.
pub(super) fn spec(
    name: &Said<AppName>,
    raw: &raw::App,
    clashes: &mut Clashes,
    context: &mut Context<'_>,
) -> Option<AppSpec> {
    let launch = launch::launch(name, raw, context);
    let listen = listen::all(name, raw, clashes, context);
    let sizing = policy::sizing(raw.workers.as_ref(), context);
    let timing = policy::timing(raw, context);
    let restart = policy::restart(raw.restart.as_ref(), context);
    Some(AppSpec {
        name: name.value.clone(),
        launch: launch?,
        listen: listen?,
        sizing: sizing?,
        concurrency: raw.concurrency.as_ref().map_or(1, |said| policy::small(said.value.0)),
        timing: timing?,
        restart: restart?,
        roll: policy::roll(raw.roll.as_ref()),
    })
}

/// Reports that an app does not say something it must.
pub(super) fn missing<T>(
    name: &Said<AppName>,
    key: &str,
    hint: &str,
    context: &mut Context<'_>,
) -> Option<T> {
    let message = format!("app `{}` does not say `{key}`", name.value);
    context.refuse(Finding::at(&name.at, message).hint(hint))
}
