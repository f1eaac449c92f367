//! `request`: sends one SCGI request as a front end would, and prints the answer.

use std::io::Read;
use std::time::Duration;

use scgi_protocol::address::Address;
use scgi_protocol::scgi::RequestHead;

use super::Context;
use super::exchange::{self, Answer, AnswerError};
use crate::cli::Request;
use crate::console::{Console, Loudness};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::parse::Receiver;
use crate::render::text;

/// The variables of a request, in the order in which they are sent.
type Variables = Vec<(String, Vec<u8>)>;

/// Sends the request and prints the answer; succeeds if its status is below 400.
pub(super) async fn run(context: Context<'_>, request: Request) -> Result<Exit, Failure> {
    let address = address(&context, &request.to).await?;
    let body = body(request.data.as_deref())?;
    let variables = variables(&request, body.is_some());
    let body = body.unwrap_or_default();
    let mut message = encode(&variables, body.len())?;
    message.extend_from_slice(&body);
    if context.console.loudness() == Loudness::Verbose {
        show(context.console, &address, &variables);
    }
    let console = &mut *context.console;
    let mut answer = Answer::default();
    let exchanged = exchange::exchange(&address, &message, request.timeout, |bytes| {
        answer.feed(bytes);
        match answer.fault() {
            Some(why) if !request.raw => Err(AnswerError::NotAnAnswer(why.to_owned())),
            _ => print(console, &request, &mut answer, bytes).map_err(AnswerError::Print),
        }
    });
    exchanged.await.map_err(|error| failure(error, &address, request.timeout))?;
    let not_an_answer = |why| failure(AnswerError::NotAnAnswer(why), &address, request.timeout);
    let status = answer.end().map_err(not_an_answer)?;
    Ok(if status < 400 { Exit::Done } else { Exit::Failed })
}

/// Prints what of the answer is to be printed and has not been.
fn print(
    console: &mut Console,
    request: &Request,
    answer: &mut Answer,
    bytes: &[u8],
) -> Result<(), Failure> {
    let (head, body) = (answer.take_head(), answer.take_body());
    if request.raw {
        return console.data(bytes);
    }
    if let Some(head) = head.filter(|_| request.include) {
        console.line(&text::one_line(&format!("Status: {} {}", head.status(), head.reason())))?;
        for (name, value) in head.headers() {
            let value = String::from_utf8_lossy(value);
            console.line(&text::one_line(&format!("{name}: {value}")))?;
        }
        console.line("")?;
    }
    console.data(body)
}

/// Where the receiver listens; of an app, the first place.
async fn address(context: &Context<'_>, to: &Receiver) -> Result<Address, Failure> {
    match to {
        Receiver::Address(address) => Ok(address.clone()),
        Receiver::App(name) => {
            let apps = context.apps(std::slice::from_ref(name)).await?;
            let listen = apps.iter().flat_map(|app| &app.listen);
            let first = listen.into_iter().find_map(|address| address.parse().ok());
            first.ok_or_else(|| Failure::ListensNowhere { app: name.clone() })
        }
    }
}

/// The body: the text itself, the contents of `@FILE`, or for `-` of standard input.
fn body(data: Option<&str>) -> Result<Option<Vec<u8>>, Failure> {
    let Some(data) = data else { return Ok(None) };
    let read = match data.strip_prefix('@') {
        None if data == "-" => {
            let mut bytes = Vec::new();
            std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
        }
        None => Ok(data.as_bytes().to_vec()),
        Some(file) => std::fs::read(file),
    };
    read.map(Some).map_err(|source| Failure::Input { from: data.to_owned(), source })
}

/// The variables a front end would send, with those of the command line in place of theirs.
fn variables(request: &Request, has_body: bool) -> Variables {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let method = request.method.as_deref().unwrap_or(if has_body { "POST" } else { "GET" });
    let agent = concat!("scgictl/", env!("CARGO_PKG_VERSION"));
    let mut variables: Variables = vec![
        ("REQUEST_METHOD".to_owned(), method.into()),
        ("REQUEST_URI".to_owned(), request.path.as_str().into()),
        ("SCRIPT_NAME".to_owned(), Vec::new()),
        ("PATH_INFO".to_owned(), percent_decoded(path)),
        ("QUERY_STRING".to_owned(), query.into()),
        ("SERVER_PROTOCOL".to_owned(), "HTTP/1.1".into()),
        ("SERVER_NAME".to_owned(), "localhost".into()),
        ("SERVER_PORT".to_owned(), "80".into()),
        ("REMOTE_ADDR".to_owned(), "127.0.0.1".into()),
        ("HTTP_HOST".to_owned(), "localhost".into()),
        ("HTTP_USER_AGENT".to_owned(), agent.into()),
    ];
    if has_body {
        variables.push(("CONTENT_TYPE".to_owned(), "application/x-www-form-urlencoded".into()));
    }
    let headers = request.headers.iter().map(|(name, value)| (of_header(name), value));
    let said = request.variables.iter().map(|(name, value)| (name.clone(), value));
    for (name, value) in headers.chain(said) {
        variables.retain(|(other, _)| *other != name);
        variables.push((name, value.clone().into_bytes()));
    }
    variables
}

/// The variable in which a front end sends a header.
fn of_header(name: &str) -> String {
    let name = name.to_ascii_uppercase().replace('-', "_");
    if name == "CONTENT_TYPE" { name } else { format!("HTTP_{name}") }
}

/// `text` with `%41` and the like replaced by what they mean; what means nothing stays.
fn percent_decoded(text: &str) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail
            .first_chunk::<2>()
            .filter(|_| *first == b'%')
            .and_then(|hex| u8::from_str_radix(str::from_utf8(hex).ok()?, 16).ok());
        decoded.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    decoded
}

fn encode(variables: &Variables, body_bytes: usize) -> Result<Vec<u8>, Failure> {
    let head = RequestHead::new(body_bytes as u64);
    let head = variables.iter().fold(head, |head, (name, value)| head.variable(name, value));
    head.encode().map_err(Failure::Variable)
}

fn show(console: &mut Console, address: &Address, variables: &Variables) {
    console.say(&format!("to {address}"));
    for (name, value) in variables {
        let value = String::from_utf8_lossy(value);
        console.say(&text::one_line(&format!("> {name}={value}")));
    }
}

fn failure(error: AnswerError, address: &Address, within: Duration) -> Failure {
    let address = address.to_string();
    match error {
        AnswerError::Connect(source) => Failure::Connect { address, source },
        AnswerError::Read(source) => Failure::Exchange { address, source },
        AnswerError::Silence => Failure::NoAnswer { address, within: text::took(within) },
        AnswerError::NotAnAnswer(why) => Failure::NotAnAnswer { address, why },
        AnswerError::Print(failure) => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_decoded_as_front_ends_do_and_nonsense_is_kept() {
        assert_eq!(percent_decoded("/a%20b%2Fc"), b"/a b/c");
        assert_eq!(percent_decoded("/100%/%zz%4"), b"/100%/%zz%4");
        assert_eq!(percent_decoded("/%ff"), b"/\xff");
    }

    #[test]
    fn a_header_becomes_the_variable_a_front_end_makes_of_it() {
        assert_eq!(of_header("X-Request-Id"), "HTTP_X_REQUEST_ID");
        assert_eq!(of_header("content-type"), "CONTENT_TYPE");
    }
}
