//! Schemas of bodies and answers, as JSON Schema has them.

use serde_json::{Map, Value, json};

use crate::limits::{NUMBER_MAX, PAGE_ROWS_MAX};

/// An object that has all of these, and no others.
pub(crate) fn object(fields: &[(&str, Value)]) -> Value {
    let required: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    let mut object = partial(fields);
    object["required"] = json!(required);
    object
}

/// An object that may have these, and no others.
pub(crate) fn partial(fields: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> = fields
        .iter()
        .map(|(name, schema)| ((*name).to_owned(), schema.clone()))
        .collect();
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

/// A list.
pub(crate) fn list(of: Value) -> Value {
    json!({"type": "array", "items": of})
}

/// A text.
pub(crate) fn text() -> Value {
    json!({"type": "string"})
}

/// A text or nothing.
pub(crate) fn text_or_null() -> Value {
    json!({"type": ["string", "null"]})
}

/// A text of 1 to `max` characters.
pub(crate) fn name(max: usize) -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": max})
}

/// One of these texts.
pub(crate) fn one_of(values: &[&str]) -> Value {
    json!({"type": "string", "enum": values})
}

/// A whole number.
pub(crate) fn integer() -> Value {
    json!({"type": "integer"})
}

/// A whole number or nothing.
pub(crate) fn integer_or_null() -> Value {
    json!({"type": ["integer", "null"]})
}

/// Yes or no.
pub(crate) fn boolean() -> Value {
    json!({"type": "boolean"})
}

/// A number of rows.
pub(crate) fn rows() -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": PAGE_ROWS_MAX})
}

/// A number of the server's own, as of a row to go on from.
pub(crate) fn number() -> Value {
    json!({"type": "integer", "minimum": 0, "maximum": NUMBER_MAX})
}

/// What happened, in a sentence: the answer of operations that only do something.
pub(crate) fn done() -> Value {
    object(&[("done", text())])
}
