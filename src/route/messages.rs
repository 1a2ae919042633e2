//! What the operator says to those who are denied, instead of our own sentences.

use std::collections::BTreeMap;

/// Longest message, in characters.
const LONGEST: usize = 500;

/// Public word of a denial → message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Messages(BTreeMap<String, String>);

/// Why a text cannot be a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Nothing, or too much.
    #[error("must have 1 to {LONGEST} characters")]
    Length,
    /// Some client would show it on a terminal.
    #[error("must be one line of text, without control characters")]
    Control,
}

impl Messages {
    /// Adds a message for the public word of a denial.
    pub fn insert(&mut self, code: &str, message: &str) -> Result<(), MessageError> {
        if !(1..=LONGEST).contains(&message.chars().count()) {
            return Err(MessageError::Length);
        }
        if message.chars().any(char::is_control) {
            return Err(MessageError::Control);
        }
        self.0.insert(code.to_owned(), message.to_owned());
        Ok(())
    }

    /// The message for this word, if there is one.
    pub fn get(&self, code: &str) -> Option<&str> {
        self.0.get(code).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_of_bounded_length() {
        let mut messages = Messages::default();
        assert_eq!(messages.insert("a", ""), Err(MessageError::Length));
        assert_eq!(
            messages.insert("a", &"\u{e4}".repeat(501)),
            Err(MessageError::Length)
        );
        for control in ["a\nb", "a\u{1b}[31m", "a\0", "a\u{85}"] {
            assert_eq!(messages.insert("a", control), Err(MessageError::Control));
        }
        assert_eq!(messages, Messages::default());
        assert_eq!(messages.insert("a", &"\u{e4}".repeat(500)), Ok(()));
        assert_eq!(messages.insert("a", "Ask \"IT\" for a token."), Ok(()));
        assert_eq!(messages.get("a"), Some("Ask \"IT\" for a token."));
        assert_eq!(messages.get("b"), None);
    }
}
