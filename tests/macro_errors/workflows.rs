use celeriac::canvas::{next, step};
use celeriac::task;

#[task("count")]
async fn count(_page: String) -> Result<u64, String> {
    Ok(1)
}

#[task("publish")]
async fn publish(_pages: Vec<String>) -> Result<(), String> {
    Ok(())
}

fn main() {
    let _ = step(count { _page: String::new() }).then(next::<publish>());
}
