use celeriac::{Task, task};

#[task("mail send", retry = 5, timeout = "30", queue = "a b")]
async fn function() -> Result<(), String> {
    Ok(())
}

#[task(
    "mail.send",
    output = u8,
    retries = "5",
    queue,
    timeout = "0s",
    timeout = "1s",
    result_ttl = "1 day",
    backoff = "10m..1s",
    colour = "red",
)]
async fn more() -> Result<(), String> {
    Ok(())
}

#[derive(serde::Serialize, serde::Deserialize, Task)]
#[task("images.resize", outptu = Vec<u8>, retries = -1)]
struct Resize {
    path: String,
}

fn main() {}
