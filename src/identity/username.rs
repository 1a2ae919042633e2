//! The value of `X-Remote-User`, and the policy that makes it safe.
//!
//! Authenticators behind us split the header at `@`, `,` or `;`, trim it and change its case. A name
//! that any of them would read as another name must not exist.

use std::{collections::BTreeSet, fmt};

/// Longest user name, in bytes.
const MAX_BYTES: usize = 255;

/// Names that mean "nobody" to some program on the way.
const NOT_A_NAME: [&str; 6] = ["null", "undefined", "none", "nil", "anonymous", "system"];

/// Names that a provider may not assert unless the operator says so: one weak identity provider
/// would own the product.
const RESERVED: [&str; 5] = ["admin", "administrator", "sysadmin", "root", "superuser"];

/// A user name: 1 to 255 of `A-Z a-z 0-9 . _ -` (and `@ +` where allowed), beginning with a letter
/// or digit, not ending in a dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Username(Box<str>);

/// What a provider may call its users.
#[derive(Clone, Debug, Default)]
pub struct UsernamePolicy {
    /// Also allow `@` and `+`: the operator states that the product does not split there.
    pub allow_email_characters: bool,
    /// Reserved names that this provider may assert, lower case.
    pub allow_reserved: BTreeSet<String>,
    /// If set, the whole name must match.
    pub pattern: Option<regex::Regex>,
}

/// Why a string is no user name. Says nothing of the string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsernameError {
    /// Nothing is left.
    #[error("the user name is empty")]
    Empty,
    /// More than 255 bytes.
    #[error("the user name is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// A character that some program on the way gives a meaning to.
    #[error("the user name has a character that is not allowed, or not in that place")]
    Character,
    /// `null`, `anonymous`, …
    #[error("the user name is a word for nobody")]
    NotAName,
    /// `admin`, … without permission.
    #[error("the user name is reserved (username.allow_reserved)")]
    Reserved,
    /// The operator's pattern.
    #[error("the user name does not match username.allow")]
    Pattern,
}

impl Username {
    /// The only way to make one.
    pub fn parse(name: &str, policy: &UsernamePolicy) -> Result<Self, UsernameError> {
        if name.is_empty() {
            return Err(UsernameError::Empty);
        }
        if name.len() > MAX_BYTES {
            return Err(UsernameError::TooLong);
        }
        // ASCII only: of all other characters one lower-cases into ASCII (U+212A, the Kelvin sign),
        // and a thousand normalise into it.
        let inner = |byte: u8| {
            byte.is_ascii_alphanumeric()
                || b"._-".contains(&byte)
                || (policy.allow_email_characters && b"@+".contains(&byte))
        };
        let begins = name
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric());
        let ends = name
            .bytes()
            .last()
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        if !begins || !ends || !name.bytes().all(inner) {
            return Err(UsernameError::Character);
        }
        // The products compare names without case.
        let is_name = |other: &&str| name.eq_ignore_ascii_case(other);
        if NOT_A_NAME.iter().any(is_name) {
            return Err(UsernameError::NotAName);
        }
        if RESERVED
            .into_iter()
            .find(is_name)
            .is_some_and(|reserved| !policy.allow_reserved.contains(reserved))
        {
            return Err(UsernameError::Reserved);
        }
        if policy
            .pattern
            .as_ref()
            .is_some_and(|pattern| !matches_whole(pattern, name))
        {
            return Err(UsernameError::Pattern);
        }
        Ok(Self(name.into()))
    }

    /// The name, safe as a header value.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn matches_whole(pattern: &regex::Regex, name: &str) -> bool {
    pattern
        .find(name)
        .is_some_and(|found| found.len() == name.len())
}

