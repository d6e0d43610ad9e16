//! `belay cancel`: a request, or what would come of it.

use belay_client::Units;
use belay_client::model::{CancellationPath, CancellationPreview};
use clap::Args;

use crate::connection::Connection;
use crate::explain::{options, reasons};
use crate::failure::Failure;
use crate::names::named;
use crate::output::{Paint, line, painted};

#[derive(Debug, Args)]
pub struct Cancel {
    #[command(flatten)]
    connection: Connection,
    /// The order.
    order: String,
    /// Only what is in this shipment.
    #[arg(long, conflicts_with = "line")]
    shipment: Option<String>,
    /// Only so many units of a line, such as A-1:l1=2. May be given more than once.
    #[arg(long, value_parser = line_quantity, value_name = "LINE=QUANTITY")]
    line: Vec<(String, i32)>,
    /// Why, as a code of the policy, such as NO_LONGER_WANTED.
    #[arg(long)]
    reason: Option<String>,
    /// The paths to take, best first: CANCEL alone where none is named.
    #[arg(long, value_parser = path, value_delimiter = ',')]
    path: Vec<CancellationPath>,
    /// A note, where the reason asks for one.
    #[arg(long, default_value = "")]
    note: String,
    /// Change nothing, and say what would come of it: exit code 1 where it would be rejected.
    #[arg(long)]
    dry_run: bool,
}

fn line_quantity(text: &str) -> Result<(String, i32), String> {
    let malformed = "must be a line and a quantity, such as A-1:l1=2";
    let (line, quantity) = text.rsplit_once('=').ok_or(malformed)?;
    let quantity = quantity.parse().map_err(|_| malformed)?;
    Ok((line.to_owned(), quantity))
}

pub(crate) fn path(name: &str) -> Result<CancellationPath, String> {
    const PATHS: [CancellationPath; 5] = [
        CancellationPath::Cancel,
        CancellationPath::Intercept,
        CancellationPath::RefuseDelivery,
        CancellationPath::ReturnUnopened,
        CancellationPath::ReturnOpened,
    ];
    named(name, &PATHS)
}

impl Cancel {
    fn units(&self) -> Units {
        match &self.shipment {
            Some(shipment) => Units::shipment(shipment.as_str()),
            None if self.line.is_empty() => Units::all(),
            None => {
                let lines = self.line.iter();
                Units::lines(lines.map(|(line, quantity)| (line.as_str(), *quantity)))
            }
        }
    }

    pub(crate) async fn run(self) -> Result<(), Failure> {
        let store = self.connection.store()?;
        let output = self.connection.output;
        let units = self.units();
        if self.dry_run {
            let mut preview = store.preview_cancellation(self.order.as_str(), units);
            if let Some(reason) = self.reason {
                preview = preview.reason(reason);
            }
            if !self.path.is_empty() {
                preview = preview.paths(self.path);
            }
            let preview = preview.await?;
            if output.is_for_people() {
                show(&preview)?;
            } else {
                output.one(&preview)?;
            }
            return if preview.allowed {
                Ok(())
            } else {
                Err(Failure::no())
            };
        }
        let mut request = store.request_cancellation(self.order.as_str(), units);
        if let Some(reason) = self.reason {
            request = request.reason(reason);
        }
        if !self.path.is_empty() {
            request = request.paths(self.path);
        }
        let requested = request.note(self.note).await?;
        output.one(&requested.cancellation)
    }
}

/// What would come of it, for people.
fn show(preview: &CancellationPreview) -> Result<(), Failure> {
    let verdict = if preview.allowed {
        painted(Paint::Good, "would be accepted")
    } else {
        painted(Paint::Bad, "would be rejected")
    };
    line(&verdict)?;
    reasons(preview)?;
    if let Some(refund) = &preview.expected_refund {
        line(&format!("refund {}", refund.total))?;
    }
    if preview.counted {
        line("counts against the seller")?;
    }
    options(preview, &crate::sources::Sources::default())
}
