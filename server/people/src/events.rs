//! `belay events tail`.

use clap::{Args, Subcommand};

use crate::connection::Connection;
use crate::failure::Failure;
use crate::orders::told;
use crate::output::line;

#[derive(Debug, Args)]
pub struct Events {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: EventsCommand,
}

#[derive(Debug, Subcommand)]
enum EventsCommand {
    /// Print events as they come, one a line, until it is ended. With --output json, one object a
    /// line.
    Tail {
        /// Begin with the oldest that the feed still has, instead of with what comes next.
        #[arg(long)]
        from_oldest: bool,
        /// Only of this order.
        #[arg(long)]
        order: Option<String>,
        /// End after so many.
        #[arg(long)]
        count: Option<u32>,
    },
}

impl Events {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let EventsCommand::Tail {
            from_oldest,
            order,
            count,
        } = self.command;
        let mut watch = self.connection.belay()?.watch_events();
        watch = watch.store_id(self.connection.store_id()?);
        if let Some(order) = order {
            watch = watch.order_id(order);
        }
        if from_oldest {
            watch = watch.from_oldest();
        }
        let mut stream = watch.await?;
        let mut left = count.unwrap_or(u32::MAX);
        while left > 0 {
            let Some(batch) = stream.try_next().await? else {
                return Ok(());
            };
            for event in batch.events.iter().take(crate::output::length(left)) {
                if self.connection.output.is_for_people() {
                    line(&told(event)?)?;
                } else {
                    line(&crate::output::value(event)?.to_string())?;
                }
                left = left.saturating_sub(1);
            }
        }
        Ok(())
    }
}
