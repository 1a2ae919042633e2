//! The members `groups` and `claims` of a provider: what is kept of a token besides the user's name.

use super::{Resolver, Section};
use crate::{
    config::schema,
    identity::{GroupFormat, GroupRule},
    verify::claims::ClaimPath,
};

impl Resolver<'_> {
    pub(super) fn groups(
        &mut self,
        section: &Section<'_>,
        written: &schema::Groups,
    ) -> Option<GroupRule> {
        let pointer = format!("{}/groups", section.pointer);
        let claims = match (&written.claim, written.claims.as_slice()) {
            (Some(claim), []) => self.paths(section, &pointer, std::slice::from_ref(claim)),
            (None, claims @ [_, ..]) => self.paths(section, &pointer, claims),
            (None, []) | (Some(_), [_, ..]) => {
                let why = "write exactly one of 'claim' and 'claims'";
                self.problem(&pointer, format!("{}: groups: {why}", section.name));
                None
            }
        };
        let unknown_if_present = self.paths(section, &pointer, &written.unknown_if_present);
        Some(GroupRule {
            claims: claims?,
            format: match written.format {
                schema::GroupFormat::List => GroupFormat::List,
                schema::GroupFormat::Words => GroupFormat::Words,
                schema::GroupFormat::Keys => GroupFormat::Keys,
            },
            prefix: written.prefix.clone().unwrap_or_default(),
            unknown_if_present: unknown_if_present?,
        })
    }

    pub(super) fn kept_claims(&mut self, section: &Section<'_>) -> Vec<(String, ClaimPath)> {
        let mut claims = Vec::new();
        for (at, name) in section.written.claims.iter().enumerate() {
            match ClaimPath::parse(name) {
                Some(path) => claims.push((name.clone(), path)),
                None => self.problem(
                    &format!("{}/claims/{at}", section.pointer),
                    format!("{}: claims: a claim is empty", section.name),
                ),
            }
        }
        claims
    }

    fn paths(
        &mut self,
        section: &Section<'_>,
        pointer: &str,
        written: &[String],
    ) -> Option<Vec<ClaimPath>> {
        let paths: Option<Vec<_>> = written.iter().map(|path| ClaimPath::parse(path)).collect();
        if paths.is_none() {
            self.problem(
                pointer,
                format!("{}: groups: a claim is empty", section.name),
            );
        }
        paths
    }
}
