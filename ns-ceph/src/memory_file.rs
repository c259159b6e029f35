//! Files for Ceph's commands that are on no disk: a keyring, a `ceph.conf`.
//!
//! A command reads such a file by the engine's entry of it in `/proc`, which the kernel shows to the same user only; neither
//! argument nor environment holds a secret, and no other program that the engine starts has the file open. It ends with the
//! engine. An engine that is not dumpable (`PR_SET_DUMPABLE`) hides its entries from its commands too: it needs a keyring on disk.

use ns_core::{Error, ErrorKind, Result};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

/// One file. Gone when it is dropped; its content is in no output of `Debug`.
#[derive(Debug)]
pub(crate) struct MemoryFile {
    /// Keeps the content.
    _file: File,
    path: PathBuf,
}

impl MemoryFile {
    /// A file of the system's memory.
    ///
    /// # Errors
    /// `Internal`, `ceph.memory_file`, when the system gives none; `Unsupported` on systems that have none.
    pub(crate) fn new(name: &str, content: &[u8]) -> Result<Self> {
        let mut file = create(name)?;
        file.write_all(content).map_err(failed)?;
        let path = path(&file);
        Ok(Self { _file: file, path })
    }

    /// Where commands that this process starts find it.
    pub(crate) fn path(&self) -> PathBuf {
        self.path.clone()
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::new(
        ErrorKind::Internal,
        "ceph.memory_file",
        "the system gives no file in memory",
    )
    .with_remedy("use a keyring on disk: CephConfig")
    .with_source(error)
}

#[cfg(target_os = "linux")]
fn create(name: &str) -> Result<File> {
    use std::os::unix::fs::PermissionsExt;
    let file = rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC).map_err(|e| failed(e.into()))?;
    let file = File::from(file);
    file.set_permissions(std::fs::Permissions::from_mode(0o600))
        .map_err(failed)?;
    Ok(file)
}

#[cfg(target_os = "linux")]
fn path(file: &File) -> PathBuf {
    use std::os::fd::AsRawFd;
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into()
}

#[cfg(not(target_os = "linux"))]
fn create(_name: &str) -> Result<File> {
    Err(Error::new(
        ErrorKind::Unsupported,
        "ceph.memory_file",
        "this system has no files in memory",
    )
    .with_remedy("use a keyring on disk: CephConfig"))
}

#[cfg(not(target_os = "linux"))]
fn path(_file: &File) -> PathBuf {
    PathBuf::new()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    #[test]
    fn cl_22_a_command_reads_it_and_inherits_nothing() {
        let file = MemoryFile::new("keyring", b"horse-17").unwrap();
        for _ in 0..2 {
            let said = Command::new("cat").arg(file.path()).output().unwrap();
            assert_eq!(said.stdout, b"horse-17", "{said:?}");
        }
        let mode = std::fs::metadata(file.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let inherited = Command::new("sh").args(["-c", "ls -l /proc/self/fd"]).output().unwrap();
        assert!(!String::from_utf8_lossy(&inherited.stdout).contains("keyring"));
        let path = file.path();
        drop(file);
        assert!(!std::fs::read(path).is_ok_and(|content| content == b"horse-17"));
    }
}
