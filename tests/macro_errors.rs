//! What `#[task]` and `derive(Task)` say about mistakes, and what they must put up with, each in a crate of its own.
//!
//! After a change of wording: `TRYBUILD=overwrite cargo test --test macro_errors`, and read the difference.
#![cfg(all(feature = "macros", feature = "worker"))]

#[test]
fn mistakes_are_shown_where_they_were_made() {
    trybuild::TestCases::new().compile_fail("tests/macro_errors/*.rs");
}

#[test]
fn strict_crates_compile_and_run() {
    trybuild::TestCases::new().pass("tests/macro_pass/*.rs");
}
