//! docs/PROVIDERS.md says what the program does.

use atlassian_authz::provider::preset::Presets;

const PAGE: &str = include_str!("../../../docs/PROVIDERS.md");

/// The complete configurations of the page; another test holds all published ones to be valid.
fn configurations() -> Vec<&'static str> {
    let blocks = PAGE.split("```yaml\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().expect("a block"));
    blocks
        .filter(|block| block.contains("providers:") && block.contains("applications:"))
        .collect()
}

#[test]
fn every_preset_is_on_the_page_as_it_is() {
    assert_eq!(Presets::NAMES.len(), Presets::ABOUT.len());
    for (name, about) in Presets::NAMES.iter().zip(Presets::ABOUT) {
        let username = match about.username {
            "-" => "-".to_owned(),
            claim => format!("`{claim}`"),
        };
        let row = format!(
            "| `{name}` | {} | {} | {username} |",
            about.mode, about.binding
        );
        assert!(PAGE.contains(&row), "the page lacks the row: {row}");
        let heading = format!(" (`{name}`)\n");
        let section = PAGE.split(&heading).nth(1);
        let section = section.unwrap_or_else(|| panic!("no section of {name}"));
        let section = section.split("\n## ").next().expect("a section");
        let uses = format!("preset: {{ {name}: ");
        assert!(
            section.contains(&uses),
            "{name}: its section does not show it"
        );
        assert!(
            configurations().iter().any(|text| text.contains(&uses)),
            "{name}"
        );
    }
}
