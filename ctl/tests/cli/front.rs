//! `front`: configurations of web servers, and what is said where there is none.

use scgi_protocol::control::AppDetail;

use crate::fake::{Fake, json};
use crate::samples;

/// An app with these addresses and settings.
fn app(name: &str, listen: &[&str], settings: &[(&str, &str)]) -> AppDetail {
    let mut app = samples::serving(name);
    app.listen = listen.iter().map(|address| (*address).to_owned()).collect();
    let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    AppDetail { settings: settings.collect(), ..samples::detail(app) }
}

fn daemon(apps: &[AppDetail]) -> Fake {
    let mut fake = Fake::new();
    for app in apps {
        fake = fake.on(&format!("GET /v1/apps/{}", app.app.name), json(app));
    }
    let lines: Vec<_> = apps.iter().map(|detail| &detail.app).collect();
    fake.on("GET /v1/apps", json(&lines))
}

/// One at the top, on demand; one below it in two places; one below that.
fn site() -> Fake {
    daemon(&[
        app(
            "blog",
            &["0.0.0.0:4000"],
            &[("workers.min", "0"), ("start_timeout", "30s"), ("queue_timeout", "2s")],
        ),
        app(
            "shop",
            &["127.0.0.1:4001", "unix:/run/scgid/shop.sock"],
            &[("mount", "/shop"), ("request_timeout", "20s")],
        ),
        app("pool", &["unix:/run/scgid/pool.sock"], &[("mount", "/pool")]),
        app("desk", &["[::]:4002"], &[("mount", "/shop/v1.2")]),
    ])
}

fn printed(fake: &Fake, args: &str) -> String {
    let ended = fake.scgictl(args).arg("-q").ended();
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{args}");
    ended.out
}

