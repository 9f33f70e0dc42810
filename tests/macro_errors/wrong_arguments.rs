use celeriac::task;

#[task("greet")]
async fn greet(name: String) -> Result<(), String> {
    drop(name);
    Ok(())
}

fn main() {
    let _ = greet { name: 5 };
    let _ = greet { nam: String::new() };
}
