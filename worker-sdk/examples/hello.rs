//! A whole app.
//!
//! ```text
//! $ cargo run -p scgi-worker --example hello
//! scgi-worker: listening on 127.0.0.1:4000; end with Ctrl-C
//! $ scgictl request 127.0.0.1:4000 /greet/ada
//! hello ada
//! ```

use scgi_worker::{App, Exit, Request, Response};

fn main() -> Exit {
    App::new().get("/", |_| "hello\n").get("/greet/:name", greet).run()
}

fn greet(request: &mut Request<'_>) -> Response {
    let name = request.param("name").unwrap_or("world");
    Response::text(format!("hello {name}\n"))
}
