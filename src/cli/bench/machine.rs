//! What the figures were measured on, so that they can be compared with others.

use serde::Serialize;

/// The machine and the versions on it.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    cores: usize,
    system: String,
    architecture: &'static str,
    redis: Option<String>,
    celeriac: &'static str,
    /// Whether the compiler was told to leave out what makes it slow.
    optimised: bool,
    /// How many processes wanted to run, on average over the minute before; null where the system does not tell.
    load: Option<f64>,
}

impl Machine {
    pub(super) fn look(redis: Option<String>) -> Self {
        let system = rustix::system::uname();
        let (name, release) = (system.sysname().to_string_lossy(), system.release().to_string_lossy());
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            system: format!("{name} {release}"),
            architecture: std::env::consts::ARCH,
            redis,
            celeriac: env!("CARGO_PKG_VERSION"),
            optimised: !cfg!(debug_assertions),
            load: load(),
        }
    }

    pub(super) fn describe(&self) -> String {
        let Self { cores, system, architecture, celeriac, .. } = self;
        let build = if self.optimised { "" } else { ", built without optimisation: the figures mean little" };
        let load = self.load.map(|load| format!(", load {load} before")).unwrap_or_default();
        format!("{cores} cores, {system} {architecture}, celeriac {celeriac}{load}{build}")
    }
}

fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}
