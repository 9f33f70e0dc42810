//! The sugar of celeriac: #[task] and derive(Task).
