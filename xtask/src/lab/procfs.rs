//! Reading `/proc` and sending signals. Knows process ids, not what the processes are for. The only unsafe code of
//! this package: `kill(2)` and `setsid(2)`, which the standard library does not offer.
#![allow(unsafe_code)]
use anyhow::Result;
use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Write},
    os::unix::process::CommandExt,
    process::Command,
};

/// One line of `/proc/PID/stat`, as far as it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Process id.
    pub(crate) pid: u32,
    /// Parent's process id.
    pub(crate) parent: u32,
    /// Session id: the process id of the session's first process.
    pub(crate) session: u32,
    /// Start time, clock ticks since the machine booted: tells a process from a later one with the same id.
    pub(crate) start: u64,
    /// Ended, but not yet collected by its parent.
    pub(crate) zombie: bool,
}

/// The process, if there is one.
pub(crate) fn stat(pid: u32) -> Option<Stat> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Every process, by id.
pub(crate) fn all() -> Result<HashMap<u32, Stat>> {
    let mut found = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if let Some(stat) = stat(pid) {
            found.insert(pid, stat);
        }
    }
    Ok(found)
}

/// The value of one variable in a process's environment, as it was when the process began.
pub(crate) fn variable(pid: u32, name: &str) -> Option<String> {
    let environ = fs::read(format!("/proc/{pid}/environ")).ok()?;
    environ.split(|byte| *byte == 0).find_map(|entry| {
        let (key, value) = std::str::from_utf8(entry).ok()?.split_once('=')?;
        (key == name).then(|| value.to_owned())
    })
}

/// A process's arguments, joined by spaces; empty for a kernel thread or an ended process.
pub(crate) fn arguments(pid: u32) -> String {
    let raw = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&raw).replace('\0', " ")
}

/// Changes with every boot of the machine; ids and ticks of an earlier boot mean nothing.
pub(crate) fn boot_id() -> Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// Sends a signal to one process. A process that is gone is not an error.
pub(crate) fn signal(pid: u32, signal: libc::c_int) {
    send(i64::from(pid), signal);
}

/// Sends a signal to a process group. A group that is gone is not an error.
pub(crate) fn signal_group(pid: u32, signal: libc::c_int) {
    send(-i64::from(pid), signal);
}

fn send(target: i64, signal: libc::c_int) {
    // 0, 1 and -1 mean "my group", "init" and "everybody": never
    if let Ok(target) = libc::pid_t::try_from(target)
        && target.unsigned_abs() > 1
    {
        // SAFETY: kill(2) takes two integers and touches no memory of ours.
        unsafe { libc::kill(target, signal) };
    }
}

/// Lets the command begin a session of its own: it outlives us, and its whole session can be found by its id. `group` is
/// the membership file of the control group it joins first.
pub(crate) fn detach(command: &mut Command, group: Option<File>) {
    // SAFETY: between fork and exec only setsid(2) and write(2) are called, which are async-signal-safe.
    unsafe {
        command.pre_exec(move || {
            if libc::setsid() < 0 {
                return Err(io::Error::last_os_error());
            }
            match &group {
                Some(file) => {
                    let mut file = file;
                    file.write_all(b"0")
                }
                None => Ok(()),
            }
        });
    }
}

fn parse(pid: u32, text: &str) -> Option<Stat> {
    // the name in parentheses may hold spaces and parentheses itself
    let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_whitespace().collect();
    Some(Stat {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
        zombie: matches!(*fields.first()?, "Z" | "X"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_is_read_right() {
        let text = "42 (a) b (c) S 1 42 41 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 12 34";
        assert_eq!(
            parse(42, text),
            Some(Stat {
                pid: 42,
                parent: 1,
                session: 41,
                start: 987_654,
                zombie: false
            })
        );
    }

    #[test]
    fn a_process_finds_itself() {
        let me = stat(std::process::id()).unwrap();
        assert_eq!(all().unwrap().get(&me.pid), Some(&me));
    }
}