/// Compiles an operator's pattern so that it can only match a whole name.
pub(crate) fn anchored(pattern: &str) -> Result<regex::Regex, regex::Error> {
    // On its own first: `a)|(b` would break out of the group below, and with it of the anchors.
    regex::Regex::new(pattern)?;
    regex::RegexBuilder::new(&format!("^(?:{pattern})$"))
        .size_limit(1 << 20)
        .build()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(name: &str) -> Result<String, UsernameError> {
        Username::parse(name, &UsernamePolicy::default()).map(|name| name.to_string())
    }

    #[test]
    fn ordinary_names_pass_unchanged() {
        for name in [
            "alice",
            "Alice",
            "a",
            "a.b-c_d",
            "svc-ci",
            "u_",
            "x-",
            "007",
            "690222be-ff1a-4d56-abd1-7e4f7d38e474",
        ] {
            assert_eq!(parse(name).as_deref(), Ok(name));
        }
        assert!(parse(&"a".repeat(255)).is_ok());
    }

    #[test]
    fn a_name_that_some_program_would_read_as_another_is_refused() {
        for name in [
            "admin@x",
            "alice@evil.example",
            "a+b",
            "admin,x",
            "admin;x",
            " admin",
            "admin ",
            "a b",
            "a\tb",
            "a\rb",
            "a\nb",
            "a\r\nX-Remote-User: root",
            "a\0",
            "\0",
            "a\"",
            "a'",
            "a\\b",
            "a/b",
            "a:b",
            "a<b",
            "a>b",
            "a(b",
            "a)b",
            "a%41",
            ".a",
            "a.",
            "_a",
            "-a",
            ".",
            "..",
            "a=b",
            "a&b",
            "a#b",
            "a?b",
            "a*",
            "{a}",
            "a|b",
            "~a",
            "`a`",
            "$a",
            "a!",
            "\u{212a}elvin",
            "adm\u{131}n",
            "\u{e4}",
            "a\u{301}",
            "\u{430}dmin",
            "a\u{200b}",
            "\u{feff}a",
            "\u{ff41}dmin",
            "a\u{7f}",
        ] {
            assert_eq!(parse(name), Err(UsernameError::Character), "{name:?}");
        }
        assert_eq!(parse(""), Err(UsernameError::Empty));
        assert_eq!(parse(&"a".repeat(256)), Err(UsernameError::TooLong));
    }

    #[test]
    fn of_all_single_bytes_and_characters_only_letters_and_digits_are_names() {
        for character in (0..=0x0010_ffff).filter_map(char::from_u32) {
            assert_eq!(
                parse(&character.to_string()).is_ok(),
                character.is_ascii_alphanumeric(),
                "{character:?}"
            );
        }
    }

    #[test]
    fn words_for_nobody_and_reserved_names_are_refused_in_any_case() {
        for name in ["null", "NULL", "undefined", "None", "anonymous", "System"] {
            assert_eq!(parse(name), Err(UsernameError::NotAName), "{name}");
        }
        for name in ["admin", "Admin", "ADMINISTRATOR", "root", "sysadmin"] {
            assert_eq!(parse(name), Err(UsernameError::Reserved), "{name}");
        }
        let policy = UsernamePolicy {
            allow_reserved: BTreeSet::from(["admin".to_owned()]),
            ..UsernamePolicy::default()
        };
        assert!(Username::parse("Admin", &policy).is_ok());
        assert_eq!(
            Username::parse("root", &policy),
            Err(UsernameError::Reserved)
        );
    }

    #[test]
    fn email_characters_are_an_explicit_choice() {
        let policy = UsernamePolicy {
            allow_email_characters: true,
            ..UsernamePolicy::default()
        };
        assert!(Username::parse("alice+ci@corp.example", &policy).is_ok());
        for name in ["@corp", "+a", "a@", "alice@corp,x"] {
            assert_eq!(
                Username::parse(name, &policy),
                Err(UsernameError::Character),
                "{name}"
            );
        }
    }

    #[test]
    fn the_operators_pattern_must_match_the_whole_name() {
        let policy = UsernamePolicy {
            pattern: Some(anchored("svc-[a-z]+|ci").expect("a pattern")),
            ..UsernamePolicy::default()
        };
        assert!(Username::parse("svc-build", &policy).is_ok());
        assert!(Username::parse("ci", &policy).is_ok());
        for name in ["xsvc-build", "svc-build2", "cix", "alice"] {
            assert_eq!(
                Username::parse(name, &policy),
                Err(UsernameError::Pattern),
                "{name}"
            );
        }
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_a_plain_header_value(name in "\\PC{0,20}|[ -~]{0,20}") {
            if let Ok(name) = parse(&name) {
                prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)));
                prop_assert!(!name.is_empty() && name.trim() == name);
            }
        }
    }
}
