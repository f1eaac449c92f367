//! How a worker is started: program, surroundings, limits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use scgi_protocol::birth;
use scgi_protocol::name::AppName;

use super::{Context, app, identity};
use crate::config::kinds::{Bound, Cap, OneOrMany, Variables};
use crate::config::machine::Entry;
use crate::config::problem::Finding;
use crate::config::raw;
use crate::config::read::Said;
use crate::config::scalar::{Size, Span, Text, Whole, Word};
use crate::spec::{Launch, Limit, Resource};

/// How the workers of one app are started.
pub(super) fn launch(
    name: &Said<AppName>,
    raw: &raw::App,
    context: &mut Context<'_>,
) -> Option<Launch> {
    let env = variables(raw.env.as_ref(), context);
    let directory = directory(raw.directory.as_ref(), context);
    let run = match &raw.run {
        None => app::missing(name, "run", "write `run: [PROGRAM, ARGUMENT, …]`", context),
        Some(said) => {
            let path = env.get("PATH").cloned();
            let program = program(&said.value.program, path, raw.directory.as_ref(), context);
            program.map(|found| (found, said.value.arguments.iter().map(|word| word.0.clone())))
        }
    };
    let env_files = files(raw.env_file.as_ref(), context);
    let identity = identity::identity(raw, context);
    let mount = mount(raw.mount.as_ref(), context);
    let limits = limits(raw.limits.as_ref(), context);
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
        nice: raw
            .nice
            .as_ref()
            .map(|said| i32::try_from(said.value.0).expect("the shape bounds it")),
        limits,
        mount: mount?,
    })
}

/// The file of a program, and what it is called by.
fn program(
    said: &Said<Word>,
    path: Option<String>,
    directory: Option<&Said<Text>>,
    context: &mut Context<'_>,
) -> Option<(PathBuf, String)> {
    let name = &said.value.0;
    if !name.contains('/') {
        let path = path.unwrap_or_else(|| context.machine.search_path());
        return search(said, &path, context).map(|file| (file, name.clone()));
    }
    let file = context.sources.absolute(name, &said.at);
    let shown = file.display();
    let wrong = match context.machine.entry(&file) {
        Entry::Program => return Some((file.clone(), shown.to_string())),
        Entry::Missing => {
            let finding = Finding::at(&said.at, format!("there is no program `{shown}`"));
            let beside =
                directory.map(|said| context.sources.absolute(&said.value.0, &said.at).join(name));
            match beside.filter(|file| context.machine.entry(file) == Entry::Program) {
                Some(file) => finding.hint(format!(
                    "a relative path starts from this file's folder; write `{}`",
                    file.display()
                )),
                None => finding.hint("build or install it, or correct the path"),
            }
        }
        other => unusable(said, &file, other),
    };
    context.refuse(wrong.of_app())
}

/// Looks a bare name up on a search path.
fn search(said: &Said<Word>, path: &str, context: &mut Context<'_>) -> Option<PathBuf> {
    let name = &said.value.0;
    let folders = || path.split(':').filter(|folder| folder.starts_with('/'));
    let mut unfit = None;
    for file in folders().map(|folder| Path::new(folder).join(name)) {
        match context.machine.entry(&file) {
            Entry::Program => return Some(file),
            Entry::Missing | Entry::Directory => {}
            other => unfit = unfit.or(Some((file, other))),
        }
    }
    let finding = match unfit {
        Some((file, entry)) => unusable(said, &file, entry),
        None => {
            let all: Vec<&str> = folders().collect();
            Finding::at(&said.at, format!("there is no program `{name}` in {}", all.join(", ")))
                .hint("install it, or write its whole path")
        }
    };
    context.refuse(finding.of_app())
}

fn unusable(said: &Said<Word>, file: &Path, entry: Entry) -> Finding {
    let shown = file.display();
    match entry {
        Entry::Directory => {
            Finding::at(&said.at, format!("`{shown}` is a directory, not a program"))
                .hint("name the program inside it")
        }
        Entry::Hidden => {
            Finding::at(&said.at, format!("`{shown}` may not be looked at by this user"))
        }
        Entry::File | Entry::Missing | Entry::Program => {
            Finding::at(&said.at, format!("`{shown}` is not executable"))
                .hint(format!("`chmod +x {shown}`, or name its interpreter first"))
        }
    }
}

