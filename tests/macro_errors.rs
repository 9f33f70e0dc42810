//! What `#[task]` and `derive(Task)` say about mistakes, and what they must put up with, each in a crate of its own.
//!
//! Only messages of the macros are compared. Those of the compiler change with its version, and with the crates that
//! are linked. After a change of wording: `TRYBUILD=overwrite cargo test --test macro_errors`, and read the difference.
#![cfg(all(feature = "macros", feature = "worker"))]

/// One test for both, because each would build all of celeriac once more.
#[test]
fn mistakes_are_shown_where_they_were_made_and_strict_crates_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/macro_errors/*.rs");
    cases.pass("tests/macro_pass/*.rs");
}
