//! One request passed on to an app, and its answer read back, both as they come.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Bytes, Frame};
use scgi_protocol::address::Address;
use scgi_protocol::scgi::ResponseHead;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{Sleep, timeout};

use super::failure::Failure;

/// Longest head of an answer, in bytes.
const HEAD_MAX_BYTES: usize = 64 * 1024;

/// How much of an answer is read at a time, in bytes.
const PIECE_BYTES: usize = 16 * 1024;

/// The body of a request, as it comes from a client.
pub(super) type Upload = BoxBody<Bytes, hyper::Error>;

/// How long the gateway waits for an app.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// To take a connection.
    pub(super) connect: Duration,
    /// To begin an answer, once it has the request; and to take any of the request.
    pub(super) answer: Duration,
    /// To go on with an answer; and for a client to go on with a request.
    pub(super) piece: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(60),
            piece: Duration::from_secs(300),
        }
    }
}

/// A connection to an app, by whatever way.
trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<C: AsyncRead + AsyncWrite + Send + Unpin> Connection for C {}

/// An answer of which the head has arrived.
#[derive(Debug)]
pub(super) struct Answer {
    /// Its head.
    pub(super) head: ResponseHead,
    /// The rest.
    pub(super) body: Rest,
}

/// Sends a request and waits for the head of its answer.
///
/// The body is sent beside: an app may answer before it has read everything.
///
/// # Errors
///
/// A [`Failure`], if there is no answer.
pub(super) async fn exchange(
    address: &Address,
    head: Vec<u8>,
    body: Upload,
    patience: Patience,
) -> Result<Answer, Failure> {
    let connection = timeout(patience.connect, connect(address));
    let connection = connection.await.map_err(|_| Failure::SlowConnect)?;
    let connection = connection.map_err(|source| Failure::connecting(address, source))?;
    let (from_app, to_app) = tokio::io::split(connection);
    let progress = Arc::new(AtomicBool::new(false));
    let mut sending = JoinSet::new();
    sending.spawn(send(to_app, head, body, Arc::clone(&progress), patience));
    receive(from_app, sending, &progress, patience).await
}

async fn connect(address: &Address) -> io::Result<Box<dyn Connection>> {
    Ok(match address {
        Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
        Address::Tcp(address) => {
            let connection = TcpStream::connect(address).await?;
            connection.set_nodelay(true)?;
            Box::new(connection)
        }
    })
}

/// Sends head and body. An app that reads no further is its own business, its answer may come yet;
/// a client that does not go on is told to the app by the end of the stream.
async fn send(
    mut to_app: WriteHalf<Box<dyn Connection>>,
    head: Vec<u8>,
    mut body: Upload,
    progress: Arc<AtomicBool>,
    patience: Patience,
) {
    let mut piece = Bytes::from(head);
    loop {
        match timeout(patience.answer, to_app.write_all(&piece)).await {
            Ok(Ok(())) => progress.store(true, Ordering::Relaxed),
            Ok(Err(_)) | Err(_) => return,
        }
        piece = match timeout(patience.piece, body.frame()).await {
            Ok(None) => return,
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Ok(Some(Err(_))) | Err(_) => {
                // The app counts a body that ends too early as a client that left.
                let _ = to_app.shutdown().await;
                return;
            }
        };
    }
}

/// Reads until the head of the answer is complete.
async fn receive(
    mut from_app: ReadHalf<Box<dyn Connection>>,
    sending: JoinSet<()>,
    progress: &AtomicBool,
    patience: Patience,
) -> Result<Answer, Failure> {
    let mut read = Vec::with_capacity(PIECE_BYTES);
    loop {
        let decoded = ResponseHead::decode(&read, HEAD_MAX_BYTES).map_err(Failure::Garbage)?;
        if let Some((head, length)) = decoded {
            read.drain(..length);
            let body = Rest {
                from_app,
                _sending: sending,
                begun: Bytes::from(read),
                idle: Box::pin(tokio::time::sleep(patience.piece)),
                patience: patience.piece,
            };
            return Ok(Answer { head, body });
        }
        match timeout(patience.answer, from_app.read_buf(&mut read)).await {
            Ok(Ok(0)) if read.is_empty() => return Err(Failure::Closed),
            Ok(Ok(0)) => return Err(Failure::Cut),
            Ok(Ok(_)) => {}
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => {
                return Err(Failure::Closed);
            }
            Ok(Err(error)) => return Err(Failure::Broken(error)),
            // The app is still busy taking the request in.
            Err(_) if progress.swap(false, Ordering::Relaxed) => {}
            Err(_) => return Err(Failure::Silent),
        }
    }
}

/// The body of an answer, read as the client takes it.
pub(super) struct Rest {
    from_app: ReadHalf<Box<dyn Connection>>,
    /// What still sends the request; ends with this.
    _sending: JoinSet<()>,
    /// What came together with the head.
    begun: Bytes,
    idle: Pin<Box<Sleep>>,
    patience: Duration,
}

impl Body for Rest {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if !self.begun.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.begun)))));
        }
        let mut piece = vec![0; PIECE_BYTES];
        let mut into = ReadBuf::new(&mut piece);
        match Pin::new(&mut self.from_app).poll_read(context, &mut into) {
            Poll::Ready(Ok(())) => {
                let length = into.filled().len();
                let later = tokio::time::Instant::now() + self.patience;
                self.idle.as_mut().reset(later);
                piece.truncate(length);
                Poll::Ready((length > 0).then(|| Ok(Frame::data(Bytes::from(piece)))))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Some(Err(error))),
            Poll::Pending => {
                let silent = |()| Some(Err(io::ErrorKind::TimedOut.into()));
                self.idle.as_mut().poll(context).map(silent)
            }
        }
    }
}

impl std::fmt::Debug for Rest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { begun, patience, .. } = self;
        f.debug_struct("Rest")
            .field("begun", &begun.len())
            .field("patience", patience)
            .finish_non_exhaustive()
    }
}
