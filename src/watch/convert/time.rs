//! Time stamps of objects (RFC 3339, as `metav1.Time` writes them).

const DAY: i64 = 86_400;

/// Seconds since the epoch of `2024-05-01T12:30:00Z`; fractions of a second are dropped.
pub(super) fn unix_seconds(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', 't'])?;
    let mut date = date.splitn(3, '-');
    let (year, month, day) = (
        number(date.next()?, 4, 0..=9999)?,
        number(date.next()?, 2, 1..=12)?,
        number(date.next()?, 2, 1..=31)?,
    );
    let (clock, offset) = split_offset(time)?;
    let clock = clock.split_once('.').map_or(clock, |(whole, _)| whole);
    let mut clock = clock.splitn(3, ':');
    let (hour, minute, second) = (
        number(clock.next()?, 2, 0..=23)?,
        number(clock.next()?, 2, 0..=59)?,
        number(clock.next()?, 2, 0..=60)?,
    );
    Some(days(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset)
}

/// The clock's text and the zone's distance from UTC in seconds.
fn split_offset(time: &str) -> Option<(&str, i64)> {
    if let Some(clock) = time.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let at = time.rfind(['+', '-'])?;
    let (clock, offset) = time.split_at(at);
    let sign = if offset.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let seconds = number(hours, 2, 0..=23)? * 3600 + number(minutes, 2, 0..=59)? * 60;
    Some((clock, sign * seconds))
}

fn number(text: &str, digits: usize, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
    let plain = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
    let value = plain.then(|| text.parse().ok()).flatten()?;
    range.contains(&value).then_some(value)
}

/// Days from the epoch to a date of the Gregorian calendar (Hinnant's `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}
