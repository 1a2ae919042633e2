//! Versions of the products' REST APIs, in `/rest/NAME/VERSION/…`.

/// What stands in the place of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiVersion {
    /// `latest`: whichever is the newest.
    Latest,
    /// What begins with a digit: `2`, `1.0`, `2.0.alpha1`.
    Numbered,
}

impl ApiVersion {
    /// Reads a segment of a path; `None`: it is no version.
    pub fn parse(segment: &str) -> Option<Self> {
        if segment.eq_ignore_ascii_case("latest") {
            Some(Self::Latest)
        } else if segment.starts_with(|first: char| first.is_ascii_digit()) {
            Some(Self::Numbered)
        } else {
            None
        }
    }

    /// Whether two segments that differ can mean the same version: one of them is `latest`.
    pub(super) fn may_be_one(one: &str, other: &str) -> bool {
        matches!(
            (Self::parse(one), Self::parse(other)),
            (Some(Self::Latest), Some(Self::Numbered)) | (Some(Self::Numbered), Some(Self::Latest))
        )
    }
}
