//! What a statement is about: which tables of sharded keyspaces, and which rows of them by the
//! column that shards them. It knows SQL and the VSchema, and nothing of what a statement is for.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Delete, Expr, FromTable, Ident, Insert, JoinConstraint, JoinOperator,
    ObjectName, Query, Select, SelectItem, SetExpr, Statement, TableFactor, TableObject,
    TableWithJoins, Update, Value, Visit, Visitor,
};
use sqlparser::dialect::MySqlDialect;
use sqlparser::parser::Parser;

use super::vschema::{Cell, VSchema};

/// Deeper than any statement of ours: long chains of OR nest as deep as they are long.
const RECURSION_MAX: usize = 2_000;

/// A table of a sharded keyspace in a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Touched {
    pub(super) table: String,
    /// What leads to the rows: the index that is forced, or the columns that conditions name.
    pub(super) by: String,
    /// Where the rows are; none where they may be anywhere.
    pub(super) places: Option<BTreeSet<u64>>,
}

/// A statement, as far as shards are concerned.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) verb: &'static str,
    /// Whether it changes or locks rows.
    pub(super) is_write: bool,
    pub(super) touched: Vec<Touched>,
    /// All tables that it names, sharded or not.
    pub(super) tables: BTreeSet<String>,
}

/// Statements that name no table, some in forms that the parser does not know.
const CONTROL: &[&str] = &["BEGIN", "COMMIT", "ROLLBACK", "SET", "START"];

/// All statements of a text.
pub(super) fn parse(text: &str) -> Result<Vec<Statement>, String> {
    if CONTROL.contains(&first_word(text)) {
        return Ok(Vec::new());
    }
    // `DO` evaluates expressions as `SELECT` does, and the parser does not know it.
    let as_select = text
        .strip_prefix("DO ")
        .map(|rest| format!("SELECT {rest}"));
    Parser::new(&MySqlDialect {})
        .with_recursion_limit(RECURSION_MAX)
        .try_with_sql(as_select.as_deref().unwrap_or(text))
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| error.to_string())
}

pub(super) fn first_word(text: &str) -> &str {
    text.split(' ').next().unwrap_or_default()
}

pub(super) fn take(vschema: &VSchema, statement: &Statement) -> Taken {
    let mut taker = Taker {
        vschema,
        scopes: Vec::new(),
        touched: Vec::new(),
        tables: BTreeSet::new(),
        is_locking: false,
    };
    let verb = match statement {
        Statement::Query(_) => "SELECT",
        Statement::Insert(insert) => {
            taker.insert(insert);
            "INSERT"
        }
        Statement::Update(update) => {
            taker.update(update);
            "UPDATE"
        }
        Statement::Delete(delete) => {
            taker.delete(delete);
            "DELETE"
        }
        _ => "",
    };
    let _: ControlFlow<()> = statement.visit(&mut taker);
    Taken {
        verb,
        is_write: taker.is_locking || !matches!(verb, "SELECT" | ""),
        touched: taker.touched,
        tables: taker.tables,
    }
}

/// The place of the rows of a table.
#[derive(Debug, Clone)]
enum Rows {
    At(BTreeSet<u64>),
    Anywhere,
    /// Where those of another part of the statement are, which tells of itself.
    AsElsewhere,
}

/// The tables that stand beside each other in a statement, and what is known of them.
#[derive(Debug, Default)]
struct Scope {
    /// Names of tables by their aliases.
    tables: BTreeMap<String, String>,
    /// Aliases of subqueries.
    derived: BTreeSet<String>,
    found: BTreeMap<String, Rows>,
}

struct Taker<'a> {
    vschema: &'a VSchema,
    scopes: Vec<Scope>,
    touched: Vec<Touched>,
    tables: BTreeSet<String>,
    is_locking: bool,
}

