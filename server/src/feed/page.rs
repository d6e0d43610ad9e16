//! A page of the feed, from the table.

use belay_domain::feed::{PartitionEnds, Positions};
use belay_domain::ids::OrderKey;
use belay_proto::v1 as pb;
use belay_wire::events::Selector;

use super::{Feed, FeedError, Form};

/// Rows that one page looks at: of a filter that matches little, a page may be empty.
const PAGE_ROWS: u16 = 2_000;
/// Rows that are read at once, at least.
const CHUNK_ROWS_MIN: u16 = 64;
/// Bytes of events after which a page ends, as they are stored.
const PAGE_BYTES: usize = 1024 * 1024;

/// Events, and where they end.
#[derive(Debug)]
pub struct Page {
    pub events: Vec<pb::Event>,
    /// Behind the last row that was looked at.
    pub positions: Positions,
    /// Whether that is the end of the feed.
    pub is_last: bool,
}

impl Feed {
    /// About so many events between these positions and these ends: of every order, or of this one
    /// in its partition.
    pub async fn page(
        &self,
        positions: Positions,
        ends: &[PartitionEnds],
        order: Option<(OrderKey, u16)>,
        selector: &Selector,
        size: u16,
    ) -> Result<Page, FeedError> {
        let mut page = Page {
            events: Vec::new(),
            positions,
            is_last: true,
        };
        if let Some((_, of)) = order {
            // Nothing matches in the other partitions.
            let others = (0..).zip(ends).filter(|(partition, _)| *partition != of);
            others.for_each(|(partition, end)| page.positions.advance(partition, end.last));
        }
        let (mut looked_at, mut bytes) = (0, 0);
        for (partition, end) in (0..).zip(ends) {
            while page.positions.of(partition) < end.last {
                if looked_at >= PAGE_ROWS
                    || page.events.len() >= usize::from(size)
                    || bytes >= PAGE_BYTES
                {
                    page.is_last = false;
                    return Ok(page);
                }
                let behind = (partition, page.positions.of(partition));
                let limit = chunk_rows(size, looked_at);
                let rows = match order {
                    Some((key, _)) => self.read_order(key, behind, limit).await?,
                    None => self.read(&[behind], limit, Form::Events).await?,
                };
                if rows.is_empty() {
                    // All that there was has been pruned since the ends were read, or else follows.
                    let now = self.ends().await?;
                    page.positions.check(&now).map_err(FeedError::Position)?;
                    break;
                }
                for row in rows {
                    if page.events.len() >= usize::from(size) || bytes >= PAGE_BYTES {
                        break;
                    }
                    let before = page.events.len();
                    let selected = row.selected(&page.positions, selector);
                    page.events
                        .extend(selected.map(|event| selector.shown(event).into_owned()));
                    if page.events.len() > before {
                        bytes += row.bytes;
                    }
                    page.positions.advance(partition, row.last);
                    looked_at += 1;
                }
            }
        }
        Ok(page)
    }
}

/// Rows to read next of a page of this size that has looked at so many: no more than it may look
/// at.
fn chunk_rows(size: u16, looked_at: u16) -> u16 {
    size.max(CHUNK_ROWS_MIN).min(PAGE_ROWS - looked_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_reads_to_its_last_row_and_not_beyond() {
        assert_eq!(chunk_rows(1, 0), CHUNK_ROWS_MIN);
        assert_eq!(chunk_rows(1_000, 0), 1_000);
        assert_eq!(chunk_rows(1_000, 1_984), 16);
        // Less than a chunk is left, whatever was asked for.
        assert_eq!(
            chunk_rows(50, PAGE_ROWS - CHUNK_ROWS_MIN + 1),
            CHUNK_ROWS_MIN - 1
        );
        assert_eq!(chunk_rows(50, PAGE_ROWS - 1), 1);
    }
}
