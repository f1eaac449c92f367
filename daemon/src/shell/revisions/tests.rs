//! Revisions on a real disk: kept, found again, torn, and where they cannot be kept.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::SystemTime;

use tempfile::TempDir;

use super::*;
use crate::config::load_text;

/// A folder, and the archives of daemons that use it one after the other.
struct World(TempDir);

impl World {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self, keep: u16) -> Archive {
        let spec = RevisionsSpec { directory: Some(self.0.path().to_owned()), keep };
        Archive::open(&spec, Path::new("/run/scgid/control.sock"))
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("run-scgid-control.sock")
    }

    fn file(&self, number: u64) -> PathBuf {
        file::path(&self.folder(), number)
    }
}

fn site(port: u16) -> Loaded {
    let text = format!("apps: {{blog: {{run: [/bin/true], listen: '127.0.0.1:{port}'}}}}");
    load_text("/etc/scgid.yaml", &text).unwrap()
}

fn fresh(loaded: &Loaded, by: Author, origin: Origin) -> Fresh<'_> {
    let apps = vec!["blog".parse().unwrap()];
    Fresh { at: SystemTime::now().into(), by, origin, apps, loaded }
}

/// Puts a site in force that is told apart by its port, and ends it so.
fn put(archive: &Archive, port: u16, outcome: Outcome) -> u64 {
    let loaded = site(port);
    let number = archive.record(fresh(&loaded, Author::Signal, Origin::File("x".into())));
    archive.settle(number, outcome);
    archive.close();
    number
}

fn numbers(archive: &Archive) -> Vec<u64> {
    archive.list().revisions.iter().map(|revision| revision.number).collect()
}

#[test]
fn a_revision_outlives_the_daemon_with_its_facts_and_its_texts() {
    let world = World::new();
    let before = world.open(20);
    put(&before, 1, Outcome::Done);
    put(&before, 2, Outcome::Failed("blog: exit 1".into()));

    let after = world.open(20);

    let listed = after.list();
    assert_eq!(numbers(&after), [1, 2]);
    assert_eq!(listed.revisions[0].digest, before.list().revisions[0].digest);
    assert_eq!(listed.revisions[1].outcome, Outcome::Failed("blog: exit 1".into()));
    assert_eq!((listed.in_force, listed.trouble), (None, None));
    assert_eq!(after.texts(1).unwrap(), site(1).sources.kept());
}

#[test]
fn only_its_owner_can_read_a_revision() {
    let world = World::new();

    put(&world.open(20), 1, Outcome::Done);

    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&world.folder()), mode(&world.file(1))), (0o700, 0o600));
}

#[test]
fn what_is_in_force_already_is_no_other_revision() {
    let world = World::new();
    let archive = world.open(20);
    put(&archive, 1, Outcome::Done);
    let (loaded, file) = (site(1), Origin::File("x".into()));

    let unchanged = Fresh { apps: Vec::new(), ..fresh(&loaded, Author::Signal, file.clone()) };
    assert_eq!(archive.record(unchanged), 1);
    let restarted = world.open(20);
    assert_eq!(restarted.record(fresh(&loaded, Author::Start, file)), 1);
    let sent = fresh(&loaded, Author::Signal, Origin::Text("stdin".into()));
    assert_eq!(restarted.record(sent), 2);
}

#[test]
fn one_returns_to_the_last_that_ended_well_and_says_something_else() {
    let world = World::new();
    let archive = world.open(20);
    put(&archive, 1, Outcome::Done);
    put(&archive, 2, Outcome::Done);
    put(&archive, 3, Outcome::Failed("exit 1".into()));
    assert_eq!(archive.choose(None).unwrap(), 2);
    put(&archive, 2, Outcome::Done);

    assert_eq!(archive.choose(None).unwrap(), 1);
    assert_eq!(archive.choose(Some(3)).unwrap(), 3);
    assert!(matches!(archive.choose(Some(9)), Err(Refusal::NoSuchRevision(9))));
}

#[test]
fn without_an_earlier_one_that_is_said() {
    let world = World::new();
    let archive = world.open(20);
    put(&archive, 1, Outcome::Done);

    let refused = archive.choose(None).unwrap_err();

    assert!(refused.to_string().starts_with("there is no earlier revision"), "{refused}");
}

#[test]
fn only_the_last_are_kept_and_their_numbers_are_not_given_again() {
    let world = World::new();
    let archive = world.open(2);
    for port in 1..=4 {
        put(&archive, port, Outcome::Done);
    }

    assert_eq!(numbers(&archive), [3, 4]);
    assert!(!world.file(2).exists());
    let restarted = world.open(2);
    assert_eq!(numbers(&restarted), [3, 4]);
    assert_eq!(put(&restarted, 5, Outcome::Done), 5);
}

