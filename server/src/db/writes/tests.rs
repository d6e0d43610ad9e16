use diesel::prelude::*;

use super::*;
use crate::db::schema::{shipments, stock_holders};

/// What the UPDATE of these rows says: an order's key, a number, a fence, a stage, before and
/// after.
fn update(rows: &[(u8, u32, [u32; 2], [&str; 2])]) -> String {
    let columns = Columns {
        key: &["order_key", "number"],
        guard: &["fence"],
        changing: &["fence", "stage"],
    };
    let insert = |at: usize| {
        let rows: Vec<_> = rows
            .iter()
            .map(|(key, number, fences, stages)| {
                (
                    shipments::order_key.eq(vec![*key]),
                    shipments::number.eq(*number),
                    shipments::fence.eq(fences[at]),
                    shipments::stage.eq(stages[at].to_owned()),
                )
            })
            .collect();
        diesel::insert_into(shipments::table).values(rows)
    };
    let mut writes = Writes::default();
    writes
        .update("shipments", columns, (&insert(0), &insert(1)))
        .unwrap();
    messages(&writes.statements).concat()
}

const BEGIN: &str = "/* UPDATE shipments */ UPDATE `shipments` FORCE INDEX (PRIMARY) SET";

fn end(count: usize) -> String {
    format!("; SELECT IF(ROW_COUNT() = {count}, 0, EXP(1000))")
}

#[test]
fn an_update_names_what_changes_and_says_what_is_common_once() {
    assert_eq!(
        update(&[(1, 1, [1, 2], ["PLANNED", "PLANNED"])]),
        format!(
            "{BEGIN} `fence` = 2 WHERE `order_key` = x'01' AND `number` = 1 AND `fence` = 1{}",
            end(1)
        )
    );
    // What is as it was is left out.
    assert_eq!(
        update(&[
            (1, 1, [1, 2], ["PLANNED", "CANCELLED"]),
            (2, 1, [1, 1], ["PLANNED", "PLANNED"]),
            (3, 1, [1, 2], ["PLANNED", "CANCELLED"]),
            (4, 1, [3, 4], ["PACKED", "CANCELLED"]),
        ]),
        format!(
            "{BEGIN} `fence` = IF(`order_key` < x'04', 2, 4), `stage` = 'CANCELLED' \
             WHERE `number` = 1 AND `order_key` IN (x'01', x'03', x'04') \
             AND `fence` = IF(`order_key` < x'04', 1, 3){}",
            end(3)
        )
    );
    assert_eq!(
        update(&[
            (1, 1, [1, 1], ["PLANNED", "PACKED"]),
            (1, 2, [1, 1], ["PLANNED", "CANCELLED"]),
            (2, 1, [1, 1], ["PLANNED", "CANCELLED"]),
        ]),
        format!(
            "{BEGIN} `stage` = IF(`order_key` < x'02', CASE `number` WHEN 2 THEN 'CANCELLED' ELSE 'PACKED' END, 'CANCELLED') \
             WHERE `order_key` IN (x'01', x'02') AND IF(`order_key` < x'02', `number` IN (1, 2), `number` = 1) \
             AND `fence` = 1{}",
            end(3)
        )
    );
    assert_eq!(update(&[(1, 1, [1, 1], ["PLANNED", "PLANNED"])]), "");
}

#[test]
fn a_message_keeps_its_bound_and_says_what_is_in_it() {
    let statement = |summary: &str, bytes: usize| Statement {
        summary: summary.to_owned(),
        text: "x".repeat(bytes),
        check: None,
    };
    let lengths = |statements: &[Statement]| -> Vec<(String, usize)> {
        let messages = messages(statements);
        let parts = messages.iter().filter_map(|message| {
            let (summary, text) = message.split_once(" */ ")?;
            Some((summary.replace("/* ", ""), text.len()))
        });
        parts.collect()
    };
    assert_eq!(lengths(&[]), []);
    assert_eq!(
        lengths(&[
            statement("INSERT orders", 1),
            statement("INSERT orders", 1),
            statement("UPDATE refunds", 1)
        ]),
        [("INSERT orders; UPDATE refunds".to_owned(), 7)]
    );
    assert_eq!(
        lengths(&[
            statement("A", MESSAGE_BYTES_MAX + 1),
            statement("B", MESSAGE_BYTES_MAX - 1),
            statement("C", 1),
            statement("D", 1),
        ]),
        [
            ("A".to_owned(), MESSAGE_BYTES_MAX + 1),
            ("B; C".to_owned(), MESSAGE_BYTES_MAX + 2),
            ("D".to_owned(), 1)
        ]
    );
}

