//! The worker of celeriac: fetches jobs, runs their tasks, settles them.
