//! The gateway in front of a real SDK app, and of backends that are broken in every way.

use std::io::{Read, Write};
use std::net::TcpListener as StdListener;
use std::thread;

use scgi_worker::testing::TestApp;
use scgi_worker::{App, Response as AppResponse};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::routes;
use super::*;