impl Visitor for Taker<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.is_locking |= !query.locks.is_empty();
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        self.tables.insert(name(relation));
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let scope = self.scope(&select.from, select.selection.as_ref());
        self.scopes.push(scope);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _: &Select) -> ControlFlow<()> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }
}

impl Taker<'_> {
    fn insert(&mut self, insert: &Insert) {
        let TableObject::TableName(into) = &insert.table else {
            panic!("{insert} has no table");
        };
        let table = name(into);
        let Some((column, vindex)) = self.vschema.sharded_by(&table) else {
            return;
        };
        let source = insert.source.as_deref().map(|query| &*query.body);
        if let Some(SetExpr::Select(select)) = source
            && select.selection.as_ref().is_some_and(is_false)
        {
            return;
        }
        let at = insert.columns.iter().position(|of| name(of) == column);
        let at = at.unwrap_or_else(|| panic!("{table}: an INSERT without {column}"));
        let places = match source {
            Some(SetExpr::Values(values)) => {
                let rows = values.rows.iter();
                rows.map(|row| vindex.place(&cell(&row.content[at])?))
                    .collect::<Option<BTreeSet<u64>>>()
            }
            // Rows go where they were; the SELECT tells where that is.
            Some(SetExpr::Select(select)) if matches!(&select.projection[at], SelectItem::UnnamedExpr(of) if column_of(of).is_some()) =>
            {
                return;
            }
            _ => None,
        };
        let by = "VALUES".to_owned();
        self.touched.push(Touched { table, by, places });
    }

    fn update(&mut self, update: &Update) {
        let tables = std::slice::from_ref(&update.table);
        let scope = self.scope(tables, update.selection.as_ref());
        self.scopes.push(scope);
    }

    fn delete(&mut self, delete: &Delete) {
        let (FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables)) = &delete.from;
        let scope = self.scope(tables, delete.selection.as_ref());
        self.scopes.push(scope);
    }

    /// Finds where the rows of each of these tables are, as far as conditions tell, and notes it.
    fn scope(&mut self, from: &[TableWithJoins], selection: Option<&Expr>) -> Scope {
        let mut scope = Scope::default();
        let mut conditions: Vec<&Expr> = selection.into_iter().collect();
        let mut forced = BTreeMap::new();
        for tables in from {
            scope.add(tables, &mut conditions, &mut forced);
        }
        while let Some((alias, rows)) = self.next_found(&scope, &conditions, &forced) {
            scope.found.insert(alias, rows);
        }
        for (alias, table) in &scope.tables {
            if self.vschema.sharded_by(table).is_none() {
                continue;
            }
            let places = match scope.found.get(alias) {
                Some(Rows::AsElsewhere) => continue,
                Some(Rows::At(places)) => Some(places.clone()),
                Some(Rows::Anywhere) | None => None,
            };
            let by = forced.get(alias).cloned().unwrap_or_else(|| {
                let columns: BTreeSet<String> =
                    conditions.iter().flat_map(|of| columns(of)).collect();
                columns.into_iter().collect::<Vec<_>>().join(" ")
            });
            let table = table.clone();
            self.touched.push(Touched { table, by, places });
        }
        scope
    }

    /// A sharded table of which nothing was known yet. Where conditions tell of none any more, one
    /// is anywhere, first of all the one that is led by an index; others may follow from it.
    fn next_found(
        &self,
        scope: &Scope,
        conditions: &[&Expr],
        forced: &BTreeMap<String, String>,
    ) -> Option<(String, Rows)> {
        let unknown = scope.tables.iter().filter(|(alias, table)| {
            self.vschema.sharded_by(table).is_some() && !scope.found.contains_key(*alias)
        });
        let unknown: Vec<&String> = unknown.map(|(alias, _)| alias).collect();
        let told = unknown.iter().find_map(|alias| {
            let rows = conditions.iter().find_map(|of| self.rows(scope, alias, of));
            Some(((*alias).clone(), rows?))
        });
        told.or_else(|| {
            let leading = unknown.iter().find(|alias| forced.contains_key(**alias));
            let first = leading.or(unknown.first())?;
            Some(((*first).clone(), Rows::Anywhere))
        })
    }

    /// Where this condition lets the rows of a table be; none where it may be anywhere.
    fn rows(&self, scope: &Scope, alias: &str, condition: &Expr) -> Option<Rows> {
        let (column, vindex) = self.vschema.sharded_by(&scope.tables[alias])?;
        let is_key = |expr: &Expr| {
            let (of, name) = column_of(expr)?;
            let is_ours = of.map_or(scope.tables.len() == 1, |of| of == alias);
            (is_ours && name == column).then_some(())
        };
        match condition {
            no_rows if is_false(no_rows) => Some(Rows::At(BTreeSet::new())),
            Expr::Nested(inner) => self.rows(scope, alias, inner),
            Expr::BinaryOp {
                left,
                op: BinaryOperator::And,
                right,
            } => {
                let left = self.rows(scope, alias, left);
                left.or_else(|| self.rows(scope, alias, right))
            }
            Expr::BinaryOp {
                left,
                op: BinaryOperator::Or,
                right,
            } => {
                let left = self.rows(scope, alias, left)?;
                Some(left.and(self.rows(scope, alias, right)?))
            }
            Expr::BinaryOp {
                left,
                op: BinaryOperator::Eq,
                right,
            } => {
                let other = match (is_key(left), is_key(right)) {
                    (Some(()), _) => right,
                    (None, Some(())) => left,
                    (None, None) => return None,
                };
                match cell(other) {
                    Some(cell) => Some(Rows::At([vindex.place(&cell)?].into())),
                    None => self.as_other(scope, column_of(other)?),
                }
            }
            Expr::InList {
                expr,
                list,
                negated: false,
            } => {
                let cells: Option<Vec<Cell>> = match &**expr {
                    Expr::Tuple(parts) => {
                        let at = parts.iter().position(|part| is_key(part).is_some())?;
                        let part = |row: &Expr| match row {
                            Expr::Tuple(cells) => cell(&cells[at]),
                            _ => None,
                        };
                        list.iter().map(part).collect()
                    }
                    expr => {
                        is_key(expr)?;
                        list.iter().map(cell).collect()
                    }
                };
                let places: Option<BTreeSet<u64>> =
                    cells?.iter().map(|cell| vindex.place(cell)).collect();
                Some(Rows::At(places?))
            }
            _ => None,
        }
    }

    /// The rows of a table whose key is that of another.
    fn as_other(&self, scope: &Scope, (alias, column): (Option<&str>, &str)) -> Option<Rows> {
        let alias = alias?;
        if let Some(table) = scope.tables.get(alias) {
            let (key, _) = self.vschema.sharded_by(table)?;
            return match scope.found.get(alias) {
                _ if key != column => None,
                Some(Rows::Anywhere) => Some(Rows::AsElsewhere),
                found => found.cloned(),
            };
        }
        let is_known = |of: &Scope| of.tables.contains_key(alias) || of.derived.contains(alias);
        let is_elsewhere = scope.derived.contains(alias) || self.scopes.iter().any(is_known);
        is_elsewhere.then_some(Rows::AsElsewhere)
    }
}

