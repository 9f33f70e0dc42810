//! What a handler tells while it runs: how far it is, and lines of a log.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The most lines that are kept of a job's log: the newest.
pub const MAX_LOG_LINES: usize = 100;

/// The longest line that is kept, in bytes; the rest is cut off.
pub const MAX_LOG_LINE_BYTES: usize = 1024;

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Progress {
    /// What is done, in whatever unit the handler counts.
    pub done: u64,
    /// What there is to do; `None` if that is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub total: Option<u64>,
    /// What is being done, in words.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub message: String,
}

impl Progress {
    /// So much is done, of so much if that is known; a long message is cut.
    #[must_use]
    pub fn new(done: u64, total: Option<u64>, message: &str) -> Self {
        Self { done, total, message: cut(message).to_owned() }
    }

    /// The part that is done, in percent from 0 to 100; `None` if the total is not known or zero.
    #[must_use]
    pub fn percent(&self) -> Option<u8> {
        let total = self.total.filter(|total| *total > 0)?;
        let percent = u128::from(self.done.min(total)) * 100 / u128::from(total);
        u8::try_from(percent).ok()
    }
}

/// A line of a job's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LogLine {
    /// When the store got it.
    pub at: Timestamp,
    /// The text, without a line break.
    pub text: String,
}

impl LogLine {
    /// A line as it is kept: cut at [`MAX_LOG_LINE_BYTES`].
    #[must_use]
    pub fn new(at: Timestamp, text: &str) -> Self {
        Self { at, text: cut(text).to_owned() }
    }
}

/// What a job has told so far.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Notes {
    /// How far it is.
    pub progress: Option<Progress>,
    /// The newest lines of its log, the oldest first.
    pub lines: Vec<LogLine>,
}

impl Notes {
    /// Adds what was told; of the lines the newest [`MAX_LOG_LINES`] stay.
    pub fn add(&mut self, progress: Option<Progress>, lines: impl IntoIterator<Item = LogLine>) {
        if progress.is_some() {
            self.progress = progress;
        }
        self.lines.extend(lines);
        let excess = self.lines.len().saturating_sub(MAX_LOG_LINES);
        self.lines.drain(..excess);
    }
}

/// The text up to its first line break, cut between two characters.
fn cut(text: &str) -> &str {
    let line = text.lines().next().unwrap_or_default();
    let end = (0..=MAX_LOG_LINE_BYTES.min(line.len())).rev().find(|end| line.is_char_boundary(*end));
    &line[..end.unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn progress_is_told_in_percent_where_the_total_is_known() {
        assert_eq!(Progress::new(1, Some(3), "").percent(), Some(33));
        assert_eq!(Progress::new(9, Some(3), "").percent(), Some(100));
        assert_eq!(Progress::new(u64::MAX, Some(u64::MAX), "").percent(), Some(100));
        assert_eq!((Progress::new(1, None, "").percent(), Progress::new(1, Some(0), "").percent()), (None, None));
    }

    #[test]
    fn a_line_is_one_line_of_bounded_length() {
        assert_eq!(LogLine::new(Timestamp::default(), "one\ntwo").text, "one");
        assert_eq!(LogLine::new(Timestamp::default(), &"ä".repeat(600)).text.len(), 1024);
    }

    #[test]
    fn only_the_newest_lines_are_kept() {
        let mut notes = Notes::default();
        notes.add(None, (0..150).map(|number| LogLine::new(Timestamp::default(), &number.to_string())));
        assert_eq!((notes.lines.len(), notes.lines[0].text.as_str()), (MAX_LOG_LINES, "50"));
    }

    proptest! {
        #[test]
        fn a_line_is_short_and_is_kept_as_it_is_when_it_comes_again(text in "(.|[\\r\\n]){0,30}", times in 1usize..100) {
            let text = text.repeat(times);
            let line = LogLine::new(Timestamp::default(), &text);
            prop_assert!(line.text.len() <= MAX_LOG_LINE_BYTES && !line.text.contains('\n'));
            prop_assert_eq!(&LogLine::new(Timestamp::default(), &line.text), &line);
            prop_assert_eq!(Progress::new(1, None, &text).message, line.text);
        }

        #[test]
        fn progress_reads_back_and_ends_at_a_hundred(done: u64, total: Option<u64>, message in ".{0,20}") {
            let progress = Progress::new(done, total, &message);
            prop_assert!(progress.percent().is_none_or(|percent| percent <= 100));
            let json = serde_json::to_string(&progress).unwrap();
            prop_assert_eq!(serde_json::from_str::<Progress>(&json).unwrap(), progress);
        }
    }
}
