//! The native half of the Python package `neverstop`.
//!
//! It is small and untyped: requests come in and answers go out as JSON, by the names of the Rust face ([`face`]). What people see
//! — classes, types, help — is Python, in `python/neverstop`. Here live what Python cannot do: the runtime that the engine runs on
//! ([`runtime`]), what the engine says for `logging` ([`log`]), waiting without the interpreter's lock, making an engine ([`engine`]), and the engine calling providers that are written in Python
//! ([`provider`]).

mod clouds;
mod conformance;
mod engine;
mod error;
mod face;
mod log;
mod ports;
mod provider;
mod runtime;
mod sim;
mod stream;
mod time;
mod work;

use pyo3::prelude::*;

/// The native half of the package; not to be used directly.
#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::clouds::{clouds_yaml, storage_yaml};
    #[pymodule_export]
    use crate::conformance::Suite;
    #[pymodule_export]
    use crate::engine::{Engine, Providers, Session, open};
    #[pymodule_export]
    use crate::face::verbs;
    #[pymodule_export]
    use crate::log::{log_end, log_lines};
    #[pymodule_export]
    use crate::ports::Provider;
    #[pymodule_export]
    use crate::runtime::stop;
    #[pymodule_export]
    use crate::sim::SimWorld;
    #[pymodule_export]
    use crate::stream::Stream;
    #[pymodule_export]
    use crate::work::Pending;
}