impl Scope {
    fn add<'a>(
        &mut self,
        tables: &'a TableWithJoins,
        conditions: &mut Vec<&'a Expr>,
        forced: &mut BTreeMap<String, String>,
    ) {
        for join in &tables.joins {
            conditions.extend(constraint(&join.join_operator));
        }
        let joined = tables.joins.iter().map(|join| &join.relation);
        for factor in [&tables.relation].into_iter().chain(joined) {
            match factor {
                TableFactor::Table {
                    name: of,
                    alias,
                    index_hints,
                    ..
                } => {
                    let table = name(of);
                    let alias = alias.as_ref().map(|alias| text(&alias.name));
                    let alias = alias.unwrap_or_else(|| table.clone());
                    let indexes = index_hints.iter().flat_map(|hint| &hint.index_names);
                    let indexes: Vec<String> = indexes.map(text).collect();
                    if !indexes.is_empty() {
                        forced.insert(alias.clone(), indexes.join(" "));
                    }
                    self.tables.insert(alias, table);
                }
                TableFactor::Derived { alias, .. } => {
                    self.derived
                        .extend(alias.as_ref().map(|alias| text(&alias.name)));
                }
                TableFactor::NestedJoin {
                    table_with_joins, ..
                } => self.add(table_with_joins, conditions, forced),
                other => panic!("{other} is no table of ours"),
            }
        }
    }
}

