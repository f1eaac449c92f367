//! A site as text: what is meant, written as it could have been.

use std::time::Duration;

use crate::spec::Site;

/// The site as YAML.
pub fn show(_site: &Site) -> String {
    String::new()
}

/// A duration as it is written in a configuration.
pub(super) fn duration(span: Duration) -> String {
    humantime::format_duration(span).to_string().replace(' ', "")
}
