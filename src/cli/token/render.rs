//! Tokens and events as text or JSON.

use serde_json::{Value, json};

use crate::{
    api_token::{ApiTokenId, TokenRecord},
    desk::{EventView, Issued, TokenView},
    store::Event,
};

/// A new token: the only time that it is printed.
pub(super) fn issued(issued: &Issued, now: i64, as_json: bool) -> String {
    let view = TokenView::of(&issued.record, now);
    if as_json {
        let mut document = json!(view);
        if let Value::Object(members) = &mut document {
            members.insert("token".to_owned(), issued.token.expose().into());
        }
        return format!("{document:#}");
    }
    format!(
        "{:<12} {}\n{}\n\nIt cannot be shown again.",
        "token",
        issued.token.expose(),
        lines(&view)
    )
}

pub(super) fn one(record: &TokenRecord, now: i64, as_json: bool) -> String {
    let view = TokenView::of(record, now);
    if as_json {
        format!("{:#}", json!(view))
    } else {
        lines(&view)
    }
}

pub(super) fn list(records: &[TokenRecord], now: i64, as_json: bool) -> String {
    let views: Vec<_> = records
        .iter()
        .map(|record| TokenView::of(record, now))
        .collect();
    if as_json {
        return format!("{:#}", json!(views));
    }
    let mut rows = vec![row([
        "ID",
        "USER",
        "STATE",
        "ACCESS",
        "EXPIRES",
        "LAST USED",
        "NAME",
    ])];
    rows.extend(views.iter().map(|view| {
        let access = format!("{} {}", view.access, view.applications.join(","));
        row([
            view.id.as_str(),
            &view.user,
            view.state.as_str(),
            &access,
            &view.expires_at,
            view.last_used_at.as_deref().unwrap_or("never"),
            &view.name,
        ])
    }));
    rows.join("\n")
}

pub(super) fn ended(ids: &[ApiTokenId], as_json: bool) -> String {
    if as_json {
        return format!("{:#}", json!({ "revoked": ids }));
    }
    match ids {
        [] => "no token is revoked".to_owned(),
        ids => {
            let lines: Vec<_> = ids
                .iter()
                .map(|id| format!("{:<12} {id}", "revoked"))
                .collect();
            lines.join("\n")
        }
    }
}

pub(super) fn events(events: &[(i64, Event)], as_json: bool) -> String {
    let view = |(number, event): &(i64, Event)| EventView::of(*number, event);
    let views: Vec<_> = events.iter().map(view).collect();
    if as_json {
        return format!("{:#}", json!(views));
    }
    let lines: Vec<_> = views.iter().map(event).collect();
    lines.join("\n")
}

fn event(view: &EventView) -> String {
    let token = view.token.map(|id| id.to_string());
    let source = view.source.as_ref().map(|source| format!("from {source}"));
    let detail = (!view.detail.is_null()).then(|| view.detail.to_string());
    let fixed = format!(
        "{:>8}  {}  {:<26} {:<16}",
        view.number,
        view.at,
        view.event,
        view.actor.as_deref().unwrap_or("-")
    );
    let rest = [token, view.user.clone(), source, detail]
        .into_iter()
        .flatten();
    let rest: Vec<_> = rest.collect();
    format!("{fixed} {}", rest.join(" ")).trim_end().to_owned()
}

fn lines(view: &TokenView) -> String {
    let present = [
        ("id", Some(view.id.to_string())),
        ("user", Some(view.user.clone())),
        ("name", Some(view.name.clone())),
        ("state", Some(view.state.as_str().to_owned())),
        ("access", Some(view.access.to_string())),
        ("applications", Some(view.applications.join(", "))),
        ("paths", joined(&view.paths)),
        ("networks", joined(&view.networks)),
        (
            "created",
            Some(format!("{} by {}", view.created_at, view.created_by)),
        ),
        ("expires", Some(view.expires_at.clone())),
        ("last used", view.last_used_at.clone()),
        ("from", view.last_used_from.clone()),
        ("revoked", view.revoked_at.clone()),
        ("by", view.revoked_by.clone()),
        ("because", view.revoked_reason.clone()),
        ("replaces", view.replaces.map(|id| id.to_string())),
        ("replaced by", view.replaced_by.map(|id| id.to_string())),
    ];
    let lines = present
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name:<12} {}", value?)));
    lines.collect::<Vec<_>>().join("\n")
}

fn joined(texts: &[String]) -> Option<String> {
    (!texts.is_empty()).then(|| texts.join(", "))
}

fn row(cells: [&str; 7]) -> String {
    let [id, user, state, access, expires, used, name] = cells;
    format!("{id:<12}  {user:<16} {state:<8} {access:<24} {expires:<20} {used:<20} {name}")
}
