//! The configuration seen from outside: text in, a site or a refusal out, on an invented machine.

mod kind;
mod meaning;
mod refusal;
mod texts;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::machine::{Ceiling, Entry, Login, Machine, Names, Room};
use super::{Loaded, Paint, Problems, load_text_on};
use crate::launch::Why;
use crate::spec::{AppSpec, Resource};

/// A machine that is the same everywhere.
pub(super) struct Paper {
    own: (u32, u32),
    entries: BTreeMap<PathBuf, Entry>,
}

impl Paper {
    /// Root's machine with a few users and programs.
    pub(super) fn new() -> Self {
        let entries = [
            ("/usr/bin/python3", Entry::Program),
            ("/srv/blog/bin/blog", Entry::Program),
            ("/srv/site/bin/blog", Entry::Program),
            ("/proc/self/exe", Entry::Program),
            ("/srv/blog", Entry::Directory),
            ("/srv/site/../blog", Entry::Directory),
            ("/srv/blog/README", Entry::File),
            ("/srv/blog/bin/tool", Entry::Program),
            ("/srv/blog/blog.env", Entry::File),
            ("/root/blog", Entry::Hidden),
            ("/dev/log", Entry::Odd),
            ("/srv/blog/bin/unrunnable", Entry::Program),
            ("/srv/blog/bin/dos", Entry::Program),
            ("/srv/blog/broken.env", Entry::File),
            ("/", Entry::Directory),
        ];
        let path = |(path, entry)| (PathBuf::from(path), entry);
        Self { own: (0, 0), entries: entries.into_iter().map(path).collect() }
    }

    /// The same machine for somebody else.
    pub(super) fn of(uid: u32, gid: u32) -> Self {
        Self { own: (uid, gid), ..Self::new() }
    }
}

const LOGINS: [(&str, u32, u32); 3] =
    [("root", 0, 0), ("www-data", 33, 33), ("deploy", 1000, 1000)];

impl Machine for Paper {
    fn own(&self) -> (u32, u32) {
        self.own
    }

    fn user(&self, name: &str) -> Option<Login> {
        let fits = |(known, uid, _): &&(&str, u32, u32)| *known == name || name == uid.to_string();
        let (name, uid, gid) = LOGINS.iter().find(fits)?;
        let home = format!("/home/{name}").into();
        Some(Login { name: (*name).to_owned(), uid: *uid, gid: *gid, home })
    }

    fn group(&self, name: &str) -> Option<u32> {
        let known = LOGINS.iter().find(|(known, ..)| *known == name).map(|(_, _, gid)| *gid);
        known.or_else(|| name.parse().ok())
    }

    fn groups_of(&self, login: &Login) -> Vec<u32> {
        if login.name == "deploy" { vec![login.gid, 33] } else { vec![login.gid] }
    }

    fn names(&self, _: Names) -> Vec<String> {
        LOGINS.iter().map(|(name, ..)| (*name).to_owned()).collect()
    }

    fn entry(&self, path: &Path) -> Entry {
        self.entries.get(path).copied().unwrap_or(Entry::Missing)
    }

    fn obstacle(&self, program: &Path) -> Option<Why> {
        match program.file_name()?.to_str()? {
            "unrunnable" => Some(Why::NoInterpreter("/usr/bin/python2".to_owned())),
            "dos" => Some(Why::CarriageReturn),
            _ => None,
        }
    }

    fn env_file(&self, path: &Path) -> Result<(), String> {
        if path.ends_with("broken.env") {
            return Err(format!("environment file `{}`, line 3: no `=`", path.display()));
        }
        Ok(())
    }

    fn room(&self, path: &Path) -> Room {
        let folder = path.parent().unwrap_or(path);
        match self.entry(path) {
            Entry::Missing if self.entry(folder) == Entry::File => Room::NoFolder(folder.into()),
            Entry::Missing if self.own.0 == 0 || !folder.starts_with("/run/scgid") => Room::Free,
            Entry::Missing => Room::Closed("/run".into()),
            _ => Room::NoSocket,
        }
    }

    fn may_listen(&self, port: u16) -> bool {
        self.own.0 == 0 || port >= 1024
    }

    fn ceiling(&self, resource: Resource) -> Ceiling {
        match resource {
            Resource::Nofile if self.own.0 == 0 => Ceiling::Kernel(1 << 20),
            Resource::Nofile => Ceiling::User(4096),
            _ => Ceiling::None,
        }
    }

    fn least_nice(&self) -> i32 {
        if self.own.0 == 0 { -20 } else { 0 }
    }

    fn search_path(&self) -> String {
        "/usr/bin:/bin:/usr/bin".to_owned()
    }

    fn cores(&self) -> u16 {
        2
    }

    fn runtime_dir(&self) -> Option<PathBuf> {
        None
    }
}

/// The site that `text` means for root.
pub(super) fn loaded(text: &str) -> Loaded {
    read(&Paper::new(), text).unwrap_or_else(|problems| panic!("{}", problems.render(Paint::Plain)))
}

/// What root is told of `text`, whatever kind of problem it has.
pub(super) fn refused(text: impl AsRef<str>) -> String {
    let strict = read(&Paper::new(), text.as_ref()).and_then(Loaded::strict);
    let problems = strict.expect_err("this is refused");
    for problem in problems.list() {
        assert!(problem.hint.is_some(), "no way out of: {}", problem.message);
    }
    problems.render(Paint::Plain)
}

/// The site that `text` means on a machine.
pub(super) fn read(machine: &Paper, text: &str) -> Result<Loaded, Problems> {
    load_text_on(machine, "/srv/site/site.yaml", text)
}

/// The app `blog` with `keys` beside what an app must say.
pub(super) fn blog(keys: &str) -> AppSpec {
    let text = format!("apps: {{blog: {{run: [bin/blog], listen: \"127.0.0.1:4000\", {keys}}}}}");
    let loaded = loaded(&text);
    assert!(loaded.unprepared.is_empty(), "{:?}", loaded.unprepared);
    let spec = loaded.site.apps.values().next().expect("there is one app");
    AppSpec::clone(spec)
}
