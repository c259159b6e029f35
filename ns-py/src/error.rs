//! Errors as exceptions. The classes are written in Python (`neverstop.exceptions`), which makes one of what an error says.

use ns_core::Error;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::error::Error as _;

/// The exception of an error of the engine, with its causes.
pub(crate) fn exception(py: Python<'_>, error: &Error) -> PyErr {
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(c) = cause {
        causes.push(c.to_string());
        cause = c.source();
    }
    let made = py.import("neverstop.exceptions").and_then(|module| {
        module.getattr("_from_record")?.call1((
            error.kind().as_str(),
            error.code(),
            error.message(),
            error.field(),
            error.remedy(),
            error.context().to_vec(),
            causes,
        ))
    });
    match made {
        Ok(exception) => PyErr::from_value(exception),
        Err(failed) => failed,
    }
}

fn made_by(name: &str) -> PyErr {
    Python::attach(|py| {
        let made = (py.import("neverstop.exceptions")).and_then(|module| module.getattr(name)?.call0());
        match made {
            Ok(exception) => PyErr::from_value(exception),
            Err(failed) => failed,
        }
    })
}

/// What was made in the parent process is used in a child.
pub(crate) fn forked() -> PyErr {
    made_by("ForkError")
}

/// The interpreter goes.
pub(crate) fn stopping() -> PyErr {
    PyRuntimeError::new_err("the interpreter is exiting: neverstop has stopped")
}
