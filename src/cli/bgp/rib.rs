//! Routes: page by page as a table, and those of one prefix in full.

use std::io::Write;

use super::Failed;
use super::args::{BgpArgs, Selection};
use super::client::ask;
use super::text::{Align, Columns, attributes, count, path};
use crate::control::{PAGE, Query, Rib, Route, Table};

const LEGEND: &str = "\
Status: * valid, > best, = used with the best, s stale, l stale for long, x can't be chosen
Origin: i IGP, e EGP, ? incomplete

";

const LEGEND_OUT: &str = "\
Status: * told, p to be told next, s stale, l stale for long
Origin: i IGP, e EGP, ? incomplete

";

type Row = [String; 7];

/// Asks for all pages, and writes each as it comes.
pub(super) fn show(
    args: &BgpArgs,
    selection: Selection,
    out: &mut dyn Write,
) -> Result<(), Failed> {
    let mut after = None;
    let mut table = Columns::new([
        Align::Left,
        Align::Left,
        Align::Left,
        Align::Right,
        Align::Right,
        Align::Left,
        Align::Left,
    ]);
    let mut shown = 0;
    loop {
        let query = Query::Rib {
            table: selection.table,
            peer: selection.peer,
            prefix: selection.prefix,
            after,
            limit: PAGE,
        };
        let page: Rib = ask(&args.socket, &query)?;
        if args.json {
            write_json(&page, shown, out)?;
        } else if selection.prefix.is_some() {
            out.write_all(in_full(&page).as_bytes())?;
        } else {
            let text = rows(&page, shown == 0, &mut table);
            out.write_all(text.as_bytes())?;
        }
        shown += page.routes.len();
        // Each page begins behind the one before, so that this ends.
        match page
            .next
            .filter(|next| after.is_none_or(|after| after < *next))
        {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    if args.json {
        writeln!(out, "\n]}}")?;
    } else if selection.prefix.is_none() {
        writeln!(out, "{}", total(shown))?;
    }
    Ok(())
}

/// One object, a line for each route.
fn write_json(page: &Rib, shown: usize, out: &mut dyn Write) -> Result<(), Failed> {
    let text = |view| serde_json::to_string(view).map_err(std::io::Error::from);
    if shown == 0 {
        let table = serde_json::to_string(&page.table).map_err(std::io::Error::from)?;
        write!(out, "{{\"table\":{table},\"routes\":[")?;
    }
    for (at, route) in page.routes.iter().enumerate() {
        let separator = if shown + at == 0 { "\n" } else { ",\n" };
        write!(out, "{separator}{}", text(route)?)?;
    }
    Ok(())
}

fn total(shown: usize) -> String {
    match shown {
        0 => "no routes".to_owned(),
        _ => format!("\n{}", count(shown, "route")),
    }
}

/// The routes of a page as lines, with a heading above the first.
fn rows(page: &Rib, is_first: bool, table: &mut Columns<7>) -> String {
    if page.routes.is_empty() {
        return String::new();
    }
    let mut rows = Vec::new();
    if is_first {
        let peer = match page.table {
            Table::Out => "To",
            Table::Loc | Table::In => "From",
        };
        let heading = ["", "Network", "Next Hop", "Metric", "LocPrf", peer, "Path"];
        rows.push(heading.map(str::to_owned));
    }
    rows.extend(page.routes.iter().map(|route| row(route, page.table)));
    let legend = match (is_first, page.table) {
        (false, _) => "",
        (true, Table::Out) => LEGEND_OUT,
        (true, Table::Loc | Table::In) => LEGEND,
    };
    format!("{legend}{}", table.lines(&rows))
}

fn row(route: &Route, table: Table) -> Row {
    let of = &route.attributes;
    let number = |number: Option<u32>| number.map_or_else(String::new, |number| number.to_string());
    let mut last = path(of);
    if table == Table::In
        && !route.marks.valid
        && let Some(why_not) = &route.marks.why_not
    {
        last.push_str(&format!("  ({why_not})"));
    }
    let path_id = match route.path_id {
        0 => String::new(),
        id => format!(" #{id}"),
    };
    let peer = route.peer.map_or("-".to_owned(), |peer| peer.to_string());
    [
        marks(route),
        route.prefix.to_string(),
        of.next_hop.to_string(),
        number(of.med),
        number(of.local_pref),
        format!("{peer}{path_id}"),
        last,
    ]
}

/// Three characters.
fn marks(route: &Route) -> String {
    let marks = &route.marks;
    let first = match (marks.advertised, marks.valid) {
        (Some(true), _) | (None, true) => '*',
        (Some(false), _) => 'p',
        (None, false) => 'x',
    };
    let second = match (marks.best, marks.multipath) {
        (true, _) => '>',
        (false, true) => '=',
        (false, false) => ' ',
    };
    let third = match (marks.long_lived_stale, marks.stale) {
        (true, _) => 'l',
        (false, true) => 's',
        (false, false) => ' ',
    };
    [first, second, third].iter().collect()
}

/// The routes to one prefix with all their attributes.
fn in_full(page: &Rib) -> String {
    let mut text = String::new();
    for route in &page.routes {
        let whom = match (page.table, route.peer) {
            (_, None) => "our own".to_owned(),
            (Table::Out, Some(peer)) => format!("to {peer}"),
            (Table::Loc | Table::In, Some(peer)) => format!("from {peer}"),
        };
        let path_id = match route.path_id {
            0 => String::new(),
            id => format!(", path identifier {id}"),
        };
        text.push_str(&format!("{} {whom}{path_id}\n", route.prefix));
        text.push_str(&attributes(&route.attributes, "    "));
        text.push_str(&format!("    {}\n", state(route)));
    }
    text
}

/// What is true of a route for the time being, in words.
pub(super) fn state(route: &Route) -> String {
    let marks = &route.marks;
    let mut words = Vec::new();
    match marks.advertised {
        Some(true) => words.push("told".to_owned()),
        Some(false) => words.push("to be told next".to_owned()),
        None if marks.best => words.push("best".to_owned()),
        None => words.extend(marks.why_not.clone()),
    }
    if marks.long_lived_stale {
        words.push("stale for long".to_owned());
    } else if marks.stale {
        words.push("stale".to_owned());
    }
    words.join(", ")
}
