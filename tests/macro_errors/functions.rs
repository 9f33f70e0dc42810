use celeriac::{Task, task};

#[task("silent")]
async fn silent() {}

#[task("opaque")]
async fn opaque() -> Result<impl std::fmt::Display, String> {
    Ok(1)
}

#[task("generic")]
async fn generic<T: Send>(_value: T) -> Result<(), String> {
    Ok(())
}

#[task("dangerous")]
async unsafe fn dangerous() -> Result<(), String> {
    Ok(())
}

#[task("foreign")]
async extern "C" fn foreign() -> Result<(), String> {
    Ok(())
}

#[task("structure")]
struct Structure {
    name: String,
}

#[derive(serde::Serialize, serde::Deserialize, Task)]
#[task("generic")]
struct Generic<T> {
    value: T,
}

#[derive(serde::Serialize, serde::Deserialize, Task)]
#[task("field")]
struct Field {
    #[task(queue = "mail")]
    value: u8,
}

fn main() {}
