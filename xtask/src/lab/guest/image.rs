//! Building the disk: kernel and modules out of the distribution's package, the first root file system, a FAT
//! partition with both, and the boot loader. The same inputs give the same bytes.
use super::{BEAT_OFFSET, BOOTS_OFFSET, MARKER_OFFSET, cpio::Archive};
use crate::lab::{
    command::{run, wait_until},
    packages,
};
use anyhow::{Context, Result};
use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const INIT: &str = include_str!("init.sh");
/// Changes whenever this file builds something else from the same `init.sh`.
const VERSION: u32 = 1;
/// The package that depends on the current cloud kernel.
const KERNEL: &str = "linux-image-cloud-amd64";
/// Loaded in this order: each after those it needs.
const MODULES: &[&str] = &[
    "virtio_ring",
    "virtio",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "virtio_blk",
    "failover",
    "net_failover",
    "virtio_net",
    "button",
    "evdev",
];
const LOADER: &str = "DEFAULT lab\nPROMPT 0\nTIMEOUT 0\nLABEL lab\n  KERNEL vmlinuz\n  INITRD initrd\n  \
                      APPEND console=ttyS0 quiet loglevel=3 panic=5 random.trust_cpu=on\n";

const DISK: u64 = 48 << 20;
/// The partition: from 1 MiB to 44 MiB.
const PARTITION: u64 = 1 << 20;
const PARTITION_SIZE: u64 = 43 << 20;
const SECTOR: u64 = 512;
const TOOL: Duration = Duration::from_secs(60);
const BUSYBOX: &str = "/bin/busybox";
const MBR: &str = "/usr/lib/syslinux/mbr/mbr.bin";

/// Everything the image is made from that this repository decides.
pub(super) fn recipe() -> String {
    format!("version {VERSION}\nmodules {MODULES:?}\nloader {LOADER}\n{}", init())
}

/// Builds the disk as `image`, with `work` for the kernel package and what is taken out of it.
pub(super) fn build(work: &Path, image: &Path) -> Result<()> {
    let parts = work.join("parts");
    if parts.exists() {
        fs::remove_dir_all(&parts)?;
    }
    fs::create_dir_all(&parts)?;
    unpack_kernel(&parts)?;
    let kernel = find(&parts.join("boot"), |name| name.starts_with("vmlinuz-"))?;
    let modules = MODULES.iter().map(|module| {
        let file = format!("{module}.ko");
        Ok((*module, fs::read(find(&parts.join("lib"), |name| name == file)?)?))
    });
    let initrd = parts.join("initrd");
    fs::write(&initrd, root(&modules.collect::<Result<Vec<_>>>()?)?)?;
    let loader = parts.join("syslinux.cfg");
    fs::write(&loader, LOADER)?;
    make_disk(
        image,
        &[(&kernel, "vmlinuz"), (&initrd, "initrd"), (&loader, "syslinux.cfg")],
    )?;
    fs::remove_dir_all(&parts).context("remove the unpacked kernel")
}

fn init() -> String {
    INIT.replace("@MARKER@", &(MARKER_OFFSET / SECTOR).to_string())
        .replace("@BOOTS@", &(BOOTS_OFFSET / SECTOR).to_string())
        .replace("@BEAT@", &(BEAT_OFFSET / SECTOR).to_string())
        .replace("@MODULES@", &MODULES.join(" "))
}

/// The first and only root file system.
fn root(modules: &[(&str, Vec<u8>)]) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for directory in ["bin", "dev", "etc", "etc/acpi", "etc/acpi/PWRF", "lib", "proc", "sys"] {
        archive.directory(directory);
    }
    archive.console("dev/console");
    archive.file("bin/busybox", &fs::read(BUSYBOX)?);
    let applets = "acpid cat dd head insmod ip ls mount nc poweroff sh sleep sync tr udhcpc uname usleep";
    for applet in applets.split(' ') {
        archive.link(&format!("bin/{applet}"), "busybox");
    }
    archive.file("init", init().as_bytes());
    archive.link("bin/dhcp", "/init");
    archive.link("bin/serve", "/init");
    // what acpid runs when the power button is pressed
    archive.link("etc/acpi/PWRF/00000080", "/init");
    for (name, content) in modules {
        archive.file(&format!("lib/{name}.ko"), content);
    }
    Ok(archive.finish())
}

