//! Generated code does not depend on what is in scope: neither on imports nor on the names a crate chose.
#![no_implicit_prelude]
#![expect(unused, reason = "the names stand in the way and serve for nothing else")]

mod celeriac {}
mod core {}
mod serde {}

mod types {
    pub struct Task;
    pub struct Tasks;
    pub struct Option;
    pub struct Result;
    pub struct String;
    pub trait Serialize {}
    pub fn sendable() {}
}
use types::*;

#[::celeriac::task("echo", retries = 1, timeout = "1s", backoff = "1s..2s", result_ttl = "1h")]
async fn echo(
    job: u8,
    task: u8,
    tasks: u8,
    given_4: u8,
    context: ::celeriac::Context,
) -> ::std::result::Result<u8, ::std::string::String> {
    ::std::mem::drop(context);
    ::std::result::Result::Ok(job + task + tasks + given_4)
}

#[derive(::serde::Serialize, ::serde::Deserialize, ::celeriac::Task)]
#[task("structure", output = u8, retries = 1, timeout = "1s")]
struct Structure {}

fn main() {
    ::std::mem::drop(Structure {});
    let tasks = ::celeriac::Tasks::new().task::<echo>();
    ::std::assert!(tasks.check().is_ok());
}
