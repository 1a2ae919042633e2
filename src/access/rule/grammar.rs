//! The part of the language that rules may use. Everything else is refused when the rule is read: an operator then
//! sees the mistake, and no request meets it.
//!
//! It also bounds the cost of a rule. What can be long is walked over by a macro that stands in no other macro, and
//! only over what is read or written out; what can grow (`+`) is counted; what can be slow (regular expressions) is
//! not there.

use cel::{
    common::ast::{
        CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr, LiteralValue,
        SourceInfo, operators,
    },
    parser::{ParseErrors, Parser},
};

use super::{
    facts::Reading,
    problem::{MAX_ADDITIONS, MAX_BYTES, MAX_DEPTH, MAX_ENTRIES, MAX_LOOPS, Position, Problem},
    schema::{members, reading_of},
    shape::{ARITHMETIC, is_never_bool, is_range, never_equal},
};

/// The functions, whether they are called on a value, and the number of their arguments. No `matches`: what a regular
/// expression costs depends on the text that it meets, and here the client writes the text.
const FUNCTIONS: [(&str, bool, usize); 7] = [
    ("size", false, 1),
    ("size", true, 0),
    ("contains", true, 1),
    ("startsWith", true, 1),
    ("endsWith", true, 1),
    ("lowerAscii", true, 0),
    ("string", false, 1),
];
/// The operators with a result that is or may be a truth value.
const PREDICATES: [&str; 13] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::LESS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::GREATER_EQUALS,
    operators::INDEX,
    operators::IN,
    operators::NOT_STRICTLY_FALSE, // of `all` and `exists`; nobody can write it
];

/// What is wrong, and where.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) position: Position,
    pub(super) problem: Problem,
}

/// What a rule evaluates.
pub(super) struct Compiled {
    pub(super) expression: IdedExpr,
    pub(super) readings: Vec<Reading>,
}

/// Reads an expression.
pub(super) fn compile(source: &str) -> Result<Compiled, Fault> {
    let whole = |problem| Fault {
        position: Position::START,
        problem,
    };
    if source.trim().is_empty() {
        return Err(whole(Problem::Empty));
    }
    if source.len() > MAX_BYTES {
        return Err(whole(Problem::TooLong));
    }
    let parser = Parser::new().max_recursion_depth(MAX_DEPTH);
    let (mut expression, info) = parser.parse_with_source_info(source).map_err(syntax)?;
    let mut walk = Walk {
        info: &info,
        readings: Vec::new(),
        variables: None,
        depth: 0,
        loops: 0,
        additions: 0,
    };
    walk.expression(&mut expression)?;
    if is_never_bool(&expression, &walk.readings) {
        return Err(whole(Problem::NotBool));
    }
    let readings = walk.readings;
    Ok(Compiled {
        expression,
        readings,
    })
}

/// The parser goes on after a mistake, and says more than once what it misses. Only what it did not expect is told.
fn syntax(errors: ParseErrors) -> Fault {
    let (mut unexpected, mut other): (Vec<_>, Vec<_>) = errors
        .errors
        .into_iter()
        .partition(|error| error.msg.starts_with("Syntax error: "));
    unexpected.append(&mut other);
    let Some(error) = unexpected.into_iter().next() else {
        return Fault {
            position: Position::START,
            problem: Problem::Syntax(String::new()),
        };
    };
    let (line, column) = error.pos;
    let count = |number| usize::try_from(number).unwrap_or(1).max(1);
    let position = Position {
        line: count(line),
        column: count(column),
    };
    let message = error.msg.trim_start_matches("Syntax error: ");
    let problem = if message.contains("Recursion limit") {
        Problem::TooDeep
    } else {
        Problem::Syntax(message.escape_debug().collect())
    };
    Fault { position, problem }
}

/// One walk through an expression. It checks, and puts a place in `readings` where a fact is read: so an evaluation
/// looks nothing up by name, and finds nothing that was not checked here.
struct Walk<'s> {
    info: &'s SourceInfo,
    readings: Vec<Reading>,
    /// Of the macro around: its own variable and the parser's.
    variables: Option<[String; 2]>,
    depth: u16,
    loops: usize,
    additions: usize,
}

