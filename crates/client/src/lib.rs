//! The producer of celeriac: enqueue jobs and wait for their results.
