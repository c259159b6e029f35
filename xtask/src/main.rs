//! The one menu: `cargo xtask ci | lab | e2e`.
fn main() {}