/// Downloads the current cloud kernel's package and takes it apart; nothing is installed.
fn unpack_kernel(into: &Path) -> Result<()> {
    let fetch = || -> Result<String> {
        let depends = run(Command::new("apt-cache").args(["depends", KERNEL]), TOOL)?.stdout;
        let package = depends
            .split_whitespace()
            .find(|word| word.starts_with("linux-image-") && *word != KERNEL);
        let package = package.with_context(|| format!("{KERNEL} names no kernel"))?;
        let mut download = Command::new("apt-get");
        // apt's own user may not write here
        download
            .args(["-q", "-o", "APT::Sandbox::User=root", "download", package])
            .current_dir(into);
        run(&mut download, Duration::from_secs(300))?;
        Ok(package.to_owned())
    };
    fetch().or_else(|_| {
        packages::update()?;
        fetch()
    })?;
    let package = find(into, |name| name.ends_with(".deb"))?;
    run(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(into), TOOL)?;
    fs::remove_file(package).context("remove the kernel package")
}

fn make_disk(image: &Path, files: &[(&PathBuf, &str)]) -> Result<()> {
    let mut disk = fs::File::create(image)?;
    disk.set_len(DISK)?;
    disk.write_all(&fs::read(MBR)?)?;
    disk.seek(SeekFrom::Start(446))?;
    disk.write_all(&partition_entry())?;
    disk.seek(SeekFrom::Start(510))?;
    disk.write_all(&[0x55, 0xaa])?;
    disk.sync_all()?;
    drop(disk);
    let (offset, sectors) = (PARTITION.to_string(), (PARTITION / SECTOR).to_string());
    let mut mkfs = Command::new("mkfs.fat");
    mkfs.args([
        "-F",
        "16",
        "--invariant",
        "-n",
        "LAB",
        "-h",
        &sectors,
        "--offset",
        &sectors,
    ])
    .arg(image);
    run(mkfs.arg((PARTITION_SIZE / 1024).to_string()), TOOL)?;
    let target = format!("{}@@{offset}", image.display());
    for (file, name) in files {
        let mut copy = Command::new("mcopy");
        copy.args(["-i", &target]).arg(file).arg(format!("::{name}"));
        run(reproducible(&mut copy), TOOL)?;
    }
    // in the end, because it needs the directory as it stays
    let mut loader = Command::new("syslinux");
    run(
        reproducible(loader.args(["--install", "--offset", &offset]).arg(image)),
        TOOL,
    )?;
    wait_until("the loader's file", TOOL, || {
        let listed = run(Command::new("mdir").args(["-b", "-a", "-i", &target]), TOOL)?.stdout;
        Ok(listed.contains("ldlinux.sys").then_some(()))
    })
}

/// The one partition: active, FAT16 with LBA.
fn partition_entry() -> [u8; 16] {
    let mut entry = [0; 16];
    // CHS fields that say "look at the LBA fields"
    entry[..8].copy_from_slice(&[0x80, 0xfe, 0xff, 0xff, 0x0e, 0xfe, 0xff, 0xff]);
    let sectors = |bytes: u64| u32::try_from(bytes / SECTOR).unwrap_or(u32::MAX).to_le_bytes();
    entry[8..12].copy_from_slice(&sectors(PARTITION));
    entry[12..].copy_from_slice(&sectors(PARTITION_SIZE));
    entry
}

/// File times that do not depend on when this runs.
fn reproducible(command: &mut Command) -> &mut Command {
    command
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .env("TZ", "UTC")
        .env("MTOOLS_SKIP_CHECK", "1")
}

/// The first file below `dir` whose name fits.
fn find(dir: &Path, fits: impl Fn(&str) -> bool) -> Result<PathBuf> {
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if path.file_name().and_then(|name| name.to_str()).is_some_and(&fits) {
                return Ok(path);
            }
        }
    }
    anyhow::bail!("no such file below {}", dir.display())
}
