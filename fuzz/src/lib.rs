//! What the fuzz targets share: the bound on memory. Each target is one file in `targets`; `cargo xtask fuzz` builds and
//! runs them, with a limit of time and of stack.

use cap::Cap;
use std::alloc::System;

/// A thousand times the longest input. Beyond it an allocation fails, which ends the process and so is found: libFuzzer alone
/// looks at memory once a second, and not at what is set aside and not touched.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, 64 << 20);

/// Makes a fuzz target of a function that takes bytes.
#[macro_export]
macro_rules! target {
    ($read:path) => {
        libfuzzer_sys::fuzz_target!(|bytes: &[u8]| $read(bytes));
    };
}
