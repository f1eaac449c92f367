//! The JSON Schema of a configuration, for editors: made of the shapes that also read it.

use schemars::generate::SchemaSettings;

use super::raw::Site;

/// The JSON Schema (draft 7, which editors' YAML servers know best) of a configuration file and,
/// since that has `apps` too, of an included one.
pub fn schema() -> serde_json::Value {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<Site>();
    schema.insert("title".to_owned(), "scgid".into());
    schema.to_value()
}
