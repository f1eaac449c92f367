//! The JSON Schema of what is read, piece by piece.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value as Json};

/// The schema of a mapping with these properties and no others.
pub(super) fn object(about: &str, properties: &Map<String, Json>) -> Schema {
    json_schema!({
        "type": "object",
        "description": about.trim(),
        "properties": properties,
        "additionalProperties": false,
    })
}

/// The schema of one property, with what its doc comment says.
pub(super) fn property<T: JsonSchema>(about: &str, generator: &mut SchemaGenerator) -> Json {
    let mut schema = generator.subschema_for::<T>();
    schema.insert("description".to_owned(), about.trim().into());
    schema.to_value()
}

/// Schemas of which one must hold.
pub(super) fn any_of(schemas: &[Schema]) -> Schema {
    json_schema!({ "anyOf": schemas })
}

/// The schema of a list.
pub(super) fn list_of(item: &Schema) -> Schema {
    json_schema!({ "type": "array", "items": item })
}

/// The schema of a list with something in it.
pub(super) fn some_of(item: &Schema) -> Schema {
    json_schema!({ "type": "array", "items": item, "minItems": 1 })
}

/// Gives a type its JSON Schema, written out wherever it is used.
macro_rules! described {
    ($type:ty $(where [$($generics:tt)+])?, $generator:pat => $schema:expr) => {
        impl$(<$($generics)+>)? schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema($generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $schema
            }
        }
    };
}
pub(super) use described;
