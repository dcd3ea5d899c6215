//! Durations and sizes as people write them: `"250ms"`, `"16MiB"`.

use std::time::Duration;

/// What a duration looks like, for error messages.
pub(super) const DURATION: &str = "a duration with its unit, such as 250ms, 10s, 5m or 1h";
/// What a size looks like, for error messages.
pub(super) const SIZE: &str = "a size with its unit, such as 64KiB, 1MiB or 1GiB";

/// Names and sizes of time units, smallest first, in nanoseconds.
const TIMES: [(&str, u64); 5] = [
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Names and sizes of size units, smallest first, in bytes.
const SIZES: [(&str, u64); 4] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// Reads a duration: a number, which may have a fraction, and a unit. A bare `0` is zero.
pub(super) fn duration(text: &str) -> Option<Duration> {
    scaled(text, &TIMES).map(Duration::from_nanos)
}

/// Reads a size in bytes: a number, which may have a fraction, and a unit.
pub(super) fn size(text: &str) -> Option<usize> {
    scaled(text, &SIZES).and_then(|bytes| usize::try_from(bytes).ok())
}

/// The shortest exact way to write a duration that [`duration`] reads back, down to 1 µs.
pub(super) fn show_duration(duration: Duration) -> String {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    if nanos == 0 {
        return "0s".to_owned();
    }
    show(nanos, &TIMES)
}

/// The shortest exact way to write a size that [`size`] reads back.
pub(super) fn show_size(bytes: usize) -> String {
    show(u64::try_from(bytes).unwrap_or(u64::MAX), &SIZES)
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    if number == "0" && unit.is_empty() {
        return Some(0);
    }
    let (_, scale) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if number.ends_with('.') {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(*scale)?;
    whole.checked_add(part(fraction, *scale)?)
}

/// The fraction `0.DIGITS` of `scale`, rounded down; nine digits are the most anybody needs.
fn part(digits: &str, scale: u64) -> Option<u64> {
    if digits.is_empty() {
        return Some(0);
    }
    let places = u32::try_from(digits.len())
        .ok()
        .filter(|places| *places <= 9)?;
    let amount = digits.parse::<u64>().ok()?;
    let part = u128::from(amount) * u128::from(scale) / u128::from(10_u64.pow(places));
    u64::try_from(part).ok()
}

fn show(amount: u64, units: &[(&str, u64)]) -> String {
    let fitting = units
        .iter()
        .rev()
        .find(|(_, scale)| amount.is_multiple_of(*scale));
    match fitting.or(units.first()) {
        Some((name, scale)) => format!("{}{name}", amount / scale),
        None => amount.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations() {
        let cases = [
            ("250ms", 250_000),
            ("10s", 10_000_000),
            ("1.5s", 1_500_000),
            ("5 m", 300_000_000),
            ("1h", 3_600_000_000),
            ("50us", 50),
            ("0", 0),
            ("0s", 0),
        ];
        for (text, micros) in cases {
            assert_eq!(
                duration(text),
                Some(Duration::from_micros(micros)),
                "{text}"
            );
        }
        for text in [
            "",
            "10",
            "s",
            "-1s",
            "1.s",
            "1..5s",
            "10 sec",
            "1e3s",
            "99999999999999h",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn reads_sizes() {
        for (text, bytes) in [
            ("1MiB", 1 << 20),
            ("64KiB", 65_536),
            ("0.5MiB", 1 << 19),
            ("12B", 12),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "1", "1MB", "1 Mib", "99999999999GiB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for text in ["250ms", "10s", "5m", "1h", "90s", "1500ms", "0s", "7us"] {
            assert_eq!(duration(text).map(show_duration).as_deref(), Some(text));
        }
        for text in ["1MiB", "1GiB", "1025B", "3KiB"] {
            assert_eq!(size(text).map(show_size).as_deref(), Some(text));
        }
    }
}
