//! What `--help`, `version` and `completion` print.

use crate::fake::{Fake, json};
use crate::run::{Run, eventually};
use crate::samples;

const VERBS: [&str; 29] = [
    "ps",
    "status",
    "describe",
    "start",
    "stop",
    "restart",
    "reload",
    "plan",
    "apply",
    "rollback",
    "retry",
    "rollout",
    "rollout status",
    "rollout pause",
    "rollout resume",
    "rollout undo",
    "rollout history",
    "scale",
    "logs",
    "events",
    "wait",
    "front",
    "check",
    "schema",
    "request",
    "upgrade",
    "shutdown",
    "completion",
    "version",
];

#[test]
fn help_of_the_program_lists_verbs_and_exit_codes() {
    let ended = Run::new("--help").ended();

    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    insta::assert_snapshot!(ended.out, @r"
    Start, stop, scale, reload and understand the apps of scgid

    Usage: scgictl [OPTIONS] <COMMAND>

    Commands:
      ps          List the apps
      status      Tell how the daemon and its apps are; exits with 3 if an app is not well
      describe    Tell all that is known of an app
      start       Start stopped apps
      stop        Drain an app's workers and close its listeners, until it is started again
      restart     Stop all workers of an app, then start them again
      reload      Replace an app's workers, new before old; without APP, take over the changed
                  configuration
      plan        Tell what a configuration would change; exits with 1 if something, with 0 if nothing
      apply       Take a configuration over
      rollback    Return to an earlier configuration
      retry       Try failing or held apps at once
      rollout     Look at the roll of an app, pause, resume or undo it; list earlier configurations
      scale       Set how many workers an app has, until the configuration changes
      logs        Show what workers write
      events      Show what happened
      wait        Wait until apps are as wanted, or an operation has ended
      front       Print the configuration of a web server in front of the apps
      check       Check a configuration; runs `scgid check`
      schema      Print the JSON Schema of the configuration; runs `scgid schema`
      request     Send one SCGI request to an app or any address, and print the answer
      upgrade     Put another scgid in the daemon's place; its workers go on
      shutdown    End the daemon and all its workers, in order
      completion  Print a script that completes commands and names of apps in a shell
      version     Print the versions of this program and of the daemon

    Options:
      -h, --help     Print help
      -V, --version  Print version

    Global options:
          --socket <PATH>    The daemon's control socket [default: $SCGI_SOCKET, the user's own, the
                             system's]
      -o, --output <FORMAT>  How to print; json is a promise, tables are not [default: table] [possible
                             values: table, wide, json, yaml, name]
      -q, --quiet            Print nothing but data and errors
      -v, --verbose          Print every step

    Exit codes:
      0    done and verified; for `status`: all apps are well
      1    failed, with the reason; `plan`: something would change
      2    wrong usage, or an invalid configuration; nothing has changed
      3    `status`: an app is not well
      4    no such app; nothing has changed
      5    permission denied
      6    conflict: another operation holds the app, or the configuration is not the expected one
      7    the daemon is not running or does not answer
      124  timed out while waiting; the operation goes on
      130  interrupted while waiting; the operation goes on
    ");
}

#[test]
#[expect(clippy::too_many_lines, reason = "most of them are the screen")]
fn help_of_every_verb_tells_its_arguments() {
    let help = |verb: &str| {
        let ended = Run::new(&format!("{verb} --help")).ended();
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{verb}");
        let own = ended.out.split("\nGlobal options:").next().unwrap().trim_end().to_owned();
        own.replace("\n\n", "\n") + "\n\n"
    };

    insta::assert_snapshot!(VERBS.map(help).concat(), @r"
    List the apps
    Usage: scgictl ps [OPTIONS] [APP]...
    Arguments:
      [APP]...  The apps; all of them if none is named
    Options:
      -w, --watch  Go on, and print again whenever something changes
      -h, --help   Print help

    Tell how the daemon and its apps are; exits with 3 if an app is not well
    Usage: scgictl status [OPTIONS] [APP]...
    Arguments:
      [APP]...  The apps; all of them if none is named
    Options:
      -w, --watch  Go on, and print again whenever something changes
      -h, --help   Print help

    Tell all that is known of an app
    Usage: scgictl describe [OPTIONS] [APP]...
    Arguments:
      [APP]...  The apps, one at least unless --all is given
    Options:
          --all   Every app
      -h, --help  Print help

    Start stopped apps
    Usage: scgictl start [OPTIONS] [APP]...
    Arguments:
      [APP]...  The apps, one at least unless --all is given
    Options:
          --all                 Every app
          --no-wait             Do not wait; print the number of the operation
          --timeout <DURATION>  How long to wait: `90s`, `5m`; the operation goes on afterwards
                                [default: 5m]
      -h, --help                Print help

    Drain an app's workers and close its listeners, until it is started again
    Usage: scgictl stop [OPTIONS] [APP]...
    Arguments:
      [APP]...  The apps, one at least unless --all is given
    Options:
          --all                 Every app
          --no-wait             Do not wait; print the number of the operation
          --timeout <DURATION>  How long to wait: `90s`, `5m`; the operation goes on afterwards
                                [default: 5m]
      -h, --help                Print help

    Stop all workers of an app, then start them again
    Usage: scgictl restart [OPTIONS] [APP]...
    Arguments:
      [APP]...  The apps, one at least unless --all is given
    Options:
          --all                 Every app
          --no-wait             Do not wait; print the number of the operation
          --timeout <DURATION>  How long to wait: `90s`, `5m`; the operation goes on afterwards
                                [default: 5m]
      -h, --help                Print help

    Replace an app's workers, new before old; without APP, take over the changed configuration
    Usage: scgictl reload [OPTIONS] [APP]...
    Arguments:
      [APP]...  The apps; without one, the configuration is read again
    Options:
          --all                 Every app
          --queue               Begin when the operation under way has ended, rather than be refused
          --no-wait             Do not wait; print the number of the operation
          --timeout <DURATION>  How long to wait: `90s`, `5m`; the operation goes on afterwards
                                [default: 5m]
      -h, --help                Print help

    Tell what a configuration would change; exits with 1 if something, with 0 if nothing
    Usage: scgictl plan [OPTIONS] [FILE]
    Arguments:
      [FILE]  The configuration, `-` for standard input [default: the daemon's own file]
    Options:
          --if-match <TAG>  Only if the configuration in force has this tag, as `plan -o json` tells it
      -h, --help            Print help

    Take a configuration over
    Usage: scgictl apply [OPTIONS] [FILE]
    Arguments:
      [FILE]  The configuration, `-` for standard input [default: the daemon's own file]
    Options:
          --if-match <TAG>      Only if the configuration in force has this tag, as `plan -o json` tells
                                it
          --no-wait             Do not wait; print the number of the operation
          --timeout <DURATION>  How long to wait: `90s`, `5m`; the operation goes on afterwards
                                [default: 5m]
      -h, --help                Print help

    Return to an earlier configuration
    Usage: scgictl rollback [OPTIONS]
    Options:
          --to <N>              To which revision [default: the last before this one that ended well]
          --if-match <TAG>      Only if the configuration in force has this tag
          --no-wait             Do not wait; print the number of the operation
          --timeout <DURATION>  How long to wait: `90s`, `5m`; the operation goes on afterwards
                                [default: 5m]
      -h, --help                Print help

    Try failing or held apps at once
    Usage: scgictl retry [OPTIONS] [APP]...
    Arguments:
      [APP]...  The apps, one at least unless --all is given
    Options:
          --all                 Every app
          --no-wait             Do not wait; print the number of the operation
          --timeout <DURATION>  How long to wait: `90s`, `5m`; the operation goes on afterwards
                                [default: 5m]
      -h, --help                Print help

    Look at the roll of an app, pause, resume or undo it; list earlier configurations
    Usage: scgictl rollout [OPTIONS] <COMMAND>
    Commands:
      status   Tell how far the rolls of apps are
      pause    Leave the roll of apps as it is: both generations serve
      resume   Go on with paused rolls
      undo     Return to the workers before the roll
      history  List the configurations that were in force
    Options:
      -h, --help  Print help

    Tell how far the rolls of apps are
    Usage: scgictl rollout status [OPTIONS] [APP]...
    Arguments:
      [APP]...  The apps; all of them if none is named
    Options:
      -h, --help  Print help

    Leave the roll of apps as it is: both generations serve
    Usage: scgictl rollout pause [OPTIONS] [APP]...
    Arguments:
      [APP]...  The apps, one at least unless --all is given
    Options:
          --all                 Every app
          --no-wait             Do not wait; print the number of the operation
          --timeout <DURATION>  How long to wait: `90s`, `5m`; the operation goes on afterwards
                                [default: 5m]
      -h, --help                Print help

    Go on with paused rolls
    Usage: scgictl rollout resume [OPTIONS] [APP]...
    Arguments:
      [APP]...  The apps, one at least unless --all is given
    Options:
          --all                 Every app
          --no-wait             Do not wait; print the number of the operation
          --timeout <DURATION>  How long to wait: `90s`, `5m`; the operation goes on afterwards
                                [default: 5m]
      -h, --help                Print help

    Return to the workers before the roll
    Usage: scgictl rollout undo [OPTIONS] [APP]...
    Arguments:
      [APP]...  The apps, one at least unless --all is given
    Options:
          --all                 Every app
          --no-wait             Do not wait; print the number of the operation
          --timeout <DURATION>  How long to wait: `90s`, `5m`; the operation goes on afterwards
                                [default: 5m]
      -h, --help                Print help

    List the configurations that were in force
    Usage: scgictl rollout history [OPTIONS]
    Options:
      -h, --help  Print help

    Set how many workers an app has, until the configuration changes
    Usage: scgictl scale [OPTIONS] <APP> <COUNT>
    Arguments:
      <APP>    The app
      <COUNT>  `4` workers, `+2` or `-1` of those wanted, or bounds: `min=1,max=8`
    Options:
          --no-wait             Do not wait; print the number of the operation
          --timeout <DURATION>  How long to wait: `90s`, `5m`; the operation goes on afterwards
                                [default: 5m]
      -h, --help                Print help

    Show what workers write
    Usage: scgictl logs [OPTIONS] [APP]...
    Arguments:
      [APP]...  The apps; all of them if none is named
    Options:
      -f, --follow           Go on with what comes, until interrupted; survives a restart of the daemon
      -n, --lines <N>        How many to begin with [default: 100]
          --stream <STREAM>  Only what was written to this output [possible values: stdout, stderr]
      -h, --help             Print help

    Show what happened
    Usage: scgictl events [OPTIONS] [APP]
    Arguments:
      [APP]  Only those about this app
    Options:
      -f, --follow     Go on with what comes, until interrupted; survives a restart of the daemon
      -n, --lines <N>  How many to begin with [default: 100]
      -h, --help       Print help

    Wait until apps are as wanted, or an operation has ended
    Usage: scgictl wait [OPTIONS] [APP|op:ID]...
    Arguments:
      [APP|op:ID]...  Apps, or operations as `op:12`
    Options:
          --all                 Every app
          --for <GOAL>          What to wait for: `serving`, `stopped`, `well`, or `gen=N` and serving
                                [default: well]
          --timeout <DURATION>  How long to wait: `90s`, `5m` [default: 5m]
      -h, --help                Print help

    Print the configuration of a web server in front of the apps
    Usage: scgictl front [OPTIONS] <SERVER> [APP]
    Arguments:
      <SERVER>  The web server; apache is that with mod_proxy_scgi, apache-mod-scgi that with mod_scgi
                [possible values: nginx, apache, apache-mod-scgi, lighttpd]
      [APP]     The app; all of them if none is named
    Options:
      -h, --help  Print help

    Check a configuration; runs `scgid check`
    Usage: scgictl check [OPTIONS] [FILE]
    Arguments:
      [FILE]  The configuration [default: what `scgid` finds by itself]
    Options:
      -h, --help  Print help

    Print the JSON Schema of the configuration; runs `scgid schema`
    Usage: scgictl schema [OPTIONS]
    Options:
      -h, --help  Print help

    Send one SCGI request to an app or any address, and print the answer
    Usage: scgictl request [OPTIONS] <APP|ADDRESS> [PATH]
    Arguments:
      <APP|ADDRESS>  An app, or an address: `127.0.0.1:4000`, `unix:/run/blog.sock`
      [PATH]         Path and query [default: /]
    Options:
      -X, --method <METHOD>       The method [default: GET, or POST if there is a body]
      -H, --header <NAME: VALUE>  A header, as in `Accept: text/html`; may be repeated
      -d, --data <DATA>           A body: text, `@FILE`, or `-` for standard input
          --var <NAME=VALUE>      A variable, in place of what would be sent; may be repeated
      -i, --include               Print the head of the answer too
          --raw                   Print the answer as it comes, byte for byte
          --timeout <DURATION>    How long the app may be silent [default: 30s]
      -h, --help                  Print help

    Put another scgid in the daemon's place; its workers go on
    Usage: scgictl upgrade [OPTIONS]
    Options:
          --check               Only find out whether it could be done
          --binary <PATH>       The other scgid [default: the file the daemon was started from, as it is
                                by now]
          --timeout <DURATION>  How long the other one may take to answer: `90s`, `5m` [default: 1m]
      -h, --help                Print help

    End the daemon and all its workers, in order
    Usage: scgictl shutdown [OPTIONS]
    Options:
          --no-wait             Do not wait; print the number of the operation
          --timeout <DURATION>  How long to wait: `90s`, `5m`; the operation goes on afterwards
                                [default: 5m]
      -h, --help                Print help

    Print a script that completes commands and names of apps in a shell
    Usage: scgictl completion [OPTIONS] <SHELL>
    Arguments:
      <SHELL>  [possible values: bash, zsh, fish]
    Options:
      -h, --help  Print help

    Print the versions of this program and of the daemon
    Usage: scgictl version [OPTIONS]
    Options:
      -h, --help  Print help
    ");
}

#[test]
fn the_words_of_other_tools_find_ours() {
    let app = samples::serving("blog");
    let fake = Fake::new()
        .on("GET /v1/status", json(&samples::status(vec![app.clone()])))
        .on("GET /v1/apps", json(&[&app]))
        .on("GET /v1/apps/blog", json(&samples::detail(app)));
    let out = |args: &str| fake.scgictl(args).ended().out;

    assert_eq!([out("ls"), out("list")], [out("ps"), out("ps")]);
    assert_eq!([out("show blog"), out("info blog")], [out("describe blog"), out("describe blog")]);
}

#[test]
fn version_is_known_without_a_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let with = Fake::new().on("GET /v1/status", json(&samples::status(Vec::new())));

    let with = with.scgictl("version").ended();
    let without = Run::new("version").socket(dir.path().join("none")).ended();

    assert_eq!((with.code, without.code), (Some(0), Some(0)));
    assert_eq!(with.out, "scgictl 0.1.0\nscgid 0.1.0\n");
    assert_eq!(without.out, "scgictl 0.1.0\n");
    assert!(without.err.starts_with("the daemon is not running"), "{}", without.err);
}

#[test]
fn completion_prints_a_script_that_calls_back() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = Run::new("completion").arg(shell).ended();

        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{shell}");
        assert!(ended.out.contains("SCGICTL_COMPLETE"), "{shell}: {}", ended.out);
    }
}

#[test]
fn names_of_apps_are_completed_by_asking_the_daemon() {
    let apps = [samples::serving("blog"), samples::serving("api"), samples::held("shop")];
    let fake = Fake::new().on("GET /v1/apps", json(&apps));
    let complete = |run: Run| {
        run.env("SCGICTL_COMPLETE", "fish").arg("--").arg("scgictl").arg("stop").arg("b").ended()
    };
    let dir = tempfile::tempdir().unwrap();

    let without = complete(Run::new("").socket(dir.path().join("none")));

    // A person who presses the tab key waits a tenth of a second at most, a busy machine longer.
    eventually(|| complete(fake.scgictl("")).out == "blog\tserving\n");
    assert_eq!((without.code, without.out.as_str()), (Some(0), ""));
}