impl Rows {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::At(mut places), Self::At(more)) => {
                places.extend(more);
                Self::At(places)
            }
            (Self::At(places), _) | (_, Self::At(places)) => Self::At(places),
            (other, _) => other,
        }
    }
}

fn is_false(condition: &Expr) -> bool {
    matches!(condition, Expr::Value(value) if value.value == Value::Boolean(false))
}

fn text(ident: &Ident) -> String {
    ident.value.clone()
}

/// The last part of a name.
fn name(of: &ObjectName) -> String {
    let last = of.0.last().and_then(|part| part.as_ident());
    last.map(text).unwrap_or_else(|| panic!("{of} is no name"))
}

fn constraint(join: &JoinOperator) -> Option<&Expr> {
    match join {
        JoinOperator::Join(JoinConstraint::On(on))
        | JoinOperator::Inner(JoinConstraint::On(on))
        | JoinOperator::Left(JoinConstraint::On(on))
        | JoinOperator::LeftOuter(JoinConstraint::On(on))
        | JoinOperator::StraightJoin(JoinConstraint::On(on)) => Some(on),
        _ => None,
    }
}

/// The alias, if one is named, and the column.
fn column_of(expr: &Expr) -> Option<(Option<&str>, &str)> {
    match expr {
        Expr::Identifier(column) => Some((None, &column.value)),
        Expr::CompoundIdentifier(parts) => match &parts[..] {
            [.., table, column] => Some((Some(&table.value), &column.value)),
            _ => None,
        },
        Expr::Nested(inner) => column_of(inner),
        _ => None,
    }
}

/// All columns that a condition names, without those of its subqueries.
fn columns(condition: &Expr) -> BTreeSet<String> {
    struct Names(BTreeSet<String>, usize);
    impl Visitor for Names {
        type Break = ();

        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.1 += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.1 -= 1;
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            if self.1 == 0 {
                self.0
                    .extend(column_of(expr).map(|(_, column)| column.to_owned()));
            }
            ControlFlow::Continue(())
        }
    }
    let mut names = Names(BTreeSet::new(), 0);
    let _: ControlFlow<()> = condition.visit(&mut names);
    names.0
}

/// A value that stands in the text. The text has one character for each byte.
fn cell(expr: &Expr) -> Option<Cell> {
    match expr {
        Expr::Nested(inner) | Expr::Prefixed { value: inner, .. } => cell(inner),
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => number.parse().ok().map(Cell::Number),
            Value::HexStringLiteral(hex) => {
                let digits: Vec<u8> = hex
                    .chars()
                    .map(|digit| digit.to_digit(16).and_then(|digit| digit.try_into().ok()))
                    .collect::<Option<_>>()?;
                let bytes = digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]);
                Some(Cell::Bytes(bytes.collect()))
            }
            Value::SingleQuotedString(text) => {
                let bytes: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
                bytes.ok().map(Cell::Bytes)
            }
            _ => None,
        },
        _ => None,
    }
}

mod tests {
    use super::*;

