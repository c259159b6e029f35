//! Keys in a file of the host.

use super::keys::{HostKey, KeySource, fill, key_unknown};
use crate::model::KeyId;
use crate::{Error, ErrorKind, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::zeroize::Zeroizing;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Keys in a file that only the engine's user may read (SEC-02). One line a key, `<id> <base64 of 32 bytes>`; the last is
/// the current one.
///
/// The file is read for each question, which is seldom: what another process changed counts at once, and no key stays in
/// memory. A change replaces the file in one step and is durable when the call returns; processes that change it at the same
/// time wait for each other. A process that dies in the middle leaves the file as it was or as it was to be, and at worst a
/// file `.keys-….new` beside it, of the same mode, that may be removed.
///
/// Whoever loses this file loses what is sealed with it: it belongs into a backup, another one than the store's, and onto
/// the host that takes over.
///
/// ```
/// use ns_core::sealing::{KeyFile, KeySource, Sealed, Secrets};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("keys");
/// let keys = KeyFile::create(&path)?;
/// let sealed = Sealed::seal(&keys, "cluster/seoul", &Secrets::new().with("password", "horse-17"))?;
///
/// // Rotation: a new key, everything sealed anew, then the old key goes.
/// let new = keys.add_key()?;
/// let sealed = sealed.reseal(&keys, "cluster/seoul")?;
/// keys.drop_keys_but(&[sealed.key_id().clone()])?;
/// assert_eq!(KeyFile::open(&path)?.ids()?, [new]);
/// # Ok::<(), ns_core::Error>(())
/// ```
///
/// # Errors
/// Besides what each method names: `Refused`, `sealing.key_file_mode`, when group or others have any right to the file;
/// `Corrupt`, `sealing.key_file_malformed`; `Unavailable`, `sealing.key_file_missing` (the volume may not be mounted) and
/// `sealing.key_file_io`; `Denied`, `sealing.key_file_permission`.
#[derive(Debug, Clone)]
pub struct KeyFile {
    path: PathBuf,
}

/// The rights of group and others.
const NOT_THE_OWNERS: u32 = 0o077;

/// A file that is longer holds no keys; about ten thousand fit.
const LONGEST: u64 = 1 << 20;

impl KeyFile {
    /// Opens the file and checks that it can be used. It is never made here: a new key in the place of one that is only not
    /// mounted would open nothing.
    ///
    /// # Errors
    /// See the type.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let file = Self { path: path.into() };
        file.keys()?;
        Ok(file)
    }

    /// Makes the file with one random key. It is of mode 0600 from its first moment, and has its name only once it is whole
    /// and durable.
    ///
    /// # Errors
    /// `Conflict`, `sealing.key_file_exists`: nothing is ever overwritten. Others see the type.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let file = Self { path: path.into() };
        let new = file.write_beside(&file.path, &[new_key(&[])?], None)?;
        new.persist_noclobber(&file.path).map_err(|error| {
            if error.error.kind() == io::ErrorKind::AlreadyExists {
                Error::new(
                    ErrorKind::Conflict,
                    "sealing.key_file_exists",
                    "there is a file of this name already; it was left as it is",
                )
                .with("path", file.path.display())
                .with_remedy("open it, or name another file")
            } else {
                file.io("be created", error.error)
            }
        })?;
        file.make_name_durable(&file.path)?;
        Ok(file)
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The ids of the keys, the oldest first; the last is the current one.
    ///
    /// # Errors
    /// See the type.
    pub fn ids(&self) -> Result<Vec<KeyId>> {
        Ok(self.keys()?.iter().map(|key| key.id().clone()).collect())
    }

    /// Adds a random key and makes it the current one (SEC-02, re-keying). The others stay, so everything still opens; it is
    /// then [sealed anew](super::Sealed::reseal), one after the other, and the old keys are
    /// [dropped](Self::drop_keys_but).
    ///
    /// # Errors
    /// See the type. After an error the key may have been added all the same; adding another one does no harm.
    pub fn add_key(&self) -> Result<KeyId> {
        self.change(|keys| {
            let key = new_key(keys)?;
            let id = key.id().clone();
            keys.push(key);
            Ok(id)
        })
    }

    /// Drops every key but these and the current one, and says which it dropped. What is sealed with a dropped key opens
    /// never again: `keep` has to hold the [key id](super::Sealed::key_id) of every sealed text that is still kept, in
    /// backups too.
    ///
    /// The bytes of the old file stay on the disk until it uses them for something else.
    ///
    /// # Errors
    /// `NotFound`, `sealing.key_unknown`, when `keep` names a key that the file does not hold; nothing is dropped then. Others
    /// see the type.
    pub fn drop_keys_but(&self, keep: &[KeyId]) -> Result<Vec<KeyId>> {
        self.change(|keys| {
            if let Some(unknown) = keep.iter().find(|id| keys.iter().all(|key| key.id() != *id)) {
                return Err(key_unknown(unknown).with("path", self.path.display()));
            }
            let current = keys.last().map(|key| key.id().clone());
            let (kept, dropped): (Vec<_>, Vec<_>) = std::mem::take(keys)
                .into_iter()
                .partition(|key| keep.contains(key.id()) || Some(key.id()) == current.as_ref());
            *keys = kept;
            Ok(dropped.iter().map(|key| key.id().clone()).collect())
        })
    }

    /// At least one, the current one last.
    fn keys(&self) -> Result<Vec<HostKey>> {
        let file = File::open(&self.path).map_err(|error| self.io("be opened", error))?;
        self.read(&file)
    }

    /// Asks the open file, not the path, for its mode: what was checked is what is read.
    fn read(&self, mut file: &File) -> Result<Vec<HostKey>> {
        let about = file.metadata().map_err(|error| self.io("be read", error))?;
        let mode = about.mode() & 0o7777;
        if mode & NOT_THE_OWNERS != 0 {
            return Err(Error::new(
                ErrorKind::Refused,
                "sealing.key_file_mode",
                format!("others than its owner have rights to the key file: its mode is {mode:04o}"),
            )
            .with("path", self.path.display())
            .with_remedy("take them away (chmod 600); if anybody else may have read it, add a key and seal anew"));
        }
        // Large enough from the start: a buffer that grows leaves copies behind.
        let size = usize::try_from(about.len().min(LONGEST)).unwrap_or_default();
        let mut text = Zeroizing::new(Vec::with_capacity(size + 64));
        (&mut file)
            .take(LONGEST)
            .read_to_end(&mut text)
            .map_err(|error| self.io("be read", error))?;
        self.parse(&text)
    }

    /// Errors name the line, never what is on it.
    fn parse(&self, text: &[u8]) -> Result<Vec<HostKey>> {
        let mut keys: Vec<HostKey> = Vec::new();
        for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            let line = std::str::from_utf8(line).map_err(|_| self.malformed(format!("line {number} is no text")))?;
            let mut words = line.split_whitespace();
            let (id, key) = match (words.next(), words.next(), words.next()) {
                (None, ..) => continue,
                (Some(id), Some(key), None) => (id, key),
                _ => {
                    return Err(
                        self.malformed(format!("line {number} is not one id and one key, with a blank between"))
                    );
                }
            };
            let key = decode(key)
                .ok_or_else(|| self.malformed(format!("the key on line {number} is not base64 of 32 bytes")))?;
            if keys.iter().any(|other| other.id().as_str() == id) {
                return Err(self.malformed(format!("the id on line {number} stands above already")));
            }
            keys.push(HostKey::new(id, &key));
        }
        if keys.is_empty() {
            return Err(self.no_key());
        }
        Ok(keys)
    }

    fn malformed(&self, what: impl Into<String>) -> Error {
        Error::new(ErrorKind::Corrupt, "sealing.key_file_malformed", what)
            .with("path", self.path.display())
            .with_remedy("restore the file from its backup: one line a key, `<id> <base64 of 32 bytes>`")
    }

    fn no_key(&self) -> Error {
        self.malformed("the file holds no key")
    }

    /// Replaces the file by what `edit` makes of its keys.
    fn change<T>(&self, edit: impl FnOnce(&mut Vec<HostKey>) -> Result<T>) -> Result<T> {
        // The file itself, when the path is a link to it: a link stays a link.
        let path = fs::canonicalize(&self.path).map_err(|error| self.io("be opened", error))?;
        let held = self.lock(&path)?;
        let mut keys = self.read(&held)?;
        let answer = edit(&mut keys)?;
        self.write_beside(&path, &keys, Some(&held))?
            .persist(&path)
            .map_err(|error| self.io("be replaced", error.error))?;
        self.make_name_durable(&path)?;
        Ok(answer)
    }

    /// The file, held against others that change it; a key that one of them added must not get lost. Whoever waited may have
    /// got the lock of a file that was replaced meanwhile, and goes on to the new one.
    fn lock(&self, path: &Path) -> Result<File> {
        let locked = || -> io::Result<Option<File>> {
            let file = OpenOptions::new().read(true).write(true).open(path)?;
            file.lock()?;
            let (held, named) = (file.metadata()?, fs::metadata(path)?);
            Ok(((held.dev(), held.ino()) == (named.dev(), named.ino())).then_some(file))
        };
        loop {
            if let Some(file) = locked().map_err(|error| self.io("be locked", error))? {
                return Ok(file);
            }
        }
    }

    /// A new file in the folder of `path`, durable but for its name. It is of mode 0600 and belongs to whom `before` belongs
    /// to: an administrator who rotates keys must not lock the engine's user out.
    fn write_beside(&self, path: &Path, keys: &[HostKey], before: Option<&File>) -> Result<NamedTempFile> {
        let written = || -> io::Result<NamedTempFile> {
            // Its mode is 0600 by default.
            let mut new = tempfile::Builder::new()
                .prefix(".keys-")
                .suffix(".new")
                .tempfile_in(folder(path))?;
            if let Some(before) = before {
                let (was, is) = (before.metadata()?, new.as_file().metadata()?);
                if (was.uid(), was.gid()) != (is.uid(), is.gid()) {
                    fchown(new.as_file(), Some(was.uid()), Some(was.gid()))?;
                }
            }
            new.write_all(&print(keys)?)?;
            new.as_file().sync_all()?;
            Ok(new)
        };
        written().map_err(|error| self.io("be written", error))
    }

    fn make_name_durable(&self, path: &Path) -> Result<()> {
        File::open(folder(path))
            .and_then(|folder| folder.sync_all())
            .map_err(|error| self.io("be made durable", error))
    }

    fn io(&self, what: &str, error: io::Error) -> Error {
        let (kind, code, remedy) = match error.kind() {
            io::ErrorKind::NotFound => (
                ErrorKind::Unavailable,
                "sealing.key_file_missing",
                "mount its volume or restore it from its backup; make its folder first when it is to be created",
            ),
            io::ErrorKind::PermissionDenied => (
                ErrorKind::Denied,
                "sealing.key_file_permission",
                "give the file to this user; to change it, its folder too",
            ),
            _ => (
                ErrorKind::Unavailable,
                "sealing.key_file_io",
                "check the path, the free space and the file system",
            ),
        };
        Error::new(kind, code, format!("the key file could not {what}: {error}"))
            .with("path", self.path.display())
            .with_remedy(remedy)
            .with_source(error)
    }
}

