//! What a complaint repeats of the text that it is about.

use std::borrow::Cow;

/// The most characters that are repeated: enough to know a text by.
const REPEATED: usize = 60;

/// The beginning of a text, with `…` if there is more. A complaint quotes it, so that it names its input and stays short however long
/// that is.
#[must_use]
pub fn excerpt(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(REPEATED) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_is_repeated_whole_and_a_long_one_is_not() {
        assert_eq!(excerpt("ä b"), "ä b");
        assert_eq!(excerpt(&"ä".repeat(60)), "ä".repeat(60));
        assert_eq!(excerpt(&"ä".repeat(61)), format!("{}…", "ä".repeat(60)));
    }
}
