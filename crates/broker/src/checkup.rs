//! What a store says about itself when somebody asks whether it is fit to keep jobs.

/// How good a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Grade {
    /// As it should be.
    Good,
    /// It works, and somebody should know what may happen; or it could not be read.
    Doubtful,
    /// Jobs are refused or lost, or will be.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What was looked at, in a word; no two findings of a checkup have the same.
    pub check: &'static str,
    /// How good it is.
    pub grade: Grade,
    /// What was found, and what that means for jobs.
    pub detail: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Finding {
    /// Something that is as it should be.
    #[must_use]
    pub fn good(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, grade: Grade::Good, detail: detail.into(), advice: None }
    }

    /// Something that somebody should know.
    #[must_use]
    pub fn doubtful(check: &'static str, detail: impl Into<String>) -> Self {
        Self { grade: Grade::Doubtful, ..Self::good(check, detail) }
    }

    /// Something that refuses or loses jobs.
    #[must_use]
    pub fn bad(check: &'static str, detail: impl Into<String>) -> Self {
        Self { grade: Grade::Bad, ..Self::good(check, detail) }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

/// What a look at a store's own condition found, whatever kind of store it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Checkup {
    /// The findings, in the order in which people should read them.
    pub findings: Vec<Finding>,
}

impl Checkup {
    /// A checkup with these findings.
    #[must_use]
    pub fn new(findings: Vec<Finding>) -> Self {
        Self { findings }
    }

    /// The worst grade among the findings.
    #[must_use]
    pub fn worst(&self) -> Grade {
        self.findings.iter().map(|finding| finding.grade).max().unwrap_or(Grade::Good)
    }
}

/// A number of bytes as people say it: `512 B`, `1.5 GB`.
#[cfg(any(feature = "redis", feature = "sqlite"))]
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1_000 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1_000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1_000.0;
        unit += 1;
    }
    if value < 10.0 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

/// A short time as people say it: `0.12 ms`, `45 ms`, `2.0 s`.
#[cfg(any(feature = "redis", feature = "sqlite"))]
pub(crate) fn short_time(time: std::time::Duration) -> String {
    let millis = time.as_secs_f64() * 1_000.0;
    match millis {
        millis if millis < 10.0 => format!("{millis:.2} ms"),
        millis if millis < 1_000.0 => format!("{millis:.0} ms"),
        millis => format!("{:.1} s", millis / 1_000.0),
    }
}

/// The middle one of some times, the first of which, that of a cold start, does not count.
#[cfg(any(feature = "redis", feature = "sqlite"))]
pub(crate) fn median(mut times: Vec<std::time::Duration>) -> std::time::Duration {
    if times.len() > 1 {
        times.remove(0);
    }
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_decides() {
        assert_eq!(Checkup::default().worst(), Grade::Good);
        let mixed = vec![Finding::good("a", ""), Finding::bad("b", ""), Finding::doubtful("c", "")];
        assert_eq!(Checkup::new(mixed).worst(), Grade::Bad);
    }

    #[cfg(any(feature = "redis", feature = "sqlite"))]
    #[test]
    fn numbers_are_said_briefly() {
        let said = [999, 1_000, 12_345_678, 999_999_999, 3_200_000_000].map(bytes);
        assert_eq!(said, ["999 B", "1.0 kB", "12 MB", "1.0 GB", "3.2 GB"]);
        let said = [120, 45_000, 2_000_000].map(|micros| short_time(std::time::Duration::from_micros(micros)));
        assert_eq!(said, ["0.12 ms", "45 ms", "2.0 s"]);
    }
}
