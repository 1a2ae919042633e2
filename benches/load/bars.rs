//! What the service must reach, and what it does.

use serde::Serialize;

use super::{
    comparison::{Column, Comparison},
    report::Report,
    sample::{Sample, Spread},
};

/// Growth without a bar: work that an operator asks for.
const ASKED_FOR: [&str; 3] = [
    "access rules",
    "bytes of the token",
    "headers of the request",
];
/// The connections through Envoy at which the bars hold.
const CONNECTIONS: usize = 32;

/// One of them.
#[derive(Serialize)]
pub struct Bar {
    pub what: String,
    pub measured: Spread,
    pub limit: f64,
    /// `<=` or `>=`
    pub relation: &'static str,
    pub unit: &'static str,
    /// By the median.
    pub reached: bool,
}

impl Bar {
    fn at_most(what: String, measured: Spread, limit: f64, unit: &'static str) -> Self {
        Self {
            what,
            measured,
            limit,
            relation: "<=",
            unit,
            reached: measured.median <= limit,
        }
    }

    fn at_least(what: String, measured: Spread, limit: f64) -> Self {
        Self {
            what,
            measured,
            limit,
            relation: ">=",
            unit: "",
            reached: measured.median >= limit,
        }
    }

    fn print(&self) {
        println!(
            "{:<62} {:<18} {} {}{}  {}",
            self.what,
            self.measured.text(2),
            self.relation,
            self.limit,
            self.unit,
            if self.reached { "reached" } else { "missed" }
        );
    }
}

/// All that can be said about what was measured.
pub fn of(report: &Report) -> Vec<Bar> {
    let comparisons = &report.comparisons;
    let mut bars: Vec<Bar> = comparisons.iter().flat_map(cost).collect();
    bars.extend(comparisons.iter().filter_map(first_seen));
    bars.extend(comparisons.iter().flat_map(through_envoy));
    bars.extend(comparisons.iter().filter_map(growth));
    bars.extend(memory(report));
    let ready = Spread::of(report.ready_ms.iter().copied());
    let ready = ready.map(|ready| {
        let what = "ready with a provider that is down".to_owned();
        Bar::at_most(what, ready, 200.0, " ms")
    });
    bars.extend(ready);
    bars
}

pub fn print(bars: &[Bar]) {
    println!("\n{:<62} {:<18} bar", "", "min median max");
    for bar in bars {
        bar.print();
    }
}

fn cpu(sample: &Sample) -> Option<f64> {
    sample.authz_cpu_us
}

/// Cached tokens and API tokens, by the floor.
fn cost(comparison: &Comparison) -> Vec<Bar> {
    let title = &comparison.title;
    let own = title.part == "kinds" && title.name.starts_with("API token");
    let has_bar = own || title.part == "shapes";
    let columns = comparison.columns.iter().enumerate();
    let compared = columns.filter(|(at, column)| has_bar && column.base != *at);
    compared
        .filter_map(|(_, column)| {
            let floor = &comparison.columns[column.base];
            let ratio = column.ratio(floor, cpu)?;
            let way = column
                .candidate
                .split_once(", ")
                .map_or("TCP", |(_, way)| way);
            let what = format!("{}, {way}: CPU by the floor", title.name);
            Some(Bar::at_most(what, ratio, 1.0, ""))
        })
        .collect()
}

fn first_seen(comparison: &Comparison) -> Option<Bar> {
    let title = &comparison.title;
    if !title.name.starts_with("RS256 seen first") {
        return None;
    }
    let what = format!("{}: bare verifies above the floor", title.name);
    Some(Bar::at_most(what, comparison.verifies()?, 1.2, ""))
}

fn through_envoy(comparison: &Comparison) -> Vec<Bar> {
    let title = &comparison.title;
    if title.part != "Envoy" || title.load.connections != CONNECTIONS {
        return Vec::new();
    }
    let bar = |beside, limit| {
        let (ours, other) = (
            comparison.column("atlassian-authz")?,
            comparison.column(beside)?,
        );
        let ratio = ours.ratio(other, |sample| Some(sample.per_second))?;
        let what = format!("through Envoy, {}: calls/s by {beside}", title.name);
        Some(Bar::at_least(what, ratio, limit))
    };
    let bars = [bar("jwt_authn", 1.0), bar("floor", 0.98)];
    bars.into_iter().flatten().collect()
}

fn growth(comparison: &Comparison) -> Option<Bar> {
    let growing = comparison.title.growing?;
    let (first, last) = ends(comparison)?;
    if ASKED_FOR.contains(&growing) {
        return None;
    }
    let ratio = last.ratio(first, cpu)?;
    let what = format!("{growing}: CPU at {} by CPU at {}", last.size?, first.size?);
    Some(Bar::at_most(what, ratio, 1.1, ""))
}

fn ends(comparison: &Comparison) -> Option<(&Column, &Column)> {
    Some((comparison.columns.first()?, comparison.columns.last()?))
}

fn memory(report: &Report) -> Vec<Bar> {
    let (Some(idle), Some(last)) = (report.memory.first(), report.memory.last()) else {
        return Vec::new();
    };
    let once = |figure| Spread {
        min: figure,
        median: figure,
        max: figure,
    };
    let mib = idle.resident_kib as f64 / 1024.0;
    let mut bars = vec![Bar::at_most(
        "resident memory, idle".to_owned(),
        once(mib),
        20.0,
        " MiB",
    )];
    let middle = report
        .memory
        .iter()
        .find(|point| point.tokens * 2 >= last.tokens);
    if let Some(middle) = middle.filter(|_| !report.quick) {
        let what = format!(
            "memory at {} tokens by that at {}",
            last.tokens, middle.tokens
        );
        let ratio = last.resident_kib as f64 / middle.resident_kib as f64;
        bars.push(Bar::at_most(what, once(ratio), 1.1, ""));
    }
    bars
}
