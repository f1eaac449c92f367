//! The file of an app's program.

use std::path::{Path, PathBuf};

use super::Context;
use crate::config::machine::Entry;
use crate::config::problem::Finding;
use crate::config::read::Said;
use crate::config::scalar::{Text, Word};
use crate::config::slips;
use crate::launch::Why;

/// The file of a program, and what it is called by.
pub(super) fn program(
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
        Entry::Program => {
            return runs(said, file, context).map(|file| {
                let called = file.display().to_string();
                (file, called)
            });
        }
        Entry::Missing => {
            let finding = Finding::at(&said.at, format!("there is no program `{shown}`"));
            let beside =
                directory.map(|said| context.sources.absolute(&said.value.0, &said.at).join(name));
            match beside.filter(|file| context.machine.entry(file) == Entry::Program) {
                Some(file) => finding.hint(format!(
                    "a relative path starts from this file's folder; write `{}`",
                    file.display()
                )),
                None => finding
                    .hint("build or install it, or correct the path")
                    .perhaps(slips::program(name)),
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
            Entry::Program => return runs(said, file, context),
            Entry::Missing | Entry::Directory | Entry::Odd => {}
            other => unfit = unfit.or(Some((file, other))),
        }
    }
    let finding = match unfit {
        Some((file, entry)) => unusable(said, &file, entry),
        None => {
            let mut all: Vec<&str> = Vec::new();
            for folder in folders() {
                if !all.contains(&folder) {
                    all.push(folder);
                }
            }
            Finding::at(&said.at, format!("there is no program `{name}` in {}", all.join(", ")))
                .hint("install it, or write its whole path")
        }
    };
    context.refuse(finding.of_app())
}

/// The file if the program in it can be run.
fn runs(said: &Said<Word>, file: PathBuf, context: &mut Context<'_>) -> Option<PathBuf> {
    let Some(why) = context.machine.obstacle(&file) else { return Some(file) };
    let shown = file.display();
    let hint = match &why {
        Why::NoInterpreter(_) => {
            "install the interpreter, or correct the first line of the program".to_owned()
        }
        Why::CarriageReturn => {
            format!("give it the line ends of Unix: `sed -i 's/\\r$//' {shown}`")
        }
        Why::InterpreterNotExecutable(name) => {
            format!("`chmod +x {name}`, or correct the first line of the program")
        }
        _ => "put it elsewhere, or name its interpreter first".to_owned(),
    };
    context
        .refuse(Finding::at(&said.at, format!("cannot run `{shown}`: {why}")).hint(hint).of_app())
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
                .hint("run scgid as a user who may, or open the folders above it")
        }
        Entry::Odd => {
            Finding::at(&said.at, format!("`{shown}` is a device, pipe or socket, not a program"))
                .hint("correct the path")
        }
        Entry::File | Entry::Missing | Entry::Program => {
            Finding::at(&said.at, format!("`{shown}` is not executable"))
                .hint(format!("`chmod +x {shown}`, or name its interpreter first"))
        }
    }
}
