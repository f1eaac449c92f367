//! `request`: what an app gets, and what is made of its answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread::{self, JoinHandle};

use crate::fake::{Fake, json};
use crate::run::{Ended, Run};
use crate::samples;

/// An app on loopback that answers one request with `answer`: where it is, and what it got.
fn app(answer: &'static str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let got = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut length = Vec::new();
        reader.read_until(b':', &mut length).unwrap();
        let digits = str::from_utf8(&length).unwrap().trim_end_matches(':');
        let mut head = vec![0; digits.parse::<usize>().unwrap() + 1];
        reader.read_exact(&mut head).unwrap();
        let head = String::from_utf8(head).unwrap();
        let strings: Vec<&str> = head.trim_end_matches("\0,").split('\0').collect();
        let mut body = vec![0; strings[1].parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        let variables = strings.chunks(2).map(|pair| format!("{}\n", pair.join("=")));
        variables.collect::<String>() + str::from_utf8(&body).unwrap()
    });
    (address, got)
}

const HELLO: &str = "Status: 200 OK\r\nContent-Type: text/plain\r\n\r\nhello\n";

fn request(answer: &'static str, options: &str) -> (Ended, String) {
    let (address, got) = app(answer);
    let ended = Run::new(&format!("request {address} {options}")).ended();
    (ended, got.join().unwrap())
}

#[test]
fn an_app_gets_what_a_front_end_would_send() {
    let (ended, got) = request(HELLO, "/a%20b?x=1");

    assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (Some(0), "hello\n", ""));
    insta::assert_snapshot!(got, @r"
    CONTENT_LENGTH=0
    SCGI=1
    REQUEST_METHOD=GET
    REQUEST_URI=/a%20b?x=1
    SCRIPT_NAME=
    PATH_INFO=/a b
    QUERY_STRING=x=1
    SERVER_PROTOCOL=HTTP/1.1
    SERVER_NAME=localhost
    SERVER_PORT=80
    REMOTE_ADDR=127.0.0.1
    HTTP_HOST=localhost
    HTTP_USER_AGENT=scgictl/0.1.0
    ");
}

#[test]
fn body_headers_and_variables_are_those_of_the_command_line() {
    let (address, got) = app(HELLO);

    let ended = Run::new(&format!("request {address} / -d - --var SERVER_NAME=x.org"))
        .arg("-H")
        .arg("X-Token: a b")
        .arg("-H")
        .arg("Content-Type: text/plain")
        .input("name=value")
        .ended();

    assert_eq!(ended.code, Some(0));
    insta::assert_snapshot!(got.join().unwrap(), @r"
    CONTENT_LENGTH=10
    SCGI=1
    REQUEST_METHOD=POST
    REQUEST_URI=/
    SCRIPT_NAME=
    PATH_INFO=/
    QUERY_STRING=
    SERVER_PROTOCOL=HTTP/1.1
    SERVER_PORT=80
    REMOTE_ADDR=127.0.0.1
    HTTP_HOST=localhost
    HTTP_USER_AGENT=scgictl/0.1.0
    HTTP_X_TOKEN=a b
    CONTENT_TYPE=text/plain
    SERVER_NAME=x.org
    name=value
    ");
}

#[test]
fn include_prints_the_head_and_the_status_decides_the_exit_code() {
    let (ended, _) = request("Content-Length: 3\nStatus: 404\n\nno\n", "-i");

    assert_eq!((ended.code, ended.err.as_str()), (Some(1), ""));
    insta::assert_snapshot!(ended.out, @r"
    Status: 404 Not Found
    Content-Length: 3

    no
    ");
}

#[test]
fn an_answer_that_is_none_is_explained() {
    let words = |answer: &'static str| {
        let (address, got) = app(answer);
        let ended = Run::new("request").arg(&address).ended();
        got.join().unwrap();
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
        ended.err.replace(&address, "ADDRESS")
    };

    insta::assert_snapshot!(words("hello world\n"), @r"
    error: what `ADDRESS` sent is not an answer: the response head holds the line `hello world`, which has no colon
      help: `--raw` prints what it sends; does it speak SCGI?
    ");
    insta::assert_snapshot!(words(""), @r"
    error: what `ADDRESS` sent is not an answer: it closed the connection without a word
      help: `--raw` prints what it sends; does it speak SCGI?
    ");
    insta::assert_snapshot!(words("Status: 200 OK\r\n"), @r"
    error: what `ADDRESS` sent is not an answer: it closed the connection after 16 bytes of a head
      help: `--raw` prints what it sends; does it speak SCGI?
    ");
}

#[test]
fn raw_prints_what_comes_even_if_it_is_no_answer() {
    let (ended, _) = request("hello world\n", "--raw");

    assert_eq!((ended.code, ended.out.as_str()), (Some(1), "hello world\n"));
}

#[test]
fn the_name_of_an_app_stands_for_where_it_listens() {
    let (address, got) = app(HELLO);
    let mut blog = samples::serving("blog");
    blog.listen = vec![address];

    let ended = Fake::new().on("GET /v1/apps", json(&[blog])).scgictl("request blog").ended();

    assert_eq!((ended.code, ended.out.as_str()), (Some(0), "hello\n"));
    got.join().unwrap();
}

#[test]
fn an_app_that_says_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();

    let ended = Run::new(&format!("request {address} --timeout 50ms")).ended();

    assert_eq!(ended.code, Some(124));
    insta::assert_snapshot!(ended.err.replace(&address, "ADDRESS"), @"error: `ADDRESS` did not answer within 50ms");
}

#[test]
fn nobody_at_an_address_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none.sock");

    let ended = Run::new(&format!("request unix:{}", path.display())).ended();

    assert_eq!(ended.code, Some(1));
    insta::assert_snapshot!(ended.err.replace(dir.path().to_str().unwrap(), "DIR"), @r"
    error: cannot connect to `unix:DIR/none.sock`: No such file or directory (os error 2)
      help: `scgictl ps` tells where apps listen
    ");
}

#[test]
fn a_variable_that_cannot_be_sent_is_wrong_usage() {
    let ended = Run::new("request 127.0.0.1:1 --var CONTENT_LENGTH=9").ended();

    assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""));
    insta::assert_snapshot!(ended.err, @"error: cannot send the variable `CONTENT_LENGTH` twice");
}
