//! Files that verbs read and write.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::CliError;

/// Opens `file`, or stdin when it is `-`; `verb` is what writes such a file.
///
/// # Errors
/// There is no such file, or it cannot be read.
pub(super) fn open(file: &Path, verb: &str) -> Result<Box<dyn BufRead + Send>, CliError> {
    if file == Path::new("-") {
        return Ok(Box::new(BufReader::new(std::io::stdin())));
    }
    match File::open(file) {
        Ok(opened) => Ok(Box::new(BufReader::new(opened))),
        Err(source) if source.kind() == ErrorKind::NotFound => Err(CliError::NotFound {
            code: "file_not_found",
            message: format!("there is no file {}; `optim {verb}` writes one", file.display()),
        }),
        Err(source) => Err(CliError::Io { path: file.to_owned(), source }),
    }
}

/// A file that takes the place of another one in one step, so that nobody ever sees half of it. It is for
/// this user alone.
pub(super) struct Replacement {
    path: PathBuf,
    to: BufWriter<NamedTempFile>,
}

impl Replacement {
    /// Begins the file that is to be at `path`.
    ///
    /// # Errors
    /// Nothing can be written there.
    pub(super) fn new(path: PathBuf) -> Result<Self, CliError> {
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        let temporary = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")));
        match temporary {
            Ok(temporary) => Ok(Self { path, to: BufWriter::new(temporary) }),
            Err(source) => Err(CliError::Io { path, source }),
        }
    }

    /// Writes a line.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn line(&mut self, line: &str) -> Result<(), CliError> {
        writeln!(self.to, "{line}")
            .map_err(|source| CliError::Io { path: self.path.clone(), source })
    }

    /// The file itself, for whoever writes it alone.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn handle(&self) -> Result<File, CliError> {
        let handle = self.to.get_ref().as_file().try_clone();
        handle.map_err(|source| CliError::Io { path: self.path.clone(), source })
    }

    /// Puts it into its place, on disk.
    ///
    /// # Errors
    /// The disk refuses; what was there stays.
    pub(super) fn finish(self) -> Result<PathBuf, CliError> {
        let Self { path, to } = self;
        let finished = || {
            let temporary = to.into_inner().map_err(std::io::IntoInnerError::into_error)?;
            temporary.as_file().sync_all()?;
            temporary.persist(&path)?;
            Ok(())
        };
        match finished() {
            Ok(()) => Ok(path),
            Err(source) => Err(CliError::Io { path, source }),
        }
    }
}