#[test]
#[expect(clippy::too_many_lines, reason = "most of them are the configuration")]
fn nginx_is_told_locations() {
    insta::assert_snapshot!(printed(&site(), "front nginx"), @r##"
    # Made by `scgictl front nginx`. Include it in a `server` block; then
    # `nginx -t && nginx -s reload`.
    # nginx's user must be able to write to the unix sockets: `listen: {address: …, group: www-data,
    # mode: "0660"}`.

    # desk: /shop/v1.2 is at [::1]:4002
    # By a pattern, since a plain `location` takes what only begins like the mount as well; (?s) lets
    # a line feed (%0A) through.
    location ~ "(?s)^/shop/v1\.2(?<scgi_path>/.*|)$" {
        # The CGI variables, and SCGI=1, without which it would be no SCGI. A location with a
        # scgi_param of its own inherits none, so all of them stand here.
        include scgi_params;
        # What nginx's own file leaves out: which part of the path is the mount, which the app's.
        scgi_param SCRIPT_NAME "/shop/v1.2";
        scgi_param PATH_INFO $scgi_path;
        # When nginx had the request, so that workers know how long it has waited; in place of
        # whatever the client says.
        scgi_param HTTP_X_REQUEST_START "t=${msec}";
        # A client's `Proxy` header would become the variable by which programs find their proxy.
        scgi_param HTTP_PROXY "" if_not_empty;

        scgi_pass [::1]:4002;
        # The daemon keeps the socket open whatever happens: one that does not take a connection is
        # overloaded.
        scgi_connect_timeout 5s;
        # How long nginx waits for the next piece of an answer: the usual 60s, as the app sets no
        # limit.
        scgi_read_timeout 60s;

        # Slow uploads wait here and not in a worker. Leave it on: without it, nginx before 1.29.6
        # announces only the part of a body that it has read so far, and the rest is lost.
        scgi_request_buffering on;
        # Slow readers wait here, too. An answer that is to be passed on piece by piece says
        # `X-Accel-Buffering: no`, as the SDK's unbuffered() does.
        scgi_buffering on;
        # The head of an answer has to fit; nginx's 4 KB turn a few cookies more into a 502. The other
        # buffers must be no smaller.
        scgi_buffer_size 16k;
        scgi_buffers 8 16k;
        # nginx refuses bodies above 1 MB by itself. The app has limits of its own.
        client_max_body_size 64m;
    }

    # shop: /shop is at unix:/run/scgid/shop.sock; the same workers are at 127.0.0.1:4001
    location ~ "(?s)^/shop(?<scgi_path>/.*|)$" {
        include scgi_params;
        scgi_param SCRIPT_NAME "/shop";
        scgi_param PATH_INFO $scgi_path;
        scgi_param HTTP_X_REQUEST_START "t=${msec}";
        scgi_param HTTP_PROXY "" if_not_empty;

        scgi_pass unix:/run/scgid/shop.sock;
        scgi_connect_timeout 5s;
        # How long nginx waits for the next piece of an answer: request_timeout, and 5s so that scgid
        # is the first to end what hangs.
        scgi_read_timeout 25s;

        scgi_request_buffering on;
        scgi_buffering on;
        scgi_buffer_size 16k;
        scgi_buffers 8 16k;
        client_max_body_size 64m;
    }

    # pool: /pool is at unix:/run/scgid/pool.sock
    location ~ "(?s)^/pool(?<scgi_path>/.*|)$" {
        include scgi_params;
        scgi_param SCRIPT_NAME "/pool";
        scgi_param PATH_INFO $scgi_path;
        scgi_param HTTP_X_REQUEST_START "t=${msec}";
        scgi_param HTTP_PROXY "" if_not_empty;

        scgi_pass unix:/run/scgid/pool.sock;
        scgi_connect_timeout 5s;
        scgi_read_timeout 60s;

        scgi_request_buffering on;
        scgi_buffering on;
        scgi_buffer_size 16k;
        scgi_buffers 8 16k;
        client_max_body_size 64m;
    }

    # blog: / is at 127.0.0.1:4000
    location / {
        include scgi_params;
        scgi_param SCRIPT_NAME "";
        scgi_param PATH_INFO $document_uri;
        scgi_param HTTP_X_REQUEST_START "t=${msec}";
        scgi_param HTTP_PROXY "" if_not_empty;

        scgi_pass 127.0.0.1:4000;
        scgi_connect_timeout 5s;
        # How long nginx waits for the next piece of an answer: the usual 60s, as the app sets no
        # limit; queue_timeout; start_timeout, since a request may have to wait for the first worker.
        scgi_read_timeout 92s;

        scgi_request_buffering on;
        scgi_buffering on;
        scgi_buffer_size 16k;
        scgi_buffers 8 16k;
        client_max_body_size 64m;
    }
    "##);
}

#[test]
fn apache_is_told_proxies() {
    insta::assert_snapshot!(printed(&site(), "front apache"), @r##"
    # Made by `scgictl front apache`. Include it in a `<VirtualHost>`; then
    # `a2enmod proxy proxy_scgi headers setenvif`, `apachectl configtest` and `apachectl graceful`.
    # Apache's user must be able to write to the unix sockets: `listen: {address: …, group: www-data,
    # mode: "0660"}`. If a unix socket's queue is full, Apache waits for ever; an app that also
    # listens on TCP is asked there.
    # Apache passes slow clients on to workers piece by piece, and refuses uploads without a length
    # (chunked) with 411. With `AllowEncodedSlashes NoDecode` paths may have %2F.

    # Without it SCRIPT_NAME is the whole path. With it the two are right if nothing in the path is
    # percent-encoded, and workers of the SDK know what to do if something is. SetEnv would come too
    # late.
    SetEnvIf Request_URI . proxy-scgi-pathinfo

    # desk: /shop/v1.2 is at [::1]:4002
    # Waits for the next piece of an answer: the usual 60s, as the app sets no limit.
    # connectiontimeout: a socket that does not take a connection is overloaded. retry=0: an app that
    # was away is asked again at once, not after a minute. Further lines for the same address would
    # share these options, whatever they say.
    ProxyPass "/shop/v1.2" "scgi://[::1]:4002" connectiontimeout=5 timeout=60 retry=0
    <Location "/shop/v1.2">
        # When Apache had the request, so that workers know how long it has waited; in place of
        # whatever the client says.
        RequestHeader set X-Request-Start "%t"
        # The app sees `Authorization`, as it does behind other servers.
        CGIPassAuth On
    </Location>

    # shop: /shop is at 127.0.0.1:4001; the same workers are at unix:/run/scgid/shop.sock
    # Waits for the next piece of an answer: request_timeout, and 5s so that scgid is the first to end
    # what hangs.
    ProxyPass "/shop" "scgi://127.0.0.1:4001" connectiontimeout=5 timeout=25 retry=0
    <Location "/shop">
        RequestHeader set X-Request-Start "%t"
        CGIPassAuth On
    </Location>

    # pool: /pool is at unix:/run/scgid/pool.sock
    # Waits for the next piece of an answer: the usual 60s, as the app sets no limit.
    # Nobody looks up the name behind the bar, but Apache takes two sockets with the same name for one
    # and asks the wrong app.
    ProxyPass "/pool" "unix:/run/scgid/pool.sock|scgi://pool" connectiontimeout=5 timeout=60 retry=0
    <Location "/pool">
        RequestHeader set X-Request-Start "%t"
        CGIPassAuth On
    </Location>

    # blog: / is at 127.0.0.1:4000
    # Waits for the next piece of an answer: the usual 60s, as the app sets no limit; queue_timeout;
    # start_timeout, since a request may have to wait for the first worker.
    ProxyPass "/" "scgi://127.0.0.1:4000/" connectiontimeout=5 timeout=92 retry=0
    <Location "/">
        RequestHeader set X-Request-Start "%t"
        CGIPassAuth On
    </Location>
    "##);
}

#[test]
fn mod_scgi_is_told_mounts() {
    insta::assert_snapshot!(printed(&site(), "front apache-mod-scgi"), @r##"
    # Made by `scgictl front apache-mod-scgi`. Include it in a `<VirtualHost>` where mod_scgi is
    # loaded (`apxs -i -a -c mod_scgi.c`); `a2enmod headers`, then `apachectl graceful`.
    # mod_scgi passes slow clients on to workers piece by piece, refuses uploads without a length
    # (chunked) with 411, follows a `Location` that begins with `/` by itself, and tries for 15
    # seconds to connect before it says 500.

    # desk: /shop/v1.2 is at [::1]:4002
    # The first line that fits counts, so the longest mount comes first.
    SCGIMount "/shop/v1.2" [::1]:4002
    <Location "/shop/v1.2">
        # Waits for the next piece of an answer: the usual 60s, as the app sets no limit.
        SCGIServerTimeout 60
        # When Apache had the request, so that workers know how long it has waited; in place of
        # whatever the client says.
        RequestHeader set X-Request-Start "%t"
        # A client's `Proxy` header would become the variable by which programs find their proxy.
        RequestHeader unset Proxy
    </Location>

    # shop: /shop is at 127.0.0.1:4001; the same workers are at unix:/run/scgid/shop.sock
    SCGIMount "/shop" 127.0.0.1:4001
    <Location "/shop">
        # Waits for the next piece of an answer: request_timeout, and 5s so that scgid is the first to
        # end what hangs.
        SCGIServerTimeout 25
        RequestHeader set X-Request-Start "%t"
        RequestHeader unset Proxy
    </Location>

    # blog: / is at 127.0.0.1:4000
    SCGIMount "/" 127.0.0.1:4000
    <Location "/">
        # Waits for the next piece of an answer: the usual 60s, as the app sets no limit;
        # queue_timeout; start_timeout, since a request may have to wait for the first worker.
        SCGIServerTimeout 92
        RequestHeader set X-Request-Start "%t"
        RequestHeader unset Proxy
    </Location>

    # pool is left out: it listens on unix sockets alone, and mod_scgi speaks TCP alone; add
    # `127.0.0.1:PORT` to the `listen` of `pool`
    "##);
}

#[test]
#[expect(clippy::too_many_lines, reason = "most of them are the configuration")]
fn lighttpd_is_told_conditions() {
    insta::assert_snapshot!(printed(&site(), "front lighttpd"), @r##"
    # Made by `scgictl front lighttpd`. Include it in lighttpd.conf; then
    # `lighttpd -tt -f lighttpd.conf` and `systemctl reload lighttpd`.
    # lighttpd's user must be able to write to the unix sockets: `listen: {address: …, group:
    # www-data, mode: "0660"}`.
    # lighttpd has no variable for the time, so workers are not told how long a request has waited,
    # and refuse none for it.

    # mod_setenv takes headers away.
    server.modules += ( "mod_scgi", "mod_setenv" )

    # blog: / is at 127.0.0.1:4000
    # Slow uploads wait here and not in a worker.
    server.stream-request-body = 0
    # Answers are passed on as they come, and kept here for slow readers. With 0, a stream arrives
    # when it is complete, and one that stalls is lost; with 2, a slow reader holds a worker.
    server.stream-response-body = 1
    # When the request came is nothing a client may say.
    setenv.set-request-header = ( "X-Request-Start" => "" )
    scgi.server = ( "/" => ((
        "host" => "127.0.0.1",
        "port" => 4000,
        # The app knows its pages; without this, only those that are files are asked for.
        "check-local" => "disable",
        # At the top, lighttpd would take the first part of the path for SCRIPT_NAME.
        "fix-root-scriptname" => "enable",
        # A socket that does not take a connection is overloaded.
        "connect-timeout" => 5,
        # Waits for the next piece of an answer: the usual 60s, as the app sets no limit;
        # queue_timeout; start_timeout, since a request may have to wait for the first worker.
        "read-timeout" => 92,
    )) )

    # pool: /pool is at unix:/run/scgid/pool.sock
    # The condition, since scgi.server takes what only begins like the mount as well.
    $HTTP["url"] =~ "^/pool(/|$)" {
        server.stream-request-body = 0
        server.stream-response-body = 1
        setenv.set-request-header = ( "X-Request-Start" => "" )
        scgi.server = ( "/pool" => ((
            "socket" => "/run/scgid/pool.sock",
            "check-local" => "disable",
            "connect-timeout" => 5,
            # Waits for the next piece of an answer: the usual 60s, as the app sets no limit.
            "read-timeout" => 60,
        )) )
    }

    # shop: /shop is at unix:/run/scgid/shop.sock; the same workers are at 127.0.0.1:4001
    $HTTP["url"] =~ "^/shop(/|$)" {
        server.stream-request-body = 0
        server.stream-response-body = 1
        setenv.set-request-header = ( "X-Request-Start" => "" )
        scgi.server = ( "/shop" => ((
            "socket" => "/run/scgid/shop.sock",
            "check-local" => "disable",
            "connect-timeout" => 5,
            # Waits for the next piece of an answer: request_timeout, and 5s so that scgid is the
            # first to end what hangs.
            "read-timeout" => 25,
        )) )
    }

    # desk: /shop/v1.2 is at [::1]:4002
    $HTTP["url"] =~ "^/shop/v1\.2(/|$)" {
        server.stream-request-body = 0
        server.stream-response-body = 1
        setenv.set-request-header = ( "X-Request-Start" => "" )
        scgi.server = ( "/shop/v1.2" => ((
            "host" => "::1",
            "port" => 4002,
            "check-local" => "disable",
            "connect-timeout" => 5,
            "read-timeout" => 60,
        )) )
    }
    "##);
}

#[test]
fn one_app_is_printed_alone_where_it_suits_the_server_best() {
    let fake = site();
    let line = |server: &str, start: &str| {
        let text = printed(&fake, &format!("front {server} shop"));
        let found: Vec<_> = text.lines().filter(|line| line.trim().starts_with(start)).collect();
        assert_eq!(found.len(), 1, "{text}");
        found[0].trim().to_owned()
    };

    assert_eq!(line("nginx", "scgi_pass"), "scgi_pass unix:/run/scgid/shop.sock;");
    assert_eq!(line("lighttpd", "\"socket\""), "\"socket\" => \"/run/scgid/shop.sock\",");
    assert_eq!(line("apache-mod-scgi", "SCGIMount"), "SCGIMount \"/shop\" 127.0.0.1:4001");
    assert_eq!(
        line("apache", "ProxyPass"),
        "ProxyPass \"/shop\" \"scgi://127.0.0.1:4001\" connectiontimeout=5 timeout=25 retry=0"
    );
}

#[test]
fn what_cannot_be_reached_is_left_out_and_said_in_both_places() {
    let fake = daemon(&[
        app("blog", &["127.0.0.1:4000"], &[]),
        app("chat", &["unix:/run/chat.sock"], &[("mount", "/chat")]),
        app("wiki", &[], &[("mount", "/wiki")]),
        app("mail", &["systemd:mail"], &[("mount", "/mail")]),
        app("shop", &["127.0.0.1:4001"], &[]),
        app("odd", &["127.0.0.1:4002"], &[("mount", "/$odd")]),
    ]);

    let ended = fake.scgictl("front apache-mod-scgi").ended();

    assert_eq!(ended.code, Some(0));
    insta::assert_snapshot!(ended.err, @r##"
    chat is left out: it listens on unix sockets alone, and mod_scgi speaks TCP alone; add `127.0.0.1:PORT` to the `listen` of `chat`
    wiki is left out: it listens nowhere; `scgictl status wiki` says how it is
    mail is left out: nobody has given it `systemd:mail`; start the socket unit, then the daemon
    shop is left out: `blog` is at `/` as well; give one of them a `mount`, or print `shop` alone for a server of its own
    odd is left out: its mount `/$odd` has a character that means something else to the server; letters, digits and `/._-+,@=~` mean themselves everywhere
    "##);
    let comments: Vec<_> = ended.out.lines().filter(|line| line.contains("is left out")).collect();
    assert_eq!(comments.len(), 5, "{}", ended.out);
    assert_eq!(ended.out.matches("SCGIMount").count(), 1, "{}", ended.out);
}

#[test]
fn nothing_that_can_be_reached_is_a_failure() {
    let fake = daemon(&[
        app("chat", &["unix:/run/chat.sock"], &[]),
        app("quoted", &["unix:/run/a\"b.sock"], &[]),
    ]);
    let told = |args: &str| {
        let ended = fake.scgictl(args).ended();
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{args}");
        ended.err
    };

    insta::assert_snapshot!(told("front apache-mod-scgi chat"), @r##"
    error: app `chat` is out of reach of apache-mod-scgi: it listens on unix sockets alone, and mod_scgi speaks TCP alone
      help: add `127.0.0.1:PORT` to the `listen` of `chat`
    "##);
    insta::assert_snapshot!(told("front nginx quoted"), @r##"
    error: app `quoted` is out of reach of nginx: the path `/run/a"b.sock` has a character that means something else to the server
      help: letters, digits and `/._-+,@=~` mean themselves everywhere
    "##);
}

#[test]
fn an_unknown_app_or_server_is_refused() {
    let fake = site();

    let app = fake.scgictl("front nginx blgo").ended();
    let server = fake.scgictl("front iis").ended();

    assert_eq!((app.code, server.code), (Some(4), Some(2)));
    assert!(app.err.contains("did you mean `blog`?"), "{}", app.err);
    assert!(server.err.contains("apache-mod-scgi"), "{}", server.err);
}

#[test]
fn programs_are_told_what_the_configuration_says() {
    let out = printed(&site(), "front lighttpd shop -o json");

    let json: serde_json::Value = serde_json::from_str(&out).unwrap();

    assert_eq!(json["front_end"], "lighttpd");
    assert_eq!(json["configuration"], printed(&site(), "front lighttpd shop"));
    insta::assert_snapshot!(json["apps"], @r##"[{"address":"unix:/run/scgid/shop.sock","app":"shop","mount":"/shop","timeout_seconds":25}]"##);
    assert_eq!(printed(&site(), "front nginx -o name"), "desk\nshop\npool\nblog\n");
}
