//! The second witness: sqlparser on the normalised text, and a visitor over all it found.
//!
//! The only file that sees sqlparser. Parsing is recursive: callers give it a large stack and
//! texts under the caps of classification.

mod dialect;

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Expr, ObjectName, Query, Select, SetExpr, Statement, TableFactor, Visit,
    Visitor,
};
use sqlparser::dialect::MySqlDialect;
use sqlparser::parser::Parser;

use super::functions::{self, Function};
use super::mode::Dialect;
use super::schemas;

/// What the parser says of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Testimony {
    /// One query that reads replicated data and nothing else.
    Reads,
    /// It does not know the text, or found something that the lexer should have.
    Objects,
    /// Something in it writes.
    Writes,
}

/// Parses a normalised query and looks at all of it.
pub(super) fn testify(query: &[u8], dialect: Dialect) -> Testimony {
    let Some(text) = dialect::translate(query, dialect) else {
        return Testimony::Objects;
    };
    let Ok(statements) = Parser::parse_sql(&MySqlDialect {}, &text) else {
        return Testimony::Objects;
    };
    let [statement @ Statement::Query(_)] = statements.as_slice() else {
        return Testimony::Objects;
    };
    match statement.visit(&mut Examiner {
        statements: 0,
        dialect,
    }) {
        ControlFlow::Continue(()) => Testimony::Reads,
        ControlFlow::Break(testimony) => testimony,
    }
}

/// Stops at the first thing that is not a plain read.
struct Examiner {
    statements: usize,
    dialect: Dialect,
}

type Finding = ControlFlow<Testimony>;

const OBJECTS: Finding = ControlFlow::Break(Testimony::Objects);
const WRITES: Finding = ControlFlow::Break(Testimony::Writes);
const FINE: Finding = ControlFlow::Continue(());

impl Visitor for Examiner {
    type Break = Testimony;

    fn pre_visit_statement(&mut self, statement: &Statement) -> Finding {
        self.statements += 1;
        match statement {
            Statement::Query(_) if self.statements == 1 => FINE,
            _ => WRITES,
        }
    }

    fn pre_visit_query(&mut self, query: &Query) -> Finding {
        let odd = !query.locks.is_empty()
            || query.for_clause.is_some()
            || query.settings.is_some()
            || query.format_clause.is_some()
            || !query.pipe_operators.is_empty();
        if odd { OBJECTS } else { body(&query.body) }
    }

    fn pre_visit_select(&mut self, select: &Select) -> Finding {
        if select.into.is_some() { OBJECTS } else { FINE }
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> Finding {
        match relation.0.as_slice() {
            [_] => FINE,
            [schema, table] => match (schema.as_ident(), table.as_ident()) {
                (Some(schema), Some(table))
                    if !schemas::is_server_local_table(
                        schema.value.as_bytes(),
                        table.value.as_bytes(),
                    ) =>
                {
                    FINE
                }
                _ => OBJECTS,
            },
            _ => OBJECTS,
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> Finding {
        match factor {
            TableFactor::Table { args: None, .. }
            | TableFactor::Derived { .. }
            | TableFactor::JsonTable { .. }
            | TableFactor::NestedJoin { .. } => FINE,
            _ => OBJECTS,
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Finding {
        match expr {
            Expr::Function(function) => call(&function.name, self.dialect),
            Expr::BinaryOp {
                op: BinaryOperator::Assignment,
                ..
            } => OBJECTS,
            Expr::Lambda(_) | Expr::OuterJoin(_) | Expr::Dictionary(_) | Expr::Map(_) => OBJECTS,
            _ => FINE,
        }
    }
}

fn body(body: &SetExpr) -> Finding {
    match body {
        SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) | SetExpr::Table(_) => FINE,
        SetExpr::SetOperation { left, right, .. } => {
            body_of_arm(left)?;
            body_of_arm(right)
        }
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => WRITES,
    }
}

/// Left-deep chains are followed in a loop.
fn body_of_arm(arm: &SetExpr) -> Finding {
    let mut arm = arm;
    while let SetExpr::SetOperation { left, right, .. } = arm {
        body(right)?;
        arm = left;
    }
    body(arm)
}

fn call(name: &ObjectName, dialect: Dialect) -> Finding {
    match name.0.as_slice() {
        [part] => match part.as_ident() {
            Some(ident)
                if functions::classify(ident.value.as_bytes(), dialect) == Function::Pure =>
            {
                FINE
            }
            _ => OBJECTS,
        },
        _ => OBJECTS,
    }
}
