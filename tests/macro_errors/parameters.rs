use celeriac::{Context, State, task};
use std::borrow::Cow;
use std::fmt::Display;

#[task("borrowed")]
async fn borrowed(_name: &str, _bytes: &[u8], _text: Cow<'_, str>) -> Result<(), String> {
    Ok(())
}

#[task("unnamed")]
async fn unnamed((_a, _b): (u8, u8), _: u8) -> Result<(), String> {
    Ok(())
}

#[task("opaque")]
async fn opaque(_value: impl Display) -> Result<(), String> {
    Ok(())
}

#[task("injected")]
async fn injected(_context: &Context, #[serde(default)] _db: State<u8>) -> Result<(), String> {
    Ok(())
}

#[task("many")]
async fn many(
    _a: u8, _b: u8, _c: u8, _d: u8, _e: u8, _f: u8, _g: u8,
    _h: u8, _i: u8, _j: u8, _k: u8, _l: u8, _m: u8,
) -> Result<(), String> {
    Ok(())
}

#[task("many.injected")]
async fn many_injected(
    _a: State<u8>, _b: State<u16>, _c: State<u32>, _d: State<i8>, _e: State<i16>, _context: Context,
) -> Result<(), String> {
    Ok(())
}

struct Service;

impl Service {
    #[task("method")]
    async fn method(&self, _name: String) -> Result<(), String> {
        Ok(())
    }
}

fn main() {}
