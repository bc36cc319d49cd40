//! Objects as YAML, for people and kubectl.

use crate::cli::error::CliError;
use crate::object::Object;

/// Returns one document for each object, below a comment with the path of its file; empty for none.
pub fn documents<'a>(objects: impl Iterator<Item = (&'a str, &'a Object)>) -> Result<String, CliError> {
    let mut text = String::new();
    for (path, object) in objects {
        text.push_str(&format!("---\n# {path}\n{}", document(object)?));
    }
    Ok(text)
}

/// Returns one object, with a line end.
pub fn document(object: &Object) -> Result<String, CliError> {
    let mut text = serde_saphyr::to_string(object)
        .map_err(|error| CliError::failed("cannot write an object as YAML").caused_by(&error))?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}
