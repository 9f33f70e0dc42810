//! celeriac
fn main() {}
