//! The command line without an application: it runs the command tasks of `celeriac.toml`.

use std::process::ExitCode;

use celeriac::Tasks;

#[tokio::main]
async fn main() -> ExitCode {
    celeriac::cli(Tasks::new()).await
}