impl KeySource for KeyFile {
    fn current(&self) -> Result<HostKey> {
        self.keys()?.pop().ok_or_else(|| self.no_key())
    }

    fn key(&self, id: &KeyId) -> Result<HostKey> {
        let keys = self.keys()?;
        let key = keys.into_iter().find(|key| key.id() == id);
        key.ok_or_else(|| key_unknown(id).with("path", self.path.display()))
    }
}

/// A random key under a random name that none of `others` has.
fn new_key(others: &[HostKey]) -> Result<HostKey> {
    loop {
        let mut name = [0; 8];
        fill(&mut name)?;
        let id = KeyId::new(format!("key-{:016x}", u64::from_be_bytes(name)));
        if others.iter().all(|other| other.id() != &id) {
            return HostKey::random(id);
        }
    }
}

/// How many characters a key has in base64.
const ENCODED: usize = HostKey::LENGTH.div_ceil(3) * 4;

fn decode(text: &str) -> Option<Zeroizing<[u8; HostKey::LENGTH]>> {
    // The decoder wants room for whole groups of three.
    let mut room = Zeroizing::new([0; ENCODED / 4 * 3]);
    if text.len() != ENCODED {
        return None;
    }
    let length = STANDARD.decode_slice(text, &mut *room).ok()?;
    let mut key = Zeroizing::new([0; HostKey::LENGTH]);
    key.copy_from_slice(room.get(..length).filter(|key| key.len() == HostKey::LENGTH)?);
    Some(key)
}

