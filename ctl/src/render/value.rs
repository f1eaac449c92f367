//! Values as JSON and YAML, for programs. What they look like is a promise.

use serde::Serialize;

use crate::failure::Failure;

/// A whole document of JSON, indented.
pub(crate) fn json(value: &impl Serialize) -> Result<String, Failure> {
    Ok(format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// A document of JSON in one line, where several follow each other.
pub(crate) fn json_line(value: &impl Serialize) -> Result<String, Failure> {
    Ok(format!("{}\n", serde_json::to_string(value)?))
}

/// A document of YAML, begun with `---` so that several may follow each other.
pub(crate) fn yaml(value: &impl Serialize) -> Result<String, Failure> {
    Ok(format!("---\n{}", serde_yaml::to_string(value)?))
}
