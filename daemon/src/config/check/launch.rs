//! How a worker is started: its surroundings, and all of it put together.

use std::collections::BTreeMap;
use std::path::PathBuf;

use scgi_protocol::birth;
use scgi_protocol::control::AppKind;

use super::{Context, identity, kind, limits, optional, program};
use crate::config::command::Variables;
use crate::config::kinds::OneOrMany;
use crate::config::machine::Entry;
use crate::config::problem::Finding;
use crate::config::raw;
use crate::config::read::Said;
use crate::config::scalar::Text;
use crate::config::slips;
use crate::spec::Launch;

/// How the workers of one app are started.
pub(super) fn launch(raw: &raw::App, context: &mut Context<'_>) -> Option<Launch> {
    let env = variables(raw.env.as_ref(), context);
    let directory = optional(raw.directory.as_ref(), |said| directory(said, context));
    let run = raw.run.as_ref().and_then(|said| {
        let path = env.get("PATH").cloned();
        let program = match kind::folder(raw, context) {
            Some(folder) => Some((folder.clone(), folder.display().to_string())),
            None => program::program(&said.value.program, path, raw.directory.as_ref(), context),
        };
        program.map(|found| (found, said.value.arguments.iter().map(|word| word.0.clone())))
    });
    let env_files = files(raw.env_file.as_ref(), context);
    let identity = identity::identity(raw, context);
    let mount = optional(raw.mount.as_ref(), |said| mount(said, context));
    let limits = limits::limits(raw.limits.as_ref(), context);
    let nice = optional(raw.nice.as_ref(), |said| limits::nice(said, context));
    // What nobody of ours reads keeps no rules of ours, whatever `defaults` say.
    let reads = kind::reads_requests(kind::said(raw));
    let ((program, called), arguments) = run?;
    Some(Launch {
        program,
        arguments: std::iter::once(called).chain(arguments).collect(),
        directory: directory?,
        env,
        env_files: env_files?,
        clear_env: raw.clear_env.as_ref().is_none_or(|said| said.value.0),
        identity: identity?,
        umask: raw.umask.as_ref().map(|said| said.value.0),
        nice: nice?,
        limits: limits?,
        mount: mount?,
        queue_timeout: raw.queue_timeout.as_ref().filter(|_| reads).map(|said| said.value.0),
        strict: reads && raw.strict.as_ref().is_some_and(|said| said.value.0),
        preload: kind::said(raw) == AppKind::Worker
            && raw.preload.as_ref().is_some_and(|said| said.value.0),
    })
}

fn directory(said: &Said<Text>, context: &mut Context<'_>) -> Option<PathBuf> {
    let path = context.sources.absolute(&said.value.0, &said.at);
    let shown = path.display();
    let finding = match context.machine.entry(&path) {
        Entry::Directory => return Some(path),
        Entry::Missing => {
            let slip = slips::path(&said.value.0).map(str::to_owned);
            Finding::at(&said.at, format!("there is no directory `{shown}`"))
                .hint(format!("`mkdir -p {shown}` makes it"))
                .perhaps(slip)
        }
        Entry::Hidden => {
            Finding::at(&said.at, format!("`{shown}` may not be looked at by this user"))
                .hint("run scgid as a user who may, or open the folders above it")
        }
        Entry::File | Entry::Program | Entry::Odd => {
            Finding::at(&said.at, format!("`{shown}` is a file, not a directory"))
                .hint("name the folder it is in")
        }
    };
    context.refuse(finding.of_app())
}

fn files(said: Option<&Said<OneOrMany<Text>>>, context: &mut Context<'_>) -> Option<Vec<PathBuf>> {
    let all = said.map_or(&[][..], |said| &said.value.0);
    let mut file = |said: &Said<Text>| {
        let path = context.sources.absolute(&said.value.0, &said.at);
        let shown = path.display();
        let what = match context.machine.entry(&path) {
            Entry::File | Entry::Program => match context.machine.env_file(&path) {
                Ok(()) => return Some(path),
                Err(why) => why,
            },
            Entry::Odd => format!("`{shown}` is a device, pipe or socket, not a file of variables"),
            Entry::Missing => format!("there is no file `{shown}`"),
            Entry::Hidden => format!("`{shown}` may not be looked at by this user"),
            Entry::Directory => format!("`{shown}` is a directory, not a file of variables"),
        };
        let slip = slips::path(&said.value.0).map(str::to_owned);
        let finding = Finding::at(&said.at, what).hint("it has one `NAME=value` on each line");
        context.refuse(finding.perhaps(slip).of_app())
    };
    let found: Vec<Option<PathBuf>> = all.iter().map(&mut file).collect();
    found.into_iter().collect()
}

fn variables(
    said: Option<&Said<Variables>>,
    context: &mut Context<'_>,
) -> BTreeMap<String, String> {
    let all = said.map_or(&[][..], |said| &said.value.0);
    for (name, _) in all {
        let finding = if birth::VARIABLES.contains(&name.value.as_str()) {
            Finding::at(&name.at, format!("`{}` is set by scgid for every worker", name.value))
                .hint("remove it")
        } else if name.value.is_empty() || name.value.contains(['=', '\0']) {
            Finding::at(&name.at, "the name of a variable is not empty and has no `=`")
                .hint("write `NAME: value`")
        } else {
            continue;
        };
        context.findings.push(finding);
    }
    all.iter().map(|(name, value)| (name.value.clone(), value.0.clone())).collect()
}

fn mount(said: &Said<Text>, context: &mut Context<'_>) -> Option<String> {
    let text = &said.value.0;
    let legal = |c: char| c.is_ascii_graphic() && !"?#%\"\\".contains(c);
    if let Some(wrong) = text.chars().find(|c| !legal(*c)) {
        let message = format!("a mount has no `{}`", wrong.escape_default());
        let hint = "write the path as it reaches the app: decoded, of ASCII letters without spaces";
        return context.refuse(Finding::at(&said.at, message).hint(hint));
    }
    if let Some((_, rest)) = text.split_once("://") {
        let path = rest.split_once('/').map_or("", |(_, path)| path);
        let finding = Finding::at(&said.at, format!("`{text}` is a URL; a mount is its path"));
        return context.refuse(finding.hint(match path.trim_end_matches('/') {
            "" => "remove the key: this one is at the top".to_owned(),
            path => format!("write `/{path}`"),
        }));
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    let clean = format!("/{}", parts.join("/"));
    if parts.is_empty() {
        let finding = Finding::at(&said.at, "an app at `/` is not mounted below anything");
        return context.refuse(finding.hint("remove the key"));
    }
    if *text != clean {
        let finding = Finding::at(
            &said.at,
            "a mount begins with `/`, does not end with it, and has no empty part",
        );
        return context.refuse(finding.hint(format!("write `{clean}`")));
    }
    Some(clean)
}
