//! The section `admin`.

use super::{Resolver, access::some_tell_groups};
use crate::config::{AdminConfig, ProviderConfig, schema};

const SECTION: &str = "admin";

impl Resolver<'_> {
    pub(super) fn admin(
        &mut self,
        file: &schema::File,
        providers: &[Option<ProviderConfig>],
    ) -> Option<AdminConfig> {
        let written = file.admin.as_ref()?;
        let wanted = written.providers.as_deref();
        let chosen = self.chosen_providers("/admin", SECTION, wanted, &file.providers);
        self.one_provider_per_token("/admin", SECTION, &chosen, providers);
        let access = &written.access;
        for (kind, names) in [("groups", &access.groups), ("users", &access.users)] {
            for (at, _) in names.iter().enumerate().filter(|(_, name)| name.is_empty()) {
                let pointer = format!("/admin/access/{kind}/{at}");
                self.problem(
                    &pointer,
                    format!("admin: a name in 'access.{kind}' is empty"),
                );
            }
        }
        if access.groups.is_empty() && access.users.is_empty() && !written.self_service {
            self.problem(
                "/admin",
                "admin: nobody may use it: name administrators in 'access', or write self_service: true",
            );
        }
        if written.self_service && file.api_tokens.is_none() {
            self.problem(
                "/admin/self_service",
                "admin: 'self_service' is about API tokens, and there is no section 'api_tokens'",
            );
        }
        if !access.groups.is_empty() && !some_tell_groups(&chosen, providers) {
            self.problem(
                "/admin/access/groups",
                "admin: 'access.groups' matches nobody: none of the providers has 'groups'",
            );
        }
        let users = access.users.iter();
        Some(AdminConfig {
            providers: chosen,
            groups: access.groups.iter().cloned().collect(),
            users: users.map(|name| name.to_ascii_lowercase()).collect(),
            self_service: written.self_service,
        })
    }
}

#[cfg(test)]
mod tests;
