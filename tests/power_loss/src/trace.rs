//! A record of all that a process wrote into its store, in order, from `strace`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::workload;

/// The acknowledgements that a record has.
const COMMITS: usize = 160;
/// The calls that change a file or make a change last, and those that say which file and where.
const CALLS: &str =
    "openat,close,lseek,write,writev,pwrite64,pwritev,pwritev2,fdatasync,fsync,msync,ftruncate";

/// Something that happened to the data file, or that the process was told.
#[derive(Debug)]
pub(crate) enum Step {
    /// Bytes were written.
    Write {
        /// Where in the file.
        at: usize,
        bytes: Vec<u8>,
        /// Whether the call returned only when they were on the disk.
        through: bool,
    },
    /// The file was made so long.
    Length(usize),
    /// All that was written before is on the disk.
    Sync,
    /// A line that the process printed: a commit was acknowledged.
    Told(String),
}

/// What a process did.
pub(crate) struct Record {
    pub(crate) steps: Vec<Step>,
    /// Its store, with the files that are not traced.
    pub(crate) store: TempDir,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |is: fn(&Step) -> bool| self.steps.iter().filter(|step| is(step)).count();
        write!(
            f,
            "recorded: {} writes, {} of them synced by themselves, {} syncs, {} acknowledged commits",
            count(|step| matches!(step, Step::Write { .. })),
            count(|step| matches!(step, Step::Write { through: true, .. })),
            count(|step| matches!(step, Step::Sync)),
            count(|step| matches!(step, Step::Told(_))),
        )
    }
}

