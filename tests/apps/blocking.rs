//! A program that has never heard of scgid: it knows that descriptor 0 is a listening socket and
//! that requests are SCGI, and blocks in accept(2). Nothing but the standard library.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};

fn main() -> io::Result<()> {
    let listener = UnixListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    listener.set_nonblocking(false)?;
    loop {
        let (connection, _) = listener.accept()?;
        // One bad client must not end the program.
        let _ = answer(&connection);
    }
}

fn answer(connection: &UnixStream) -> io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let mut length = Vec::new();
    reader.read_until(b':', &mut length)?;
    length.pop();
    let length: usize = String::from_utf8_lossy(&length).parse().map_err(io::Error::other)?;
    let mut block = vec![0; length + 1];
    reader.read_exact(&mut block)?;
    let strings: Vec<_> = block.split(|byte| *byte == 0).collect();
    let path = strings.chunks(2).find(|pair| pair[0] == b"PATH_INFO").map(|pair| pair[1]);
    let path = String::from_utf8_lossy(path.unwrap_or(b"/")).into_owned();
    let mut connection = connection;
    write!(
        connection,
        "Status: 200 OK\r\nContent-Type: text/plain\r\n\r\nblocking {path} {}\n",
        std::process::id()
    )
}
