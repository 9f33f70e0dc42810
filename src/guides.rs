//! The guides: one question of daily work each, with programs that are compiled and run by the tests.
//!
//! They are the files of `docs/guides`. A link of theirs is defined twice: at the end of its file for whoever reads the repository, and
//! here, first and therefore stronger, for these pages.

/// Where the guides are among these pages.
macro_rules! links {
    () => {
        "[tasks]: crate::guides::tasks
[retries and timeouts]: crate::guides::retries_and_timeouts
[delivery]: crate::guides::delivery
[results]: crate::guides::results
[schedules]: crate::guides::schedules
[calendar]: crate::guides::schedules_calendar
[testing]: crate::guides::testing
[operations]: crate::guides::operations
[workflows]: crate::guides::workflows
[format]: crate::guides::workflow_format

"
    };
}

#[doc = concat!(links!(), include_str!("../docs/guides/tasks.md"))]
pub mod tasks {}

#[doc = concat!(links!(), include_str!("../docs/guides/retries-and-timeouts.md"))]
pub mod retries_and_timeouts {}

#[doc = concat!(links!(), include_str!("../docs/guides/delivery.md"))]
pub mod delivery {}

#[doc = concat!(links!(), include_str!("../docs/guides/results.md"))]
pub mod results {}

#[doc = concat!(links!(), include_str!("../docs/guides/schedules.md"))]
pub mod schedules {}

#[doc = concat!(links!(), include_str!("../docs/guides/schedules-calendar.md"))]
pub mod schedules_calendar {}

#[doc = concat!(links!(), include_str!("../docs/guides/workflows.md"))]
pub mod workflows {}

#[doc = concat!(links!(), include_str!("../docs/workflow-format.md"))]
pub mod workflow_format {}

#[doc = concat!(links!(), include_str!("../docs/guides/testing.md"))]
pub mod testing {}

#[doc = concat!(links!(), include_str!("../docs/guides/operations.md"))]
pub mod operations {}

#[doc = concat!(links!(), include_str!("../docs/guides/coming-from-celery.md"))]
pub mod coming_from_celery {}