/// Runs the process under `strace` until enough commits were acknowledged.
pub(crate) fn record() -> anyhow::Result<Record> {
    let store = tempfile::tempdir_in("/dev/shm")?;
    let log = tempfile::NamedTempFile::new()?;
    let mut traced = Command::new("strace")
        .args(["-f", "-y", "-xx", "-s", "10000000", "-e", &format!("trace={CALLS}"), "-o"])
        .arg(log.path())
        .arg(std::env::current_exe()?)
        .arg(workload::WRITE)
        .arg(store.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let lines = BufReader::new(traced.stdout.take().context("it says nothing")?).lines();
    for line in lines.take(COMMITS) {
        line?;
    }
    // Nobody listens any more, so that it ends.
    traced.wait()?;
    let steps = read(&std::fs::read_to_string(log.path())?)?;
    anyhow::ensure!(steps.iter().any(|step| matches!(step, Step::Sync)), "nothing was synced");
    Ok(Record { steps, store })
}

/// The steps that the lines of `strace` tell of.
fn read(log: &str) -> anyhow::Result<Vec<Step>> {
    let mut files = Files::default();
    let mut begun: BTreeMap<&str, &str> = BTreeMap::new();
    let mut steps = Vec::new();
    for line in log.lines() {
        let Some((process, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        if let Some(begin) = call.strip_suffix(" <unfinished ...>") {
            begun.insert(process, begin);
            continue;
        }
        // A call that another process interrupted in the log: it counts when it returned.
        let whole = match call.strip_prefix("<... ") {
            Some(rest) => {
                let (_, rest) = rest.split_once(" resumed>").context("not resumed")?;
                format!("{}{rest}", begun.remove(process).context("resumed, but not begun")?)
            }
            None => call.to_owned(),
        };
        steps.extend(files.step(&whole)?);
    }
    Ok(steps)
}

/// What is known of the open files of the process.
#[derive(Default)]
struct Files {
    /// Those whose writes return when they are on the disk.
    through: BTreeSet<u32>,
    /// Where the next write goes.
    positions: BTreeMap<u32, usize>,
}

impl Files {
    /// The step that a call is, if it is one.
    fn step(&mut self, call: &str) -> anyhow::Result<Option<Step>> {
        let Some((name, rest)) = call.split_once('(') else { return Ok(None) };
        // The result stands in a column of its own.
        let Some((arguments, returned)) = rest.rsplit_once(" = ") else { return Ok(None) };
        let Some(arguments) = arguments.trim_end().strip_suffix(')') else { return Ok(None) };
        if returned.starts_with('-') {
            return Ok(None);
        }
        if name == "openat" {
            if let Some(file) = file(returned)? {
                self.positions.insert(file, 0);
                match arguments.contains("SYNC") {
                    true => self.through.insert(file),
                    false => self.through.remove(&file),
                };
            }
            return Ok(None);
        }
        if name == "write" && arguments.starts_with("1<") {
            let told = String::from_utf8(text(arguments)?)?;
            return Ok(Some(Step::Told(told.trim().to_owned())));
        }
        let Some(file) = file(arguments)? else { return Ok(None) };
        let through = self.through.contains(&file);
        Ok(match name {
            "pwrite64" | "pwritev" | "pwritev2" => {
                let at = number(arguments, 1)?;
                Some(Step::Write { at, bytes: text(arguments)?, through })
            }
            "write" | "writev" => {
                let bytes = text(arguments)?;
                let at = self.positions.entry(file).or_default();
                let write = Step::Write { at: *at, bytes, through };
                *at += number(returned, 1)?;
                Some(write)
            }
            "lseek" => {
                self.positions.insert(file, number(returned, 1)?);
                None
            }
            "ftruncate" => Some(Step::Length(number(arguments, 1)?)),
            "fdatasync" | "fsync" => Some(Step::Sync),
            "msync" => anyhow::bail!("the store writes through its map, which is not traced"),
            _ => None,
        })
    }
}

/// The number of the file that `words` begin with, if it is a data file.
fn file(words: &str) -> anyhow::Result<Option<u32>> {
    let Some((number, rest)) = words.split_once('<') else { return Ok(None) };
    let (path, _) = rest.split_once('>').context("a path without an end")?;
    let path = String::from_utf8(bytes(path)?)?;
    let is_data = Path::new(&path).file_name().is_some_and(|name| name == "data.mdb");
    Ok(if is_data { Some(number.parse()?) } else { None })
}

/// The last number of `words`, counted from the end.
fn number(words: &str, from_end: usize) -> anyhow::Result<usize> {
    let word = words.rsplit(", ").nth(from_end - 1).context("a number is missing")?;
    let word = word.split('<').next().unwrap_or(word);
    word.trim().parse().with_context(|| format!("{word:?} is no number"))
}

/// All quoted text of `arguments`, joined.
fn text(arguments: &str) -> anyhow::Result<Vec<u8>> {
    // What is between quotes is every second piece, since quotes inside are written as bytes.
    let quoted = arguments.split('"').skip(1).step_by(2);
    let pieces: anyhow::Result<Vec<Vec<u8>>> = quoted.map(bytes).collect();
    Ok(pieces?.concat())
}

/// The bytes of `\x2f\x72`.
fn bytes(escaped: &str) -> anyhow::Result<Vec<u8>> {
    let pieces = escaped.split("\\x").skip(1);
    pieces.map(|piece| Ok(u8::from_str_radix(piece, 16)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines as `strace` writes them, with short paths: `2f` and the name in hexadecimal.
    fn log(lines: &[&str]) -> String {
        let data = "\\x2f\\x64\\x61\\x74\\x61\\x2e\\x6d\\x64\\x62";
        lines.iter().map(|line| format!("{}\n", line.replace("DATA", data))).collect()
    }

    fn shown(steps: &[Step]) -> Vec<String> {
        let show = |step: &Step| match step {
            Step::Write { at, bytes, through } => {
                let mark = if *through { "!" } else { "" };
                format!("{at}:{}{mark}", String::from_utf8_lossy(bytes))
            }
            Step::Length(length) => format!("length {length}"),
            Step::Sync => "sync".to_owned(),
            Step::Told(text) => format!("told {text}"),
        };
        steps.iter().map(show).collect()
    }

    #[test]
    fn writes_and_syncs_of_the_data_file_are_read_in_the_order_in_which_they_returned() {
        let read = read(&log(&[
            "7 openat(AT_FDCWD<\\x2f>, \"DATA\", O_RDWR|O_CREAT, 0777) = 3<DATA>",
            "7 openat(AT_FDCWD<\\x2f>, \"DATA\", O_RDWR|O_DSYNC|O_CLOEXEC) = 4<DATA>",
            "7 openat(AT_FDCWD<\\x2f>, \"\\x2f\\x6c\", O_RDWR) = 5<\\x2f\\x6c>",
            "7 ftruncate(3<DATA>, 8192) = 0",
            "7 pwrite64(3<DATA>, \"\\x61\\x62\", 2, 10 <unfinished ...>",
            "8 write(1<\\x70>, \"\\x30\\x20\\x31\\x0a\", 4) = 4",
            "7 <... pwrite64 resumed>)      = 2",
            "7 pwrite64(5<\\x2f\\x6c>, \"\\x7a\", 1, 0) = 1",
            "7 pwrite64(3<DATA>, \"\\x7a\", 1, 0) = -1 ENOSPC (No space left on device)",
            "7 lseek(3<DATA>, 20, SEEK_SET) = 20",
            "7 writev(3<DATA>, [{iov_base=\"\\x63\", iov_len=1}, {iov_base=\"\\x64\", iov_len=1}], 2) = 2",
            "7 write(3<DATA>, \"\\x65\", 1) = 1",
            "7 fdatasync(3<DATA>) = 0",
            "7 pwrite64(4<DATA>, \"\\x6d\", 1, 0) = 1",
        ]));
        let wanted = ["length 8192", "told 0 1", "10:ab", "20:cd", "22:e", "sync", "0:m!"];
        assert_eq!(shown(&read.unwrap()), wanted);
    }
}