    /// Where a statement finds the rows of each table, in the order of their names: shards of 256,
    /// or all.
    fn found(text: &str) -> Vec<(String, Option<Vec<u64>>)> {
        let vschema = VSchema::read();
        let statements = parse(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let mut touched: Vec<Touched> = statements
            .iter()
            .flat_map(|statement| take(&vschema, statement).touched)
            .collect();
        touched.sort_by(|a, b| a.table.cmp(&b.table));
        let shard = |place: u64| place >> 56;
        touched
            .into_iter()
            .map(|of| {
                (
                    of.table,
                    of.places
                        .map(|places| places.into_iter().map(shard).collect()),
                )
            })
            .collect()
    }

    #[test]
    fn a_statement_says_where_its_rows_are() {
        let (one, other) = (
            "x'01000000000000000000000000000000'",
            "x'80ff0000000000000000000000000000'",
        );
        let at = |table: &str, shards: &[u64]| (table.to_owned(), Some(shards.to_vec()));
        let all = |table: &str| (table.to_owned(), None);
        for (text, expected) in [
            (format!("SELECT 1 FROM orders WHERE state = 'X' AND order_key = {one}"), vec![at("orders", &[1])]),
            (format!("SELECT 1 FROM orders WHERE state = 'X' OR order_key = {one}"), vec![all("orders")]),
            (format!("SELECT 1 FROM orders WHERE order_key > {one}"), vec![all("orders")]),
            (format!("SELECT 1 FROM orders WHERE order_key NOT IN ({one})"), vec![all("orders")]),
            (format!("DELETE FROM gates WHERE order_key IN ({one}, {other})"), vec![at("gates", &[1, 0x80])]),
            (
                format!("UPDATE gates FORCE INDEX (PRIMARY) SET state = 'X' WHERE (order_key = {one} AND part_number = 1) OR (order_key = {other})"),
                vec![at("gates", &[1, 0x80])],
            ),
            ("UPDATE orders SET state = 'X' WHERE store_id = 'a'".to_owned(), vec![all("orders")]),
            ("UPDATE orders SET state = 'X' WHERE FALSE".to_owned(), vec![at("orders", &[])]),
            (
                format!("INSERT INTO payments (number, order_key) VALUES (1, {one}), (2, {other})"),
                vec![at("payments", &[1, 0x80])],
            ),
            ("SELECT head FROM partition_heads WHERE shard_partition IN (0, 32) FOR UPDATE".to_owned(), vec![at("partition_heads", &[0, 0x80])]),
            // There are 64.
            ("SELECT head FROM partition_heads WHERE shard_partition = 64".to_owned(), vec![all("partition_heads")]),
            (
                format!("SELECT 1 FROM orders o JOIN gates g ON g.order_key = o.order_key WHERE o.order_key = {one}"),
                vec![at("gates", &[1]), at("orders", &[1])],
            ),
            (
                format!("SELECT 1 FROM orders o JOIN gates g ON g.part_number = o.version WHERE o.order_key = {one}"),
                vec![all("gates"), at("orders", &[1])],
            ),
            // What follows from another part of the statement is told by that alone.
            ("SELECT 1 FROM orders WHERE (SELECT COUNT(*) FROM gates WHERE gates.order_key = orders.order_key) > 0".to_owned(), vec![all("orders")]),
            ("SELECT 1 FROM (SELECT order_key FROM refunds) r JOIN orders ON orders.order_key = r.order_key".to_owned(), vec![all("refunds")]),
            (
                "SELECT 1 FROM gates g JOIN orders o FORCE INDEX (orders_by_time) ON o.order_key = g.order_key".to_owned(),
                vec![all("orders")],
            ),
            ("SELECT 1 FROM stores WHERE store_id = 'a'".to_owned(), vec![]),
            ("DO 0".to_owned(), vec![]),
            ("SELECT IF(ROW_COUNT() = 1, 0, EXP(1000))".to_owned(), vec![]),
        ] {
            assert_eq!(found(&text), expected, "{text}");
        }
    }
}