#[test]
fn one_whose_daemon_died_meanwhile_ended_nobody_knows_how() {
    let world = World::new();
    let archive = world.open(20);
    archive.record(fresh(&site(1), Author::Signal, Origin::File("x".into())));
    archive.close();

    assert_eq!(world.open(20).list().revisions[0].outcome, Outcome::Unknown);
}

#[test]
fn a_folder_that_cannot_be_written_to_stops_nothing_but_the_return() {
    let world = World::new();
    fs::write(world.folder(), "in the way").unwrap();
    let archive = world.open(20);

    put(&archive, 1, Outcome::Done);
    put(&archive, 2, Outcome::Done);

    let listed = archive.list();
    assert!(listed.trouble.unwrap().starts_with("cannot use"));
    assert!(listed.revisions.iter().all(|revision| !revision.kept));
    let refused = archive.choose(None).unwrap_err().to_string();
    assert!(refused.starts_with("revision 1 was not kept; cannot use"), "{refused}");
}

#[test]
fn a_disk_that_fails_later_is_told_until_it_works_again() {
    let world = World::new();
    let archive = world.open(20);
    put(&archive, 1, Outcome::Done);
    fs::remove_dir_all(world.folder()).unwrap();

    put(&archive, 2, Outcome::Done);
    assert!(archive.list().trouble.unwrap().starts_with("cannot write to"));
    fs::create_dir(world.folder()).unwrap();
    put(&archive, 3, Outcome::Done);

    assert_eq!(archive.list().trouble, None);
    assert!(matches!(archive.texts(2), Err(Refusal::Senseless(_))));
    assert!(archive.texts(3).is_ok());
    // It was kept, and somebody has removed it.
    assert!(archive.texts(1).is_err());
}

#[test]
fn whatever_else_stands_in_the_folder_is_told_and_left_alone() {
    let world = World::new();
    put(&world.open(20), 1, Outcome::Done);
    let whole = fs::read_to_string(world.file(1)).unwrap();
    let head = whole.lines().next().unwrap();
    let foreign = [
        ("notes.txt", "buy milk\n".to_owned()),
        ("2.revision", head[..9].to_owned()),
        ("3.revision", whole[..whole.len() - 1].to_owned().replace("\"number\":1", "\"number\":3")),
        ("4.revision", whole.clone()),
        ("5.revision", head.replace("\"format\":1", "\"format\":2") + "\n[]\n"),
        ("6.revision", String::new()),
        ("7.revision", "\0\u{fffd}".repeat(5000)),
        (".8.tmp", "half".to_owned()),
    ];
    for (name, text) in &foreign {
        fs::write(world.folder().join(name), text).unwrap();
    }
    fs::create_dir(world.folder().join("9.revision")).unwrap();

    let archive = world.open(20);

    assert_eq!(numbers(&archive), [1]);
    let told: Vec<String> = archive
        .list()
        .unreadable
        .into_iter()
        .map(|one| format!("{}: {}", one.file, one.why))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    2.revision: it is damaged: EOF while parsing an object at line 1 column 9
    3.revision: it is damaged: its end is missing
    4.revision: it is damaged: it says that it is 1
    5.revision: another version of scgid wrote it (format 2)
    6.revision: it is damaged: EOF while parsing a value at line 1 column 0
    7.revision: it is damaged: expected value at line 1 column 1
    9.revision: it is no revision of scgid
    notes.txt: it is no revision of scgid
    ");
    assert_eq!(put(&archive, 2, Outcome::Done), 10);
    assert!(world.folder().join("notes.txt").exists());
}

#[test]
fn every_torn_or_altered_file_is_refused_in_words() {
    let world = World::new();
    put(&world.open(20), 1, Outcome::Done);
    let whole = fs::read(world.file(1)).unwrap();

    for cut in 0..whole.len() {
        fs::write(world.file(1), &whole[..cut]).unwrap();
        assert_eq!(numbers(&world.open(20)), [0; 0], "cut after {cut} bytes");
    }
    let altered = String::from_utf8(whole).unwrap().replace("/bin/true", "/bin/evil");
    fs::write(world.file(1), altered).unwrap();
    let refused = world.open(20).texts(1).unwrap_err().to_string();
    assert!(refused.ends_with("its text is another one than was kept"), "{refused}");
}

#[test]
fn two_daemons_have_folders_of_their_own() {
    let names = ["/run/scgid/control.sock", "/run/scgid-control.sock", "/run/scgid/control sock"]
        .map(|path| escaped(Path::new(path)));

    assert_eq!(
        names,
        ["run-scgid-control.sock", "run-scgid%2dcontrol.sock", "run-scgid-control%20sock"]
    );
}
