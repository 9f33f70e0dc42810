use celeriac::task;

#[task("number")]
async fn number() -> u64 {
    1
}

fn main() {}
