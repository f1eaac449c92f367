//! A configuration that somebody proposes: found, read, and sent to where it is planned or applied.

use std::io::Read;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::cli::Proposed;
use crate::client::{Client, Configuration};
use crate::failure::Failure;

/// What a configuration is called that came through standard input.
const STANDARD_INPUT: &str = "standard input";

/// Posts a configuration to `path`, or asks the daemon to read its own file.
pub(super) async fn post<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    proposed: Proposed,
) -> Result<T, Failure> {
    let Proposed { file, if_match } = proposed;
    let configuration = file.as_deref().map(read).transpose()?;
    Ok(client.propose(path, configuration, if_match.as_deref()).await?)
}

fn read(file: &Path) -> Result<Configuration, Failure> {
    if file == Path::new("-") {
        let mut text = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut text);
        read.map_err(|source| Failure::Input { from: STANDARD_INPUT.to_owned(), source })?;
        return Ok(Configuration { name: STANDARD_INPUT.to_owned(), text });
    }
    let failed = |source| Failure::Input { from: file.display().to_string(), source };
    let text = std::fs::read(file).map_err(failed)?;
    // The daemon is somewhere else.
    let name = std::path::absolute(file).map_err(failed)?.display().to_string();
    Ok(Configuration { name, text })
}
