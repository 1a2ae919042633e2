//! Secrets: in a file or an environment variable, never in the configuration itself.

use secrecy::SecretString;

use super::Resolver;
use crate::config::schema;

impl Resolver<'_> {
    /// Reads a secret of the section or provider `name`. No message repeats any of it.
    pub(super) fn secret(
        &mut self,
        name: &str,
        pointer: &str,
        written: &schema::Secret,
    ) -> Option<SecretString> {
        let read = match (&written.file, &written.env) {
            (Some(file), None) => self
                .inputs
                .text(&self.path(file))
                .map_err(|error| format!("the file {file} cannot be read: {error}")),
            (None, Some(variable)) => {
                let read = self.inputs.variable(variable);
                read.map_err(|_unset_or_not_text| {
                    format!("the environment variable {variable} is not set, or is not UTF-8")
                })
            }
            (None, None) | (Some(_), Some(_)) => {
                Err("write exactly one of 'file' and 'env'".to_owned())
            }
        };
        let one_line = |text: String| {
            let text = text.strip_suffix('\n').unwrap_or(&text);
            text.strip_suffix('\r').unwrap_or(text).to_owned()
        };
        let read = read.map(one_line).and_then(|text| match text.as_str() {
            "" => Err("it is empty".to_owned()),
            _ => Ok(text),
        });
        match read {
            Ok(text) => Some(text.into()),
            Err(why) => {
                let member = pointer.rsplit('/').next().unwrap_or_default();
                self.problem(pointer, format!("{name}: '{member}': {why}"));
                None
            }
        }
    }
}
