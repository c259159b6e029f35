//! Booting a copy of the image in an emulator, twice: it must say what it is, take a marker and a data disk's
//! heartbeat, go off at the power button, and still know the marker and its count the next time.
use super::{BEAT_OFFSET, MARKER_OFFSET, PORT};
use crate::lab::command::{Hopeless, wait_until};
use anyhow::{Context, Result, bail, ensure};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Software emulation on a busy two-core machine.
const BOOT: Duration = Duration::from_secs(120);
const ANSWER: Duration = Duration::from_secs(30);
const TEXT: &str = "LAB-PROOF 1";

/// Proves `image`; fails with what the guest did not do.
pub(super) fn boots_and_obeys(work: &Path, image: &Path) -> Result<()> {
    let (boot, data) = (work.join("proof.raw"), work.join("proof-data.raw"));
    fs::copy(image, &boot)?;
    fs::File::create(&data)?.set_len(64 << 20)?;
    let guest = Guest::boot(work, &boot, &data)?;
    guest.says("LAB-BOOT ", |line| line.ends_with("marker=[] boots=1"))?;
    guest.says("LAB-DISK vdb ", |line| {
        line.contains("sectors=131072 serial=proof marker=[] last=[]")
    })?;
    guest.says("LAB-NET eth0 ", |line| line.contains("ip=10.0.2.15 router=10.0.2.2"))?;
    guest.says("LAB-BEAT ", |_| true)?;
    let answer = guest.ask(&format!("MARK {TEXT}"))?;
    ensure!(answer == format!("OK {TEXT}\n"), "MARK answered {answer:?}");
    let shown = guest.ask("SHOW")?;
    ensure!(
        shown.matches(&format!("marker=[{TEXT}] last=[boot=1 seq=")).count() == 2,
        "SHOW answered {shown:?}"
    );
    guest.power_off()?;
    for disk in [&boot, &data] {
        ensure!(text_at(disk, MARKER_OFFSET)? == TEXT, "no marker on {}", disk.display());
        ensure!(
            text_at(disk, BEAT_OFFSET)?.starts_with("boot=1 seq="),
            "no heartbeat on {}",
            disk.display()
        );
    }
    let again = Guest::boot(work, &boot, &data)?;
    again.says("LAB-BOOT ", |line| line.ends_with(&format!("marker=[{TEXT}] boots=2")))?;
    again.says("LAB-DISK vda ", |line| line.contains("last=[boot=1 seq="))?;
    drop(again);
    fs::remove_file(boot)?;
    Ok(fs::remove_file(data)?)
}

/// An emulated machine; ends when dropped.
struct Guest {
    emulator: Child,
    console: PathBuf,
    port: u16,
}

impl Guest {
    fn boot(work: &Path, boot: &Path, data: &Path) -> Result<Self> {
        let console = work.join("proof.console");
        fs::write(&console, "")?;
        // free now; if somebody takes it before the emulator does, the emulator says so and ends
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let emulator = Command::new("qemu-system-x86_64")
            .args([
                "-accel",
                "tcg",
                "-m",
                "128",
                "-display",
                "none",
                "-no-reboot",
                "-monitor",
                "stdio",
            ])
            .args(["-serial", &format!("file:{}", console.display())])
            .args(["-drive", &format!("file={},format=raw,if=none,id=boot", boot.display())])
            .args(["-drive", &format!("file={},format=raw,if=none,id=data", data.display())])
            .args([
                "-device",
                "virtio-blk-pci,drive=boot,bootindex=1",
                "-device",
                "virtio-blk-pci,drive=data,serial=proof",
            ])
            .args(["-netdev", &format!("user,id=net,hostfwd=tcp:127.0.0.1:{port}-:{PORT}")])
            .args(["-device", "virtio-net-pci,netdev=net"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(fs::File::create(work.join("proof.emulator"))?)
            .spawn()
            .context("start qemu-system-x86_64")?;
        Ok(Self {
            emulator,
            console,
            port,
        })
    }

    /// Waits for a line that begins with `start` and fits.
    fn says(&self, start: &str, fits: impl Fn(&str) -> bool) -> Result<()> {
        let what = format!("the guest to say {start}");
        wait_until(&what, BOOT, || {
            let text = String::from_utf8_lossy(&fs::read(&self.console)?).into_owned();
            // only whole lines
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            match whole.lines().map(str::trim_end).find(|line| line.starts_with(start)) {
                Some(line) if fits(line) => Ok(Some(())),
                Some(line) => bail!(Hopeless(format!("it said {line:?}"))),
                None => bail!("its console: {:?}", &text[text.len().saturating_sub(500)..]),
            }
        })
    }

    /// Sends one line and returns the answer.
    fn ask(&self, line: &str) -> Result<String> {
        wait_until(&format!("the guest to answer {line}"), ANSWER, || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(ANSWER))?;
            stream.write_all(format!("{line}\n").as_bytes())?;
            let mut answer = String::new();
            let mut reader = BufReader::new(stream);
            while reader.read_line(&mut answer)? > 0 {}
            Ok((!answer.is_empty()).then_some(answer))
        })
    }

    /// Presses the power button and waits until the machine is off.
    fn power_off(mut self) -> Result<()> {
        if let Some(monitor) = self.emulator.stdin.as_mut() {
            monitor.write_all(b"system_powerdown\n")?;
            monitor.flush()?;
        }
        wait_until("the guest to go off", ANSWER, || {
            Ok(self.emulator.try_wait()?.map(drop))
        })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // both fail only when it has ended by itself
        drop(self.emulator.kill());
        drop(self.emulator.wait());
    }
}

fn text_at(disk: &Path, offset: u64) -> Result<String> {
    let mut sector = [0; 512];
    let mut file = fs::File::open(disk)?;
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(&mut sector)?;
    Ok(String::from_utf8_lossy(&sector)
        .trim_end_matches(['\0', ' ', '\n'])
        .to_owned())
}
