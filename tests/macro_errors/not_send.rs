use std::rc::Rc;

use celeriac::task;

#[task("local")]
async fn local() -> Result<u8, String> {
    let number = Rc::new(1);
    std::future::ready(()).await;
    Ok(*number)
}

fn main() {}