fn directory(said: Option<&Said<Text>>, context: &mut Context<'_>) -> Option<Option<PathBuf>> {
    let Some(said) = said else { return Some(None) };
    let path = context.sources.absolute(&said.value.0, &said.at);
    let shown = path.display();
    let finding = match context.machine.entry(&path) {
        Entry::Directory => return Some(Some(path)),
        Entry::Missing => Finding::at(&said.at, format!("there is no directory `{shown}`"))
            .hint(format!("`mkdir -p {shown}` makes it")),
        Entry::Hidden => {
            Finding::at(&said.at, format!("`{shown}` may not be looked at by this user"))
        }
        Entry::File | Entry::Program => {
            Finding::at(&said.at, format!("`{shown}` is a file, not a directory"))
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
            Entry::File | Entry::Program => return Some(path),
            Entry::Missing => format!("there is no file `{shown}`"),
            Entry::Hidden => format!("`{shown}` may not be looked at by this user"),
            Entry::Directory => format!("`{shown}` is a directory, not a file of variables"),
        };
        context.refuse(Finding::at(&said.at, what).hint("one `NAME=value` on each line").of_app())
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
        } else {
            continue;
        };
        context.findings.push(finding);
    }
    all.iter().map(|(name, value)| (name.value.clone(), value.0.clone())).collect()
}

fn mount(said: Option<&Said<Text>>, context: &mut Context<'_>) -> Option<Option<String>> {
    let Some(said) = said else { return Some(None) };
    let text = &said.value.0;
    let legal = |c: char| c.is_ascii_graphic() && !"?#%\"\\".contains(c);
    let finding = if text == "/" {
        Finding::at(&said.at, "an app at `/` is not mounted below anything").hint("remove the key")
    } else if !text.starts_with('/') {
        Finding::at(&said.at, "a mount begins with `/`").hint(format!("write `/{text}`"))
    } else if text.ends_with('/') || text.contains("//") {
        Finding::at(&said.at, "a mount has no `/` at its end and no empty part").hint(format!(
            "write `/{}`",
            text.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
        ))
    } else if !text.chars().all(legal) {
        Finding::at(
            &said.at,
            "a mount is the path of a URL as it reaches the app, without `%`, `?`, `#` and spaces",
        )
    } else {
        return Some(Some(text.clone()));
    };
    context.refuse(finding)
}

fn limits(
    said: Option<&Said<raw::Limits>>,
    context: &mut Context<'_>,
) -> BTreeMap<Resource, Limit> {
    let Some(said) = said else { return BTreeMap::new() };
    let raw::Limits { nofile, nproc, r#as, core, cpu, data, fsize, memlock, stack } = &said.value;
    let mut limits = BTreeMap::new();
    let mut set =
        |resource, limit: Option<Limit>| limits.extend(limit.map(|limit| (resource, limit)));
    set(Resource::Nofile, limit(nofile.as_ref(), context));
    set(Resource::Nproc, limit(nproc.as_ref(), context));
    set(Resource::As, limit(r#as.as_ref(), context));
    set(Resource::Core, limit(core.as_ref(), context));
    set(Resource::Cpu, limit(cpu.as_ref(), context));
    set(Resource::Data, limit(data.as_ref(), context));
    set(Resource::Fsize, limit(fsize.as_ref(), context));
    set(Resource::Memlock, limit(memlock.as_ref(), context));
    set(Resource::Stack, limit(stack.as_ref(), context));
    limits
}

/// What a limit counts in: pieces, bytes or seconds.
trait Amount {
    fn amount(&self) -> u64;
}

impl<const MIN: i64, const MAX: i64> Amount for Whole<MIN, MAX> {
    fn amount(&self) -> u64 {
        u64::try_from(self.0).unwrap_or_default()
    }
}

impl Amount for Size {
    fn amount(&self) -> u64 {
        self.0
    }
}

impl<const MIN: u64, const MAX: u64> Amount for Span<MIN, MAX> {
    fn amount(&self) -> u64 {
        self.0.as_secs()
    }
}

fn limit<T: Amount>(said: Option<&Said<Bound<T>>>, context: &mut Context<'_>) -> Option<Limit> {
    let said = said?;
    let cap = |cap: &Cap<T>| match cap {
        Cap::Unlimited => None,
        Cap::At(value) => Some(value.amount()),
    };
    let (soft, hard) = (cap(&said.value.soft), cap(&said.value.hard));
    if soft.unwrap_or(u64::MAX) > hard.unwrap_or(u64::MAX) {
        return context.refuse(Finding::at(&said.at, "`soft` is more than `hard`"));
    }
    Some(Limit { soft, hard })
}