#[test]
fn a_statement_that_goes_alone_has_its_check_in_the_next_message() {
    let statement = Statement {
        summary: "UPDATE orders".to_owned(),
        text: "UPDATE".to_owned(),
        check: Some("SELECT".to_owned()),
    };
    let sent: Vec<String> = alone(&statement).collect();
    assert_eq!(
        sent,
        ["/* UPDATE orders */ UPDATE", "/* UPDATE orders */ SELECT"]
    );
    assert_eq!(
        messages(&[statement]),
        ["/* UPDATE orders */ UPDATE; SELECT"]
    );
}

#[test]
fn the_first_of_the_most_common_values_is_taken() {
    assert_eq!(most_common(&["a", "b", "b", "c"]), "b");
    assert_eq!(most_common(&["a", "b"]), "a");
}

/// What the DELETE of these rows says: an order's key, a number, a SKU.
fn delete(rows: &[(u8, u32, &str)]) -> String {
    let rows: Vec<_> = rows
        .iter()
        .map(|(key, shipment, sku)| {
            (
                stock_holders::sku.eq((*sku).to_owned()),
                stock_holders::order_key.eq(vec![*key]),
                stock_holders::shipment.eq(*shipment),
            )
        })
        .collect();
    let rows = diesel::insert_into(stock_holders::table).values(rows);
    let mut writes = Writes::default();
    let key = &["sku", "order_key", "shipment"];
    writes.delete("stock_holders", key, &rows).unwrap();
    messages(&writes.statements).concat()
}

#[test]
fn a_delete_names_the_whole_key_of_each_row_and_says_how_many_there_are() {
    const BEGIN: &str = "/* DELETE stock_holders */ \
        DELETE /*+ INDEX(`stock_holders` PRIMARY) */ FROM `stock_holders` WHERE";
    assert_eq!(
        delete(&[(1, 1, "MUG")]),
        format!(
            "{BEGIN} `sku` = 'MUG' AND `order_key` = x'01' AND `shipment` = 1{}",
            end(1)
        )
    );
    assert_eq!(
        delete(&[(1, 1, "CUP"), (1, 1, "MUG"), (2, 1, "MUG")]),
        format!(
            "{BEGIN} `shipment` = 1 AND ((`sku` = 'CUP' AND `order_key` = x'01') \
             OR (`sku` = 'MUG' AND `order_key` IN (x'01', x'02'))){}",
            end(3)
        )
    );
    // Orders of the same SKUs.
    assert_eq!(
        delete(&[(1, 1, "CUP"), (1, 1, "MUG"), (2, 1, "CUP"), (2, 1, "MUG")]),
        format!(
            "{BEGIN} `shipment` = 1 AND `sku` IN ('CUP', 'MUG') \
             AND `order_key` IN (x'01', x'02'){}",
            end(4)
        )
    );
    // All three columns differ.
    assert_eq!(
        delete(&[(1, 1, "CUP"), (1, 2, "CUP"), (2, 1, "MUG"), (3, 2, "MUG")]),
        format!(
            "{BEGIN} ((`sku` = 'CUP' AND `order_key` = x'01' AND `shipment` IN (1, 2)) \
             OR (`sku` = 'MUG' AND ((`order_key` = x'02' AND `shipment` = 1) \
             OR (`order_key` = x'03' AND `shipment` = 2)))){}",
            end(4)
        )
    );
    // Of one SKU: no row but those of these orders is looked at.
    assert_eq!(
        delete(&[(1, 1, "MUG"), (1, 2, "MUG"), (2, 2, "MUG")]),
        format!(
            "{BEGIN} `sku` = 'MUG' AND `order_key` IN (x'01', x'02') \
             AND IF(`order_key` < x'02', `shipment` IN (1, 2), `shipment` = 2){}",
            end(3)
        )
    );
}
