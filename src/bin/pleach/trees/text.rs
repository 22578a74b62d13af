//! Numbers and sizes in a narrow column.

/// A number in at most five characters, e.g. `9999`, `12.3k`, `4M`.
pub(crate) fn short(number: f64) -> String {
    scaled(number, 1000.0)
}

/// A number of bytes in at most five characters, e.g. `9999`, `12.3k`, `4M`, in powers of 1024.
pub(crate) fn bytes(number: f64) -> String {
    scaled(number, 1024.0)
}

fn scaled(number: f64, step: f64) -> String {
    if number < 9999.5 {
        return format!("{number:.0}");
    }
    let (mut number, mut unit) = (number, 0);
    while number >= step * 0.9995 && unit + 1 < UNITS.len() {
        number /= step;
        unit += 1;
    }
    let unit = UNITS[unit];
    if number < 99.95 { format!("{number:.1}{unit}") } else { format!("{number:.0}{unit}") }
}

const UNITS: [&str; 6] = ["", "k", "M", "G", "T", "P"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let numbers = [0.0, 9999.0, 10_000.0, 123_456.0, 999_990.0, 1.23e9, 1e18];
        assert_eq!(numbers.map(short), ["0", "9999", "10.0k", "123k", "1.0M", "1.2G", "1000P"]);
        assert_eq!([1024.0, 10.0 * 1024.0, 5.0 * 1024.0 * 1024.0].map(bytes), ["1024", "10.0k", "5.0M"]);
        let mut number = 1.0;
        while number < 1e17 {
            assert!(short(number).len() <= 5 && bytes(number).len() <= 5, "{number}");
            number *= 1.03;
        }
    }
}
