//! Carries workflows out: between the rules in `celeriac-core::canvas` and a store.