impl Walk<'_> {
    fn expression(&mut self, node: &mut IdedExpr) -> Result<(), Fault> {
        let (info, id) = (self.info, node.id);
        let fault = |problem| Fault {
            position: position(info, id),
            problem,
        };
        if self.depth == MAX_DEPTH {
            return Err(fault(Problem::TooDeep));
        }
        self.depth += 1;
        match reading_of(node).map_err(fault)? {
            Some(reading) => node.expr = Expr::Ident(self.place(reading).to_string()),
            None => self.parts(&mut node.expr, &fault)?,
        }
        self.depth -= 1;
        Ok(())
    }

    /// Where the reading is. One that is there already is not made twice.
    fn place(&mut self, reading: Reading) -> usize {
        let known = self.readings.iter().position(|known| *known == reading);
        known.unwrap_or_else(|| {
            self.readings.push(reading);
            self.readings.len() - 1
        })
    }

    fn parts(
        &mut self,
        expression: &mut Expr,
        fault: &dyn Fn(Problem) -> Fault,
    ) -> Result<(), Fault> {
        match expression {
            Expr::Literal(LiteralValue::Bytes(_)) => Err(fault(Problem::Unsupported("bytes"))),
            Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.name(name).map_err(fault),
            Expr::Select(select) => self.expression(&mut select.operand),
            Expr::Call(call) => {
                self.call(call).map_err(fault)?;
                call.target
                    .iter_mut()
                    .try_for_each(|target| self.expression(target))?;
                self.all(&mut call.args)?;
                match never_equal(call, &self.readings) {
                    Some((left, right)) => {
                        Err(fault(Problem::NeverEqual(left.as_str(), right.as_str())))
                    }
                    None => Ok(()),
                }
            }
            Expr::List(list) if list.elements.len() > MAX_ENTRIES => {
                Err(fault(Problem::TooManyEntries))
            }
            Expr::List(list) => self.all(&mut list.elements),
            Expr::Map(map) if map.entries.len() > MAX_ENTRIES => {
                Err(fault(Problem::TooManyEntries))
            }
            Expr::Map(map) => map
                .entries
                .iter_mut()
                .try_for_each(|entry| self.entry(entry)),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension, fault),
            Expr::Struct(_) | Expr::Unspecified => Err(fault(Problem::Unsupported("messages"))),
        }
    }

    fn all(&mut self, nodes: &mut [IdedExpr]) -> Result<(), Fault> {
        nodes.iter_mut().try_for_each(|node| self.expression(node))
    }

    fn entry(&mut self, entry: &mut IdedEntryExpr) -> Result<(), Fault> {
        match &mut entry.expr {
            EntryExpr::MapEntry(entry) => {
                self.expression(&mut entry.key)?;
                self.expression(&mut entry.value)
            }
            EntryExpr::StructField(field) => self.expression(&mut field.value),
        }
    }

    /// A name that stands alone is a variable of the macro around.
    fn name(&self, name: &str) -> Result<(), Problem> {
        if self.variables.iter().flatten().any(|known| known == name) {
            return Ok(());
        }
        Err(match members(name) {
            Some(members) => {
                let members = format!("read one of {}", members.join(", "));
                Problem::Namespace(name.to_owned(), members)
            }
            None => Problem::UnknownName(name.to_owned()),
        })
    }

    fn call(&mut self, call: &CallExpr) -> Result<(), Problem> {
        let name = call.func_name.as_str();
        let signature = (name, call.target.is_some(), call.args.len());
        if name == operators::ADD && !self.collects(call) {
            self.additions += 1;
        }
        if self.additions > MAX_ADDITIONS {
            return Err(Problem::TooManyAdditions);
        }
        if name == "matches" {
            return Err(Problem::NoRegex);
        }
        let known = FUNCTIONS.contains(&signature)
            || ARITHMETIC.contains(&name)
            || PREDICATES.contains(&name);
        if known {
            return Ok(());
        }
        Err(Problem::UnknownFunction(name.to_owned(), call.args.len()))
    }

    /// Whether this `+` is the parser's own, which appends in place or counts.
    fn collects(&self, call: &CallExpr) -> bool {
        let Some([_, result]) = &self.variables else {
            return false;
        };
        matches!(call.args.first().map(|first| &first.expr), Some(Expr::Ident(name)) if name == result)
    }

    fn comprehension(
        &mut self,
        comprehension: &mut ComprehensionExpr,
        fault: &dyn Fn(Problem) -> Fault,
    ) -> Result<(), Fault> {
        if self.variables.is_some() {
            return Err(fault(Problem::NestedLoop));
        }
        self.loops += 1;
        if self.loops > MAX_LOOPS {
            return Err(fault(Problem::TooManyLoops));
        }
        let variable = &comprehension.iter_var;
        // A leading dot would look the name up outside of the macro.
        if members(variable).is_some() || variable.starts_with('.') {
            return Err(fault(Problem::VariableName(variable.clone())));
        }
        self.expression(&mut comprehension.iter_range)?;
        if !is_range(&comprehension.iter_range, &self.readings) {
            return Err(fault(Problem::LoopRange));
        }
        self.variables = Some([variable.clone(), comprehension.accu_var.clone()]);
        self.expression(&mut comprehension.accu_init)?;
        self.expression(&mut comprehension.loop_cond)?;
        self.expression(&mut comprehension.loop_step)?;
        self.expression(&mut comprehension.result)?;
        self.variables = None;
        Ok(())
    }
}

/// The parser counts bytes; people count lines and characters.
fn position(info: &SourceInfo, id: u64) -> Position {
    let start = info
        .offset_for(id)
        .and_then(|(start, _)| usize::try_from(start).ok());
    let Some(before) = start.and_then(|start| info.source.get(..start)) else {
        return Position::START;
    };
    let line = before.rsplit('\n').next().unwrap_or_default();
    Position {
        line: before.matches('\n').count() + 1,
        column: line.chars().count() + 1,
    }
}
