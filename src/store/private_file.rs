//! The file of the database belongs to one user: who can write to it can revive a token.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Why a file is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Somebody else could read or write it.
    #[error("others may read or write the token database: chmod 600 {}", .0.display())]
    Open(PathBuf),
    /// Somebody else can always read or write it.
    #[error("the token database belongs to another user: chown it to the user of this service: {}", .0.display())]
    Foreign(PathBuf),
    /// Somebody else could put another file into its place.
    #[error("others may replace the token database: chmod go-w {}", .0.display())]
    Directory(PathBuf),
    /// There, and not a file.
    #[error("the token database is not a file: {}", .0.display())]
    NotAFile(PathBuf),
    /// The system's own word.
    #[error("the token database cannot be opened ({why}): {}", .path.display())]
    Io {
        /// Of which file.
        path: PathBuf,
        /// What.
        why: ErrorKind,
    },
}

impl FileError {
    fn io(path: &Path, error: &io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            why: error.kind(),
        }
    }
}

/// Makes the file if it is missing, readable to nobody else, and refuses one that others could read.
pub(super) fn make(path: &Path) -> Result<(), FileError> {
    let made = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Ok(_file) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(FileError::io(path, &error)),
    }
    check(path)
}

/// Refuses a file, the files that SQLite puts beside it, and a directory that others could use.
pub(super) fn check(path: &Path) -> Result<(), FileError> {
    let me = current_user()?;
    for beside in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(beside);
        check_file(Path::new(&name), me)?;
    }
    let directory = path.parent().unwrap_or_else(|| Path::new("/"));
    let about = fs::metadata(directory).map_err(|error| FileError::io(directory, &error))?;
    // In a sticky directory (/tmp) nobody can rename what belongs to others.
    if about.mode() & 0o022 != 0 && about.mode() & 0o1000 == 0 {
        return Err(FileError::Directory(directory.to_owned()));
    }
    Ok(())
}

fn check_file(path: &Path, me: u32) -> Result<(), FileError> {
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(FileError::io(path, &error)),
    };
    if !about.is_file() {
        return Err(FileError::NotAFile(path.to_owned()));
    }
    if about.uid() != me {
        return Err(FileError::Foreign(path.to_owned()));
    }
    if about.mode() & 0o077 != 0 {
        return Err(FileError::Open(path.to_owned()));
    }
    Ok(())
}

/// The effective user of this process. The standard library does not know it, Linux says it here.
fn current_user() -> Result<u32, FileError> {
    let status = Path::new("/proc/self/status");
    let text = fs::read_to_string(status).map_err(|error| FileError::io(status, &error))?;
    text.lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .and_then(|ids| ids.split_whitespace().nth(1))
        .and_then(|id| id.parse().ok())
        .ok_or_else(|| FileError::io(status, &ErrorKind::InvalidData.into()))
}
