//! Errors at the user's tokens, all of them at once, and suggestions for names that are nearly right.

use proc_macro2::TokenStream;
use quote::ToTokens;

/// Errors that were found so far: one compilation shows them all.
#[derive(Default)]
pub(crate) struct Errors(Option<syn::Error>);

impl Errors {
    /// Adds an error that points at `tokens`.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl std::fmt::Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    /// Adds an error.
    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// The value, or `None` after adding the error.
    pub(crate) fn take<T>(&mut self, answer: syn::Result<T>) -> Option<T> {
        answer.map_err(|error| self.push(error)).ok()
    }

    /// The error, if there was one.
    pub(crate) fn finish(self) -> syn::Result<()> {
        self.0.map_or(Ok(()), Err)
    }

    /// What the compiler is given to show the errors; nothing if there are none.
    pub(crate) fn into_tokens(self) -> TokenStream {
        self.0.map(|errors| errors.to_compile_error()).unwrap_or_default()
    }
}

/// Below this likeness a suggestion is more confusing than helpful.
const LIKENESS: f64 = 0.75;

/// The one of `known` that `given` was probably meant to be.
pub(crate) fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_ascii_lowercase();
    let likeness = |known: &str| {
        // `ttl` for `result_ttl`, `max_retries` for `retries`.
        let part = given.len() > 2 && (known.contains(&given) || given.contains(known));
        if part { 1.0 } else { strsim::jaro_winkler(&given, known) }
    };
    let (best, likeness) =
        known.into_iter().map(|known| (known, likeness(known))).max_by(|a, b| a.1.total_cmp(&b.1))?;
    (likeness >= LIKENESS).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_nonsense_is_not() {
        let known = ["output", "queue", "retries", "backoff", "timeout", "result_ttl"];
        let nearest = |given| nearest(given, known);
        assert_eq!(nearest("retry"), Some("retries"));
        assert_eq!(nearest("max_retries"), Some("retries"));
        assert_eq!(nearest("que"), Some("queue"));
        assert_eq!(nearest("time_out"), Some("timeout"));
        assert_eq!(nearest("ttl"), Some("result_ttl"));
        assert_eq!(nearest("Output"), Some("output"));
        assert_eq!(nearest("colour"), None);
    }
}
