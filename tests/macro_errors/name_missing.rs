use celeriac::{Task, task};

#[task]
async fn nothing() -> Result<(), String> {
    Ok(())
}

#[task(queue = "mail")]
async fn options_only() -> Result<(), String> {
    Ok(())
}

#[derive(serde::Serialize, serde::Deserialize, Task)]
struct Bare;

#[derive(serde::Serialize, serde::Deserialize, Task)]
#[task]
struct Empty;

fn main() {}
