//! A producer's crate may link nothing but `celeriac-core`.

use celeriac_core::Task as _;
use celeriac_macros::Task;

#[derive(serde::Serialize, serde::Deserialize, Task)]
#[task("resize", output = Vec<u8>, queue = "images", timeout = "30s", backoff = "1s..1m", crate = celeriac_core)]
struct Resize {
    path: String,
}

fn main() {
    let options = Resize::options();
    assert_eq!((Resize::NAME, options.queue), ("resize", "images"));
    assert_eq!(options.timeout.map(|limit| limit.as_secs()), Some(30));
    assert_eq!((options.retry.base.as_secs(), options.retry.max.as_secs()), (1, 60));
    let _: <Resize as celeriac_core::Task>::Output = Resize { path: String::new() }.path.into_bytes();
}
