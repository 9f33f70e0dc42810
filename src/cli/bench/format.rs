//! Numbers as people read them.

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    PerSecond,
    PerMinute,
    Micros,
    MillisPerMinute,
    Bytes,
    /// Bytes of a process.
    Memory,
    PerJob,
}

impl Unit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::PerSecond => "1/s",
            Self::PerMinute => "1/min",
            Self::Micros => "us",
            Self::MillisPerMinute => "ms/min",
            Self::Bytes | Self::Memory => "bytes",
            Self::PerJob => "1/job",
        }
    }

    /// The number with its unit.
    pub(super) fn show(self, value: f64) -> String {
        let amount = self.amount(value);
        match self {
            Self::PerSecond => format!("{amount}/s"),
            Self::PerMinute => format!("{amount}/min"),
            Self::Micros => format!("{amount} us"),
            Self::MillisPerMinute => format!("{amount} ms/min"),
            Self::Bytes => format!("{amount} B"),
            Self::Memory => format!("{amount} MiB"),
            Self::PerJob => amount,
        }
    }

    /// The number alone, for a place where the unit stands already.
    pub(super) fn amount(self, value: f64) -> String {
        digits(if self == Self::Memory { value / 1_048_576.0 } else { value })
    }
}

/// A number with about three digits after which nobody looks, and thousands apart.
pub(super) fn digits(value: f64) -> String {
    let decimals = match value.abs() {
        0.0 => 0,
        small if small < 1.0 => 3,
        small if small < 10.0 => 2,
        middle if middle < 100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.decimals$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut shown = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) && !shown.ends_with('-') {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_few_digits_and_thousands_apart() {
        let shown = [0.0, 0.0213, 3.456, 45.67, 345.6, 1_234_567.8].map(digits);
        assert_eq!(shown, ["0", "0.021", "3.46", "45.7", "346", "1,234,568"]);
    }

    #[test]
    fn units_follow_their_numbers() {
        assert_eq!(Unit::PerSecond.show(100_000.0), "100,000/s");
        assert_eq!(Unit::Memory.show(1_048_576.0), "1.00 MiB");
    }
}
