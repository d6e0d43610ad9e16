//! One run of the bench, and what it tells.

use serde_json::{Map, Value};

use crate::report::{Series, Setting};
use crate::service::Service;
use crate::{
    Bench, audit, baseline, detail, feed, growth, overload, profile, projection, raw, readers,
    replicas, report, secondaries,
};

/// All that was measured, as far as it was asked for.
pub(super) struct Measured {
    series: Vec<Series>,
    replicas: Option<replicas::Replicas>,
    readers: Option<readers::Readers>,
    secondaries: Option<secondaries::Secondaries>,
    overload: Option<overload::Overload>,
    feed: Option<feed::Feed>,
    projection: Option<projection::Projection>,
    sizes: Vec<growth::Size>,
    baseline: Option<baseline::Baseline>,
}

impl Measured {
    pub(super) async fn of(bench: &mut Bench, service: &Service) -> anyhow::Result<Self> {
        let raw_create = bench.best_clients(raw::Task::Create).await?;
        let raw_cancel = bench.best_clients(raw::Task::Cancel).await?;
        bench.fill_list().await?;
        let mut series = bench.all_series(raw_create, raw_cancel);
        for round in 0..bench.args.rounds {
            bench.round(round, &mut series).await?;
        }
        series.sort_by_key(|one| (one.kind, one.callers));
        let replicas = if bench.args.replicas {
            Some(replicas::compare(bench).await?)
        } else {
            None
        };
        let readers = match bench.args.readers {
            Some(readers) => Some(readers::measure(bench, &service.url, readers).await?),
            None => None,
        };
        let secondaries = match bench.args.secondary.clone() {
            Some(root) => Some(secondaries::measure(bench, &root).await?),
            None => None,
        };
        let overload = match bench.args.overload {
            Some(times) => Some(overload::measure(bench, &service.url, times).await?),
            None => None,
        };
        let feed = if bench.args.feed {
            Some(feed::measure(bench, service).await?)
        } else {
            None
        };
        let projection = if bench.args.feed {
            Some(projection::measure(bench).await?)
        } else {
            None
        };
        let sizes = growth::measure(bench, raw_cancel).await?;
        let baseline = match &bench.args.baseline_built {
            Some(built) => Some(baseline::measure(&bench.args, built).await?),
            None => None,
        };
        Ok(Self {
            series,
            replicas,
            readers,
            secondaries,
            overload,
            feed,
            projection,
            sizes,
            baseline,
        })
    }

    /// What people read.
    pub(super) fn lines(&self, bench: &Bench, comparisons: &[audit::Comparison]) -> Vec<String> {
        let mut lines: Vec<String> = bench
            .details
            .iter()
            .flat_map(detail::Detail::lines)
            .collect();
        lines.extend(bench.profiles.iter().flat_map(profile::Profile::lines));
        lines.extend(report::audit(comparisons));
        lines.push(
            "Every acknowledged command is there, and the positions of the events have no gaps."
                .to_owned(),
        );
        lines.push(String::new());
        lines.extend(report::table(&self.series));
        lines.extend(self.replicas.iter().map(replicas::Replicas::line));
        lines.extend(self.readers.iter().flat_map(readers::Readers::lines));
        lines.extend(
            self.secondaries
                .iter()
                .flat_map(secondaries::Secondaries::lines),
        );
        lines.extend(self.overload.iter().flat_map(overload::Overload::lines));
        lines.extend(self.feed.iter().flat_map(feed::Feed::lines));
        lines.extend(
            self.projection
                .iter()
                .flat_map(projection::Projection::lines),
        );
        lines.extend(growth::lines(&self.sizes));
        lines.extend(self.baseline.iter().flat_map(baseline::Baseline::lines));
        lines
    }

    /// The same by name.
    pub(super) fn figures(&self, setting: &Setting) -> Map<String, Value> {
        let mut figures = report::figures(&self.series, setting);
        let all = &mut figures;
        self.replicas.iter().for_each(|one| one.add_to(all));
        self.readers.iter().for_each(|one| one.add_to(all));
        self.secondaries.iter().for_each(|one| one.add_to(all));
        self.overload.iter().for_each(|one| one.add_to(all));
        self.feed.iter().for_each(|one| one.add_to(all));
        self.projection.iter().for_each(|one| one.add_to(all));
        growth::add_to(&self.sizes, all);
        self.baseline.iter().for_each(|one| one.add_to(all));
        figures
    }
}
