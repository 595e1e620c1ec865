// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sizes, times and rates, as people write and read them.

use std::time::Duration;

/// A size, or a range of sizes to choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The smallest.
    pub min: u32,
    /// The largest.
    pub max: u32,
}

/// Reads a number with an optional K, M or G.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1 << 10),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 1 << 20),
        Some(b'g' | b'G') => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "a number is expected, such as 4096, 64K or 1M".to_owned())?;
    number
        .checked_mul(factor)
        .ok_or_else(|| "the number is too large".to_owned())
}

/// Reads `SIZE` or `MIN-MAX`.
pub fn parse_sizes(text: &str) -> Result<Sizes, String> {
    let (min, max) = text.split_once('-').unwrap_or((text, text));
    let size = |text| {
        u32::try_from(parse_bytes(text)?).map_err(|_| "an entry must be shorter than 4G".to_owned())
    };
    let (min, max) = (size(min)?, size(max)?);
    if min == 0 {
        return Err("an entry of 0 bytes carries nothing: at least 1 is expected".to_owned());
    }
    if min > max {
        return Err("the range is empty: the smaller size comes first".to_owned());
    }
    Ok(Sizes { min, max })
}

/// Reads seconds, which may have a fraction.
pub fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "seconds are expected, such as 2 or 0.5".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err("a time above zero is expected".to_owned()),
    }
}

/// Reads milliseconds, which may have a fraction.
pub fn parse_milliseconds(text: &str) -> Result<Duration, String> {
    let wrong = "milliseconds above zero are expected, such as 10 or 0.5";
    let milliseconds: f64 = text.parse().map_err(|_| wrong.to_owned())?;
    match Duration::try_from_secs_f64(milliseconds / 1000.0) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err(wrong.to_owned()),
    }
}

/// Bytes in a form for people: `17 B`, `1.2 KiB`.
pub fn human_bytes(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

/// A count per second; 0 if no time has passed.
pub fn per_second(count: u64, elapsed: Duration) -> u64 {
    let seconds = elapsed.as_secs_f64();
    if seconds == 0.0 {
        return 0;
    }
    (count as f64 / seconds) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_may_have_fractions() {
        assert_eq!(parse_milliseconds("20"), Ok(Duration::from_millis(20)));
        assert_eq!(parse_milliseconds("0.5"), Ok(Duration::from_micros(500)));
        for wrong in ["", "0", "-1", "10ms", "nan", "inf"] {
            assert!(parse_milliseconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn bytes_have_suffixes() {
        assert_eq!(parse_bytes("17"), Ok(17));
        assert_eq!(parse_bytes("64K"), Ok(65536));
        assert_eq!(parse_bytes("2m"), Ok(2 << 20));
        assert_eq!(parse_bytes("1G"), Ok(1 << 30));
        for wrong in ["", "K", "-1", "1.5K", "99999999999999999999", "1Ti", "ü"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
        assert!(parse_bytes("99999999999999G").is_err());
    }

    #[test]
    fn sizes_are_one_or_a_range() {
        assert_eq!(parse_sizes("8"), Ok(Sizes { min: 8, max: 8 }));
        assert_eq!(parse_sizes("1-4K"), Ok(Sizes { min: 1, max: 4096 }));
        for wrong in ["0", "4-2", "1-", "-", "8G"] {
            assert!(parse_sizes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn seconds_may_have_a_fraction() {
        assert_eq!(parse_seconds("0.25"), Ok(Duration::from_millis(250)));
        for wrong in ["0", "-1", "nan", "inf", "x"] {
            assert!(parse_seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn people_read_bytes() {
        assert_eq!(human_bytes(1023), "1023 B");
        assert_eq!(human_bytes(1536), "1.5 KiB");
        assert_eq!(human_bytes(1 << 50), "1024.0 TiB");
        assert_eq!(per_second(10, Duration::ZERO), 0);
        assert_eq!(per_second(10, Duration::from_millis(500)), 20);
    }
}
