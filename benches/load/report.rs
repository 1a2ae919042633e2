//! Everything that was measured: printed as it comes, and kept in a file.

use std::{fs, path::Path};

use serde::Serialize;
use serde_json::Value;

use super::{
    bars::{self, Bar},
    comparison::Comparison,
    machine::Machine,
    memory::Point,
};

/// It.
#[derive(Serialize)]
pub struct Report {
    pub quick: bool,
    pub machine: Machine,
    pub comparisons: Vec<Comparison>,
    /// Resident memory over distinct tokens.
    pub memory: Vec<Point>,
    pub ready_ms: Vec<f64>,
    /// What `benches/allocations` counted.
    pub allocations: Option<Value>,
    pub bars: Vec<Bar>,
}

impl Report {
    pub fn new(quick: bool, allocations: Option<&Path>) -> Self {
        Self {
            quick,
            machine: Machine::this(),
            comparisons: Vec::new(),
            memory: Vec::new(),
            ready_ms: Vec::new(),
            allocations: allocations.map(read),
            bars: Vec::new(),
        }
    }

    pub fn print_head(&self, service: &Path) {
        let Machine {
            cpu,
            cores,
            load_average,
            ..
        } = &self.machine;
        println!("service: {}", service.display());
        println!(
            "{cores} cores of {cpu}, shared by servers and clients; load average {load_average}"
        );
        println!("connections x streams; log level info, JSON, into a pipe that is read");
        println!("ratio: CPU by the floor, or the first; calls/s where Envoy is called");
        if self.quick {
            println!("--quick: to see that it works; the figures mean little");
        }
    }

    /// Holds what was measured against the bars.
    pub fn conclude(&mut self) {
        self.bars = bars::of(self);
        bars::print(&self.bars);
    }

    pub fn write(&self, file: &Path) {
        let write = || {
            if let Some(directory) = file.parent() {
                fs::create_dir_all(directory)?;
            }
            let text = serde_json::to_string(&rounded(serde_json::to_value(self)?))?;
            fs::write(file, text + "\n")
        };
        write().unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}

fn read(file: &Path) -> Value {
    let text = fs::read_to_string(file);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).expect("JSON")
}

/// Four digits say more than was measured.
fn rounded(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => ((float * 1e4).round() / 1e4).into(),
            _ => Value::Number(number),
        },
        Value::Array(values) => values.into_iter().map(rounded).collect(),
        Value::Object(members) => {
            let members = members.into_iter();
            members
                .map(|(name, value)| (name, rounded(value)))
                .collect()
        }
        other @ (Value::Null | Value::Bool(_) | Value::String(_)) => other,
    }
}
