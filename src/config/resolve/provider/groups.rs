//! The member `groups` of a provider.

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
            unknown_if_present: unknown_if_present?,
        })
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
