//! From a report to the text of a page. Pure.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use crate::control::Answer;
use crate::reconcile::{ConditionReport, HealthReport, PartReport};

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub status: u16,
    pub content_type: &'static str,
    pub body: String,
}

pub(super) const PLAIN: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

// === impl Page ===

impl Page {
    pub(super) fn plain(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            content_type: PLAIN,
            body: body.into(),
        }
    }

    /// `/healthz`.
    #[must_use]
    pub fn healthz(report: &HealthReport) -> Self {
        match report.unhealthy() {
            reasons if reasons.is_empty() => Self::plain(200, "OK\n"),
            reasons => Self::plain(500, format!("Unhealthy\n{}\n", reasons.join("\n"))),
        }
    }

    /// `/readyz`.
    #[must_use]
    pub fn readyz(report: &HealthReport, verbose: bool) -> Self {
        let reasons = report.unready();
        let (status, mut body) = match reasons.is_empty() {
            true => (200, "OK\n".to_owned()),
            false => (503, format!("Not ready\n{}\n", reasons.join("\n"))),
        };
        if verbose {
            body.push('\n');
            report
                .conditions
                .iter()
                .for_each(|condition| condition_lines(&mut body, condition));
            report
                .parts
                .iter()
                .for_each(|part| part_lines(&mut body, part));
            for note in &report.notes {
                body.push_str(&format!("left out: {note}\n"));
            }
        }
        Self::plain(status, body)
    }

    /// `/statez`.
    #[must_use]
    pub fn statez(report: &HealthReport) -> Self {
        let body = json!({
            "healthy": report.unhealthy().is_empty(),
            "ready": report.unready().is_empty(),
            "reasons": report.unready(),
            "notes": report.notes,
            "status": report.status(),
            "conditions": report.conditions.iter().map(condition_json).collect::<Vec<_>>(),
            "parts": report.parts.iter().map(part_json).collect::<Vec<_>>(),
        });
        Self {
            status: 200,
            content_type: JSON,
            body: format!("{body:#}\n"),
        }
    }
}

impl From<Answer> for Page {
    fn from(answer: Answer) -> Self {
        Self {
            status: answer.status,
            content_type: JSON,
            body: answer.body,
        }
    }
}

fn condition_lines(body: &mut String, condition: &ConditionReport) {
    let state = condition.fault.as_deref().unwrap_or("ok");
    // Writing to a String cannot fail.
    let _ = writeln!(
        body,
        "{}: {state} (for {} s)",
        condition.name,
        condition.age.as_secs()
    );
}

fn part_lines(body: &mut String, part: &PartReport) {
    let state = match (&part.fault, part.failing) {
        (Some(fault), _) => fault.clone(),
        (None, Some(age)) => format!("failing for {} s", age.as_secs()),
        (None, None) if part.complete => "ok".to_owned(),
        (None, None) => "no complete pass yet".to_owned(),
    };
    let last_error = part.last_error.as_ref();
    let lines = [
        Some(format!("{}: {state}", part.name)),
        Some(format!(
            "  state: {}, {} failed",
            part.summary, part.failed_now
        ))
        .filter(|_| part.passes > 0),
        Some(format!("  progress: {}", ago(Some(part.progress)))),
        Some(format!("  last success: {}", ago(part.last_success))),
        Some(format!("  last read-back: {}", ago(part.read_back))),
        Some(format!(
            "  applied snapshot arrived: {}",
            ago(part.snapshot)
        )),
        last_error.map(|(age, error)| format!("  last error: {}: {error}", ago(Some(*age)))),
        Some(format!(
            "  passes {}, changes {}, failures {}, panics {}",
            part.passes, part.changes, part.failures, part.panics
        )),
    ];
    let notes = part.notes.iter().map(|note| format!("  left out: {note}"));
    for line in lines.into_iter().flatten().chain(notes) {
        body.push_str(&line);
        body.push('\n');
    }
}

fn ago(age: Option<Duration>) -> String {
    age.map_or_else(
        || "never".to_owned(),
        |age| format!("{} s ago", age.as_secs()),
    )
}

fn condition_json(condition: &ConditionReport) -> Value {
    json!({
        "name": condition.name,
        "fault": condition.fault,
        "needed": condition.needed,
        "ageSeconds": condition.age.as_secs_f64(),
    })
}

fn part_json(part: &PartReport) -> Value {
    let seconds = |age: Option<Duration>| age.map(|age| age.as_secs_f64());
    let last_error = part.last_error.as_ref();
    json!({
        "name": part.name,
        "fault": part.fault,
        "complete": part.complete,
        "summary": part.summary,
        "failedNow": part.failed_now,
        "progressAgeSeconds": part.progress.as_secs_f64(),
        "lastSuccessAgeSeconds": seconds(part.last_success),
        "failingSeconds": seconds(part.failing),
        "lastError": last_error.map(|(age, error)| json!({ "ageSeconds": age.as_secs_f64(), "reason": error })),
        "readBackAgeSeconds": seconds(part.read_back),
        "snapshotAgeSeconds": seconds(part.snapshot),
        "passes": part.passes,
        "changes": part.changes,
        "failures": part.failures,
        "panics": part.panics,
        "notes": part.notes,
    })
}
