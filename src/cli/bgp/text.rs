//! Columns, durations and attributes as operators of other routers know them. Pure.

use crate::control::Attributes;

/// How a column is filled up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Rows under a heading; columns are as wide as their widest cell so far.
#[derive(Debug)]
pub(super) struct Columns<const N: usize> {
    align: [Align; N],
    widths: [usize; N],
}

// === impl Columns ===

impl<const N: usize> Columns<N> {
    pub(super) fn new(align: [Align; N]) -> Self {
        Self {
            align,
            widths: [0; N],
        }
    }

    /// The rows as lines, two spaces between the columns.
    pub(super) fn lines(&mut self, rows: &[[String; N]]) -> String {
        for row in rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        rows.iter().map(|row| self.line(row)).collect()
    }

    fn line(&self, row: &[String; N]) -> String {
        let mut line = String::new();
        let columns = row.iter().zip(self.widths).zip(self.align);
        for (at, ((cell, width), align)) in columns.enumerate() {
            if at > 0 {
                line.push_str("  ");
            }
            match align {
                Align::Left => line.push_str(&format!("{cell:<width$}")),
                Align::Right => line.push_str(&format!("{cell:>width$}")),
            }
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }
}

/// `00:01:02`, `1d02h03m` from a day on, `1w2d03h` from a week on.
pub(super) fn duration(seconds: u64) -> String {
    const DAY: u64 = 86_400;
    const WEEK: u64 = 7 * DAY;
    let (days, hours) = (seconds % WEEK / DAY, seconds % DAY / 3600);
    let (minutes, rest) = (seconds % 3600 / 60, seconds % 60);
    match seconds {
        0..DAY => format!("{hours:02}:{minutes:02}:{rest:02}"),
        DAY..WEEK => format!("{days}d{hours:02}h{minutes:02}m"),
        _ => format!("{}w{days}d{hours:02}h", seconds / WEEK),
    }
}

/// The letter behind an AS path.
pub(super) fn origin(attributes: &Attributes) -> &'static str {
    match &*attributes.origin {
        "IGP" => "i",
        "EGP" => "e",
        _ => "?",
    }
}

/// Path and origin in one column.
pub(super) fn path(attributes: &Attributes) -> String {
    match attributes.as_path.is_empty() {
        true => origin(attributes).to_owned(),
        false => format!("{} {}", attributes.as_path, origin(attributes)),
    }
}

/// All attributes, a line for each kind, indented.
pub(super) fn attributes(of: &Attributes, indent: &str) -> String {
    let mut text = String::new();
    let mut line = |words: String| text.push_str(&format!("{indent}{words}\n"));
    let link_local = of.next_hop_link_local;
    let link_local = link_local.map_or_else(String::new, |address| format!(" ({address})"));
    let path = match of.as_path.is_empty() {
        true => "empty",
        false => &of.as_path,
    };
    line(format!(
        "next hop {}{link_local}, AS path {path}",
        of.next_hop
    ));
    let mut words = vec![format!("origin {}", of.origin)];
    words.extend(
        of.local_pref
            .map(|value| format!("local preference {value}")),
    );
    words.extend(of.med.map(|value| format!("MED {value}")));
    words.extend(of.atomic_aggregate.then(|| "atomic aggregate".to_owned()));
    let aggregator = of.aggregator.as_ref();
    words.extend(aggregator.map(|value| format!("aggregator {value}")));
    line(words.join(", "));
    let lists = [
        ("communities", &of.communities),
        ("extended communities", &of.extended_communities),
        ("large communities", &of.large_communities),
    ];
    for (name, list) in lists {
        if !list.is_empty() {
            line(format!("{name} {}", list.join(" ")));
        }
    }
    if let Some(originator) = of.originator_id {
        let clusters = of.cluster_list.iter().map(ToString::to_string);
        let clusters: Vec<String> = clusters.collect();
        line(format!(
            "originator {originator}, cluster list {}",
            clusters.join(" ")
        ));
    }
    if !of.unknown_attributes.is_empty() {
        let codes = of.unknown_attributes.iter().map(ToString::to_string);
        let codes: Vec<String> = codes.collect();
        line(format!("unknown attributes {}", codes.join(" ")));
    }
    text
}

/// `1 path`, `2 paths`.
pub(super) fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}
