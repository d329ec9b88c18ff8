//! The text format: `# HELP`, `# TYPE`, and one line per sample.

use std::fmt::{Display, Write};

use super::Histogram;

/// What a family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A page of metrics in the making. Every name gets the prefix `kube_router_`.
#[derive(Debug, Default)]
pub struct Text {
    page: String,
}

type Label<'a> = (&'a str, &'a str);

// === impl Text ===

impl Text {
    /// What a page begins its names with.
    pub const PREFIX: &'static str = "kube_router_";

    /// Announces a family; its samples follow.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let prefix = Self::PREFIX;
        self.line(format_args!("# HELP {prefix}{name} {help}"));
        self.line(format_args!("# TYPE {prefix}{name} {kind}"));
    }

    /// One sample of a counter or gauge.
    pub fn sample(&mut self, name: &str, labels: &[Label<'_>], value: impl Display) {
        self.page.push_str(Self::PREFIX);
        self.page.push_str(name);
        self.labels(labels, None);
        self.line(format_args!(" {value}"));
    }

    /// All samples of one histogram, in seconds.
    pub fn histogram(&mut self, name: &str, labels: &[Label<'_>], histogram: &Histogram) {
        // In this order: see `Histogram::observe`.
        let cumulated: Vec<(f64, u64)> = histogram.cumulated().collect();
        let count = histogram.count();
        for (bound, up_to) in cumulated {
            self.bucket(name, labels, &bound.to_string(), up_to);
        }
        self.bucket(name, labels, "+Inf", count);
        let sum = histogram.sum().as_secs_f64();
        self.sample(&format!("{name}_sum"), labels, sum);
        self.sample(&format!("{name}_count"), labels, count);
    }

    /// The page as it is sent.
    #[must_use]
    pub fn into_string(self) -> String {
        self.page
    }

    fn bucket(&mut self, name: &str, labels: &[Label<'_>], bound: &str, up_to: u64) {
        self.page.push_str(Self::PREFIX);
        self.page.push_str(name);
        self.page.push_str("_bucket");
        self.labels(labels, Some(("le", bound)));
        self.line(format_args!(" {up_to}"));
    }

    fn labels(&mut self, labels: &[Label<'_>], last: Option<Label<'_>>) {
        let mut before = '{';
        for (name, value) in labels.iter().chain(&last) {
            self.page.push(before);
            self.page.push_str(name);
            self.page.push_str("=\"");
            for c in value.chars() {
                match c {
                    '\\' => self.page.push_str("\\\\"),
                    '"' => self.page.push_str("\\\""),
                    '\n' => self.page.push_str("\\n"),
                    c => self.page.push(c),
                }
            }
            self.page.push('"');
            before = ',';
        }
        if before == ',' {
            self.page.push('}');
        }
    }

    fn line(&mut self, rest: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.page.write_fmt(rest);
        self.page.push('\n');
    }
}
