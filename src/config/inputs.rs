//! What a configuration is made of besides its text: the files and variables that it names. All of them are read
//! here, so that it is known which parts of two configurations are made of the same, and when to look again.

use std::{
    collections::BTreeMap,
    env, fmt, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use aws_lc_rs::digest::{Context, SHA256};

/// What a part of a configuration was made of: two parts of one edition say the same, down to the content of the
/// files that they name. A digest, because secrets are among them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Edition([u8; 32]);

impl fmt::Debug for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Edition").finish_non_exhaustive()
    }
}

/// The files of a configuration, each as it was when it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files(BTreeMap<PathBuf, Option<Stamp>>);

/// Tells one state of a file from another. Symbolic links are followed: Kubernetes changes a mounted volume by
/// pointing one of them elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// `None`: there is no such file, or nobody may look at it.
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

impl Files {
    /// The same files as they are now.
    #[must_use]
    pub fn now(&self) -> Self {
        let paths = self.0.keys();
        Self(paths.map(|path| (path.clone(), Stamp::of(path))).collect())
    }
}

/// Reads, and remembers what was read.
pub(super) struct Inputs {
    files: Files,
    all: Context,
    part: Context,
}

impl Default for Inputs {
    fn default() -> Self {
        Self {
            files: Files::default(),
            all: Context::new(&SHA256),
            part: Context::new(&SHA256),
        }
    }
}

impl Inputs {
    /// Reads a file.
    pub(super) fn file(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        // Looked at before it is read: whatever changes in between is seen later as a change.
        let stamp = Stamp::of(path);
        self.files.0.insert(path.to_owned(), stamp);
        let read = fs::read(path);
        self.add(read.as_deref().unwrap_or_default());
        read
    }

    /// Reads a file of text.
    pub(super) fn text(&mut self, path: &Path) -> io::Result<String> {
        let read = self.file(path)?;
        String::from_utf8(read)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
    }

    /// Reads an environment variable.
    #[expect(
        clippy::disallowed_methods,
        reason = "the configuration is the edge: it names the variable"
    )]
    pub(super) fn variable(&mut self, name: &str) -> Result<String, env::VarError> {
        let read = env::var(name);
        self.add(read.as_deref().unwrap_or_default().as_bytes());
        read
    }

    /// Takes in what does not come from elsewhere.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes();
        for context in [&mut self.all, &mut self.part] {
            // Lengths go in first: no two lists of inputs share a byte string.
            context.update(&length);
            context.update(bytes);
        }
    }

    /// Begins a part.
    pub(super) fn begin(&mut self) {
        self.part = Context::new(&SHA256);
    }

    /// The edition of the part as far as it has been read.
    pub(super) fn edition(&self) -> Edition {
        Edition::of(&self.part)
    }

    /// The edition of everything.
    pub(super) fn whole(&self) -> Edition {
        Edition::of(&self.all)
    }

    /// The files that were read, or should have been.
    pub(super) fn into_files(self) -> Files {
        self.files
    }
}

impl Edition {
    fn of(context: &Context) -> Self {
        let mut bytes = [0; 32];
        let digest = context.clone().finish();
        for (to, from) in bytes.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        Self(bytes)
    }
}
