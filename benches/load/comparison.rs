//! Candidates, measured in turns: A B C A B C …, so that what else goes on on the machine meets all of them alike.
//! Ratios are taken between neighbours of one turn. Processes of one program differ, too: how its memory lies makes a
//! process of the floor a fifth cheaper or dearer for as long as it lives. Where there are several, they take turns.

use serde::Serialize;

use super::{
    load::Load,
    sample::{Asked, Candidate, Sample, Spread},
};

/// What a comparison is about.
#[derive(Clone, Serialize)]
pub struct Title {
    /// The chapter of the report.
    pub part: &'static str,
    pub name: String,
    pub load: Load,
    /// The algorithm that each call verifies a signature with.
    pub signature: Option<&'static str>,
    /// What grows from candidate to candidate.
    pub growing: Option<&'static str>,
}

/// What one turn asks.
#[derive(Clone)]
pub struct Turn {
    /// Of each candidate, or one for all.
    pub asked: Vec<Asked>,
    /// CPU microseconds of one bare verification.
    pub bare: Option<f64>,
}

/// Everything that was measured for it.
#[derive(Serialize)]
pub struct Comparison {
    #[serde(flatten)]
    pub title: Title,
    pub columns: Vec<Column>,
    pub bare_us: Vec<f64>,
}

/// One candidate.
#[derive(Serialize)]
pub struct Column {
    pub candidate: String,
    pub size: Option<usize>,
    pub base: usize,
    pub samples: Vec<Sample>,
}

impl Title {
    pub fn new(part: &'static str, name: &str, load: Load) -> Self {
        Self {
            part,
            name: format!("{name}, {}", load.text()),
            load,
            signature: None,
            growing: None,
        }
    }

    /// `part: name`, which `--only` looks at.
    pub fn text(&self) -> String {
        format!("{}: {}", self.part, self.name)
    }
}

impl Turn {
    pub fn same_for_all(asked: Asked) -> Self {
        Self {
            asked: vec![asked],
            bare: None,
        }
    }
}

impl Comparison {
    /// So many turns, of one cast after the other. The candidates are the same in each of the `casts`, their processes are not.
    pub fn measure<'c, C: AsRef<[Candidate<'c>]>>(
        title: Title,
        turns: usize,
        casts: &[C],
        mut turn: impl FnMut() -> Turn,
    ) -> Self {
        let column = |candidate: &Candidate<'_>| Column {
            candidate: candidate.name.clone(),
            size: candidate.size,
            base: candidate.base,
            samples: Vec::new(),
        };
        let first = casts.first().map_or(&[][..], C::as_ref);
        let mut columns: Vec<_> = first.iter().map(column).collect();
        let mut bare_us = Vec::new();
        for cast in casts.iter().cycle().take(turns) {
            let (turn, cast) = (turn(), cast.as_ref());
            for (number, (candidate, column)) in cast.iter().zip(&mut columns).enumerate() {
                let asked = &turn.asked[number.min(turn.asked.len() - 1)];
                column
                    .samples
                    .push(Sample::take(candidate, title.load, asked));
            }
            bare_us.extend(turn.bare);
        }
        Self {
            title,
            columns,
            bare_us,
        }
    }

    /// The first column of this candidate.
    pub fn column(&self, candidate: &str) -> Option<&Column> {
        self.columns
            .iter()
            .find(|column| column.candidate == candidate)
    }

    /// What the service costs beyond the floor, in bare verifications.
    pub fn verifies(&self) -> Option<Spread> {
        let [floor, service] = self.columns.as_slice() else {
            return None;
        };
        let turns = floor
            .samples
            .iter()
            .zip(&service.samples)
            .zip(&self.bare_us);
        Spread::of(turns.filter_map(|((floor, service), bare)| {
            Some((service.authz_cpu_us? - floor.authz_cpu_us?) / bare)
        }))
    }

    pub fn print(&self) {
        println!("\n{}", self.title.text());
        println!(
            "  {:<28} {:<20} {:<17} {:<22} {:<24} p50/p99/p99.9 us",
            "min median max", "CPU us, authz", "ratio", "CPU us, Envoy", "calls/s"
        );
        for column in &self.columns {
            self.print_column(column);
        }
        if let (Some(signature), Some(bare)) = (
            self.title.signature,
            Spread::of(self.bare_us.iter().copied()),
        ) {
            print!("  a bare {signature} verify: {} us CPU", bare.text(1));
            if let Some(verifies) = self.verifies() {
                print!("; above the floor, in bare verifies: {}", verifies.text(2));
            }
            println!();
        }
    }

    fn print_column(&self, column: &Column) {
        let name = match column.size {
            Some(size) => format!("{} at {size}", column.candidate),
            None => column.candidate.clone(),
        };
        let text =
            |spread: Option<Spread>, digits| spread.map_or(String::new(), |it| it.text(digits));
        let base = &self.columns[column.base];
        let figure = if column
            .samples
            .iter()
            .any(|sample| sample.authz_cpu_us.is_some())
            && base
                .samples
                .iter()
                .any(|sample| sample.authz_cpu_us.is_some())
        {
            |sample: &Sample| sample.authz_cpu_us
        } else {
            |sample: &Sample| Some(sample.per_second)
        };
        let quantile = |figure: fn(&Sample) -> f64| {
            Spread::of(column.samples.iter().map(figure)).map_or(0.0, |spread| spread.median)
        };
        println!(
            "  {name:<28} {:<20} {:<17} {:<22} {:<24} {:.0}/{:.0}/{:.0}{}",
            text(column.spread(|sample| sample.authz_cpu_us), 1),
            text(column.ratio(base, figure), 2),
            text(column.spread(|sample| sample.envoy_cpu_us), 1),
            text(column.spread(|sample| Some(sample.per_second)), 0),
            quantile(|sample| sample.p50_us),
            quantile(|sample| sample.p99_us),
            quantile(|sample| sample.p999_us),
            column.dropped_lines(),
        );
    }
}

impl Column {
    /// A figure of it by the same figure of another, turn by turn.
    pub fn ratio(&self, base: &Self, figure: impl Fn(&Sample) -> Option<f64>) -> Option<Spread> {
        let pairs = self.samples.iter().zip(&base.samples);
        Spread::of(pairs.filter_map(|(of, by)| Some(figure(of)? / figure(by)?)))
    }

    pub fn spread(&self, figure: impl Fn(&Sample) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.samples.iter().filter_map(figure))
    }

    /// The log drops lines rather than requests; then they were not paid for.
    fn dropped_lines(&self) -> String {
        let lines = self.spread(|sample| Some(sample.log_lines_per_call));
        match lines {
            Some(lines) if lines.min > 0.0 && lines.min < 1.0 => {
                format!("  log lines {:.2} a call", lines.min)
            }
            _ => String::new(),
        }
    }
}
