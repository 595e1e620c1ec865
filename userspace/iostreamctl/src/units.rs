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

/// Reads a number of things. It has no suffix: K would be 1000 to some and 1024 to others.
pub fn parse_count(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| "a number without a suffix is expected, such as 1000".to_owned())
}

/// Reads a time with its unit: us, ms, s, min or h.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = "a time with its unit is expected: 500us, 10ms, 2s, 5min or 1h";
    let unit = text
        .find(|c: char| c.is_ascii_alphabetic())
        .ok_or_else(|| wrong.to_owned())?;
    let (number, unit) = text.split_at(unit);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong.to_owned()),
    };
    let number: f64 = number.parse().map_err(|_| wrong.to_owned())?;
    match Duration::try_from_secs_f64(number * seconds) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err("a time above zero is expected".to_owned()),
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
    fn times_have_units() {
        for (text, micros) in [
            ("500us", 500),
            ("0.5ms", 500),
            ("2s", 2_000_000),
            ("0.25s", 250_000),
            ("5min", 300_000_000),
            ("1h", 3_600_000_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_micros(micros)));
        }
        for wrong in [
            "", "0s", "-1s", "10", "nan", "nans", "infs", "1d", "s", "1 sec",
        ] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn counts_have_no_suffix() {
        assert_eq!(parse_count("1000"), Ok(1000));
        for wrong in ["1K", "1k", "1Ki", "-1", ""] {
            assert!(parse_count(wrong).is_err(), "{wrong}");
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
    fn people_read_bytes() {
        assert_eq!(human_bytes(1023), "1023 B");
        assert_eq!(human_bytes(1536), "1.5 KiB");
        assert_eq!(human_bytes(1 << 50), "1024.0 TiB");
        assert_eq!(per_second(10, Duration::ZERO), 0);
        assert_eq!(per_second(10, Duration::from_millis(500)), 20);
    }
}