/// The file's text, in a buffer that does not grow.
fn print(keys: &[HostKey]) -> io::Result<Zeroizing<Vec<u8>>> {
    let size = keys.iter().map(|key| key.id().as_str().len() + ENCODED + 2).sum();
    let mut text = Zeroizing::new(Vec::with_capacity(size));
    for key in keys {
        let mut encoded = Zeroizing::new([0; ENCODED]);
        STANDARD
            .encode_slice(key.bytes(), &mut *encoded)
            .map_err(io::Error::other)?;
        text.extend_from_slice(key.id().as_str().as_bytes());
        text.push(b' ');
        text.extend_from_slice(&*encoded);
        text.push(b'\n');
    }
    Ok(text)
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealing::{Sealed, Secrets};
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    struct Bench {
        folder: tempfile::TempDir,
    }

    impl Bench {
        fn new() -> Self {
            Self {
                folder: tempfile::tempdir().unwrap(),
            }
        }
        fn path(&self) -> PathBuf {
            self.folder.path().join("keys")
        }
        fn write(&self, text: &[u8], mode: u32) -> PathBuf {
            fs::write(self.path(), text).unwrap();
            fs::set_permissions(self.path(), fs::Permissions::from_mode(mode)).unwrap();
            self.path()
        }
        fn files(&self) -> usize {
            fs::read_dir(self.folder.path()).unwrap().count()
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn line(id: &str, byte: u8) -> String {
        format!("{id} {}\n", STANDARD.encode([byte; 32]))
    }

    #[test]
    fn sec_02_a_new_key_file_is_its_owners_alone_and_overwrites_nothing() {
        let bench = Bench::new();
        let keys = KeyFile::create(bench.path()).unwrap();
        assert_eq!((mode(keys.path()), bench.files()), (0o600, 1));
        assert_eq!(keys.ids().unwrap().len(), 1);
        let before = fs::read(bench.path()).unwrap();

        let error = KeyFile::create(bench.path()).unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::Conflict, "sealing.key_file_exists")
        );
        assert_eq!((fs::read(bench.path()).unwrap(), bench.files()), (before, 1));
        let opened = KeyFile::open(bench.path()).unwrap();
        assert_eq!(opened.current().unwrap().bytes(), keys.current().unwrap().bytes());
    }

    #[test]
    fn sec_02_a_key_file_that_others_have_rights_to_is_refused() {
        let bench = Bench::new();
        let path = bench.write(line("a", 1).as_bytes(), 0o600);
        let keys = KeyFile::open(&path).unwrap();
        for wrong in [0o640, 0o604, 0o644, 0o660, 0o620, 0o602, 0o601, 0o610, 0o777] {
            fs::set_permissions(&path, fs::Permissions::from_mode(wrong)).unwrap();
            // Also one that was opened before.
            let errors = [
                KeyFile::open(&path).unwrap_err(),
                keys.current().unwrap_err(),
                keys.key(&"a".into()).unwrap_err(),
                keys.add_key().unwrap_err(),
                keys.drop_keys_but(&[]).unwrap_err(),
            ];
            for error in errors {
                assert_eq!(
                    (error.kind(), error.code()),
                    (ErrorKind::Refused, "sealing.key_file_mode"),
                    "{wrong:o}"
                );
                assert!(error.remedy().unwrap().contains("chmod 600"));
            }
        }
        for right in [0o600, 0o400, 0o700] {
            fs::set_permissions(&path, fs::Permissions::from_mode(right)).unwrap();
            assert_eq!(keys.current().unwrap().bytes(), &[1; 32]);
        }
    }

    #[test]
    fn sec_02_the_last_key_is_current_and_the_others_are_found() {
        let bench = Bench::new();
        let text = format!(
            "\n{}  {}\r\n{}",
            line("a", 1),
            line("b/2", 2).trim_end(),
            line("c", 3).trim_end()
        );
        let keys = KeyFile::open(bench.write(text.as_bytes(), 0o600)).unwrap();
        assert_eq!(keys.ids().unwrap(), ["a", "b/2", "c"].map(KeyId::from));
        assert_eq!(keys.current().unwrap().bytes(), &[3; 32]);
        assert_eq!(keys.key(&"b/2".into()).unwrap().bytes(), &[2; 32]);
        let error = keys.key(&"d".into()).unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::NotFound, "sealing.key_unknown")
        );
        assert!(error.remedy().is_some());
    }

    #[test]
    fn sec_02_a_malformed_key_file_names_the_line_and_shows_nothing_of_it() {
        let bench = Bench::new();
        let good = line("a", 1);
        let key = STANDARD.encode([0x5a; 32]);
        let table = [
            ("".to_owned(), "no key"),
            ("\n \n".to_owned(), "no key"),
            (format!("{good}{key}\n"), "line 2"),
            (format!("{good}b {key} more\n"), "line 2"),
            (format!("{good}b {}\n", &key[..40]), "line 2"),
            (format!("{good}b {key}Wlpa\n"), "line 2"),
            (format!("{good}b {}\n", STANDARD.encode([0x5a; 31])), "line 2"),
            (format!("{good}b {}\n", STANDARD.encode([0x5a; 33])), "line 2"),
            (format!("{good}\n{good}"), "line 3"),
        ];
        for (text, what) in table {
            let error = KeyFile::open(bench.write(text.as_bytes(), 0o600)).unwrap_err();
            assert_eq!(
                (error.kind(), error.code()),
                (ErrorKind::Corrupt, "sealing.key_file_malformed")
            );
            let said = format!("{error:?}");
            assert!(said.contains(what), "{said}");
            assert!(!said.contains("Wlpa") && !said.contains(&good[2..10]), "{said}");
        }
        let error = KeyFile::open(bench.write(b"a \xff\xfe\n", 0o600)).unwrap_err();
        assert_eq!(error.code(), "sealing.key_file_malformed");
    }

    #[test]
    fn sec_02_a_key_file_that_is_not_there_is_not_made() {
        let bench = Bench::new();
        let error = KeyFile::open(bench.path()).unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::Unavailable, "sealing.key_file_missing")
        );
        assert_eq!(bench.files(), 0);
        let error = KeyFile::create(bench.folder.path().join("no/folder")).unwrap_err();
        assert_eq!(error.code(), "sealing.key_file_missing");
    }

    #[test]
    fn sec_02_rotation_adds_a_current_key_and_forgets_only_what_it_is_told() {
        let bench = Bench::new();
        let keys = KeyFile::create(bench.path()).unwrap();
        let first = keys.current().unwrap();
        let seen_elsewhere = KeyFile::open(bench.path()).unwrap();
        let sealed = Sealed::seal(&keys, "cluster/a", &Secrets::new().with("password", "horse-17")).unwrap();

        let second = keys.add_key().unwrap();
        let third = keys.add_key().unwrap();
        assert_eq!(keys.ids().unwrap(), [first.id().clone(), second.clone(), third.clone()]);
        assert_eq!(seen_elsewhere.current().unwrap().id(), &third);
        assert_eq!(keys.key(first.id()).unwrap().bytes(), first.bytes());
        assert_eq!((mode(keys.path()), bench.files()), (0o600, 1));
        assert!(!sealed.is_current(&keys).unwrap());
        sealed.open(&keys, "cluster/a").unwrap();

        let error = keys.drop_keys_but(&["mistyped".into()]).unwrap_err();
        assert_eq!(error.code(), "sealing.key_unknown");
        assert_eq!(keys.ids().unwrap().len(), 3);

        assert_eq!(keys.drop_keys_but(&[first.id().clone()]).unwrap(), [second]);
        sealed.open(&keys, "cluster/a").unwrap();
        let sealed = sealed.reseal(&keys, "cluster/a").unwrap();
        // The current key stays unnamed too.
        assert_eq!(keys.drop_keys_but(&[]).unwrap(), [first.id().clone()]);
        sealed.open(&keys, "cluster/a").unwrap();
        assert_eq!(keys.ids().unwrap(), [third]);
        assert_eq!((mode(keys.path()), bench.files()), (0o600, 1));
    }

    #[test]
    fn sec_02_no_key_gets_lost_when_many_rotate_at_once() {
        let bench = Bench::new();
        let keys = KeyFile::create(bench.path()).unwrap();
        let added: Vec<KeyId> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| (0..4).map(|_| keys.add_key().unwrap()).collect::<Vec<_>>()))
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let held = keys.ids().unwrap();
        assert_eq!((added.len(), held.len()), (32, 33));
        assert!(added.iter().all(|id| held.contains(id)));
    }

    #[test]
    fn sec_02_rotation_keeps_a_link_and_the_files_owner() {
        let bench = Bench::new();
        let link = bench.folder.path().join("link");
        let real = KeyFile::create(bench.path()).unwrap();
        symlink("keys", &link).unwrap();
        // Only root can give the file away; for others its owner is who runs this.
        let _ = chown(real.path(), Some(65_534), Some(65_534));
        let owner = fs::metadata(real.path()).unwrap().uid();

        let id = KeyFile::open(&link).unwrap().add_key().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(real.current().unwrap().id(), &id);
        assert_eq!(fs::metadata(real.path()).unwrap().uid(), owner);
    }

    #[test]
    fn sec_02_a_key_file_does_not_show_its_keys() {
        let bench = Bench::new();
        let path = bench.write(line("a", 0x5a).as_bytes(), 0o600);
        let keys = KeyFile::open(&path).unwrap();
        assert_eq!(format!("{keys:?}"), format!("KeyFile {{ path: {path:?} }}"));
        assert_eq!(
            format!("{:?}", keys.current().unwrap()),
            "HostKey { id: KeyId(\"a\"), .. }"
        );
    }

    #[test]
    fn sec_02_a_file_in_the_working_folder_has_a_folder() {
        assert_eq!(folder(Path::new("keys")), Path::new("."));
        assert_eq!(folder(Path::new("/etc/keys")), Path::new("/etc"));
    }
}
