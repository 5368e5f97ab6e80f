//! The LMDB environment: the one place that opens it, and its map that grows.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard};

use heed::types::DecodeIgnore;
use heed::{CommitOrAbort, Env, EnvOpenOptions, MdbError, RwTxn, WithoutTls};
use optim_core::audit::entry::Entry;
use optim_core::audit::head::Head;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::encoded::encode;
use crate::store::StoreError;
use crate::upkeep::Stat;

use super::envelope::{self, Codec};
use super::file::{DataFile, Unmappable};
use super::tables::Tables;
use super::view::View;
use super::writer::index_workflow_run;
use super::{Error, Options, corrupt, io_failed};

/// The format that this version writes, and the newest that it reads.
const FORMAT: u32 = 4;
/// Threads that may read at once; tokio's pool alone has 512.
const READERS_MAX: u32 = 1024;
/// Map sizes are multiples of this, which covers the page size of every machine.
const MAP_UNIT: u64 = 64 * 1024;
/// What the tables need at least.
const MAP_MIN: u64 = 1024 * 1024;
/// A disk with fewer bytes to give is full.
const FULL_BELOW: u64 = 1024 * 1024;
/// Tells a store that lost its data file from a new one, and people what they look at.
const MARKER: &str = "optim-store";

/// What is known of the store as a whole.
#[derive(Debug, Serialize, Deserialize)]
struct Meta {
    format: u32,
    page_size: u32,
    byte_order: String,
    created_by: String,
}

/// The open environment.
#[derive(Debug)]
pub(super) struct Environment {
    path: PathBuf,
    map_max: u64,
    /// Transactions hold it for reading. Held for writing while the map is exchanged, so that no
    /// transaction lives then; empty once the store is closed.
    opened: RwLock<Option<Opened>>,
    /// Why nothing is answered any more.
    failed: OnceLock<String>,
}

#[derive(Debug)]
struct Opened {
    env: Env<WithoutTls>,
    tables: Tables<'static>,
    map_size: u64,
}

impl Environment {
    /// Opens the store in the directory `path`, which this process owns.
    pub(super) fn open(path: &Path, options: &Options) -> Result<Self, StoreError> {
        let data = path.join("data.mdb");
        let broken = |why: &str| corrupt(&format!("the store at {}", path.display()), why);
        let file = DataFile::inspect(&data).map_err(|error| match error {
            Unmappable::Io(source) => io_failed(path, source),
            Unmappable::Broken(why) => broken(&why),
        })?;
        let marker = path.join(MARKER);
        match file {
            None if marker.exists() => return Err(broken("its data file is gone or empty")),
            Some(file) if usize::try_from(file.page_size) != Ok(rustix::param::page_size()) => {
                return Err(broken("it was made on a machine with another page size"));
            }
            None | Some(_) => {}
        }
        let used = file.map_or(0, |file| file.length);
        let map_size = round_up(options.map_initial.min(options.map_max).max(used));
        let opened = Opened::open(path, map_size)?;
        write_marker(&marker).map_err(|source| io_failed(path, source))?;
        let environment = Self {
            path: path.to_owned(),
            map_max: round_up(options.map_max),
            opened: RwLock::new(Some(opened)),
            failed: OnceLock::new(),
        };
        environment.write(upgrade)?;
        Ok(environment)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Sizes and counts.
    pub(super) fn stat(&self) -> Result<Stat, StoreError> {
        let opened = self.opened();
        let opened = self.usable(&opened)?;
        opened.stat(self.map_max).map_err(|error| error.into_store(&self.path))
    }

    /// Runs `read` in a transaction of its own.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(View<'_>) -> Result<T, Error>,
    ) -> Result<T, StoreError> {
        let opened = self.opened();
        let opened = self.usable(&opened)?;
        let answer = opened
            .env
            .read_txn()
            .map_err(Error::from)
            .and_then(|txn| read(View { tables: &opened.tables, txn: &txn }));
        answer.map_err(|error| error.into_store(&self.path))
    }

    /// Runs `change` in a transaction and commits it; when the map is too small for it, enlarges the
    /// map and runs it again.
    pub(super) fn write<T>(
        &self,
        mut change: impl FnMut(&Tables<'static>, &mut RwTxn<'_>) -> Result<T, Error>,
    ) -> Result<T, StoreError> {
        loop {
            match self.try_write(&mut change) {
                Err(Error::Lmdb(heed::Error::Mdb(MdbError::MapFull))) => self.grow()?,
                answer => return answer.map_err(|error| error.into_store(&self.path)),
            }
        }
    }

    fn try_write<T>(
        &self,
        change: &mut impl FnMut(&Tables<'static>, &mut RwTxn<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let opened = self.opened();
        let opened = self.usable(&opened)?;
        let mut txn = opened.env.write_txn()?;
        let answer = change(&opened.tables, &mut txn)?;
        match txn.commit() {
            Ok(()) => Ok(answer),
            Err(error) => Err(self.commit_failed(opened, error)),
        }
    }

    /// Without space nothing was written, unless LMDB itself gave up; then, and after any other
    /// failure, the state of the disk is unknown and a second sync proves nothing.
    fn commit_failed(&self, opened: &Opened, error: heed::Error) -> Error {
        let harmless = matches!(&error, heed::Error::Mdb(MdbError::MapFull))
            || matches!(&error, heed::Error::Io(error) if is_no_space(&self.path, error));
        if harmless && opened.env.write_txn().is_ok() {
            return error.into();
        }
        self.fail(format!("a commit failed ({error}); open the store again")).into()
    }

    /// From here on nothing is answered.
    fn fail(&self, why: String) -> StoreError {
        io_failed(&self.path, std::io::Error::other(self.failed.get_or_init(|| why).clone()))
    }

    /// Doubles the map. The environment is opened anew, since the map may only change while no
    /// transaction lives.
    fn grow(&self) -> Result<(), StoreError> {
        let mut slot = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        let map_size = self.usable(&slot)?.map_size;
        if map_size >= self.map_max {
            return Err(StoreError::Full {
                path: self.path.clone(),
                limit_mib: self.map_max >> 20,
            });
        }
        drop(slot.take());
        let larger = Opened::open(&self.path, map_size.saturating_mul(2).min(self.map_max));
        *slot = Some(larger.map_err(|error| self.fail(format!("its map cannot grow: {error}")))?);
        Ok(())
    }

    /// Waits for the transactions that live, and closes the environment.
    pub(super) fn close(&self) {
        drop(self.opened.write().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn opened(&self) -> RwLockReadGuard<'_, Option<Opened>> {
        self.opened.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn usable<'o>(&self, opened: &'o Option<Opened>) -> Result<&'o Opened, StoreError> {
        let why = match (self.failed.get(), opened) {
            (None, Some(opened)) => return Ok(opened),
            (Some(why), _) => why,
            (None, None) => "it is closed",
        };
        Err(io_failed(&self.path, std::io::Error::other(why)))
    }
}

impl Opened {
    fn open(path: &Path, map_size: u64) -> Result<Self, StoreError> {
        Self::try_open(path, map_size).map_err(|error| error.into_store(path))
    }

    fn stat(&self, map_max: u64) -> Result<Stat, Error> {
        let txn = self.env.read_txn()?;
        let view = View { tables: &self.tables, txn: &txn };
        let info = self.env.info();
        let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let page = u64::from(self.env.unnamed_database_stat().page_size);
        Ok(Stat {
            format: FORMAT,
            table_bytes: number(self.tables.bytes(&txn)?),
            used_bytes: number(info.last_page_number).saturating_add(1).saturating_mul(page),
            map_bytes: number(info.map_size),
            map_bytes_max: map_max,
            readers: info.number_of_readers,
            readers_max: info.maximum_number_of_readers,
            transactions: number(txn.id()),
            tables: self.tables.counts(&txn)?,
            head: view.audit_head()?,
        })
    }

    fn try_open(path: &Path, map_size: u64) -> Result<Self, Error> {
        let env = map(path, map_size)?;
        env.clear_stale_readers()?;
        let stored = read_meta(&env, path)?;
        let file = env.try_clone_inner_file()?;
        if file.metadata()?.len() < map_size {
            // See `file`: a file as long as its map makes a truncated one recognizable.
            file.set_len(map_size)?;
            file.sync_all()?;
        }
        let tables = create_tables(&env, stored)?;
        Ok(Self { env, tables, map_size })
    }
}

/// Opens the environment with LMDB's default, safe, way to sync.
#[expect(unsafe_code, reason = "LMDB maps a file into memory")]
fn map(path: &Path, map_size: u64) -> Result<Env<WithoutTls>, Error> {
    let size =
        usize::try_from(map_size).map_err(|_| io_failed(path, ErrorKind::OutOfMemory.into()))?;
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.map_size(size).max_readers(READERS_MAX).max_dbs(Tables::COUNT);
    // SAFETY: the map is sound as long as nobody else changes the file. This process holds the
    // owner lock of the directory, heed refuses to open the same one twice in a process, and
    // the file was found to be as long as its pages say. No flag weakens LMDB's locks.
    Ok(unsafe { options.open(path) }?)
}

/// The store's meta record; refuses a store that this version must not touch.
fn read_meta(env: &Env<WithoutTls>, path: &Path) -> Result<Option<Meta>, Error> {
    let what = format!("the store at {}", path.display());
    let opened =
        env.open_databases_and_commit(env.read_txn()?, |opener, txn| -> Result<_, heed::Error> {
            let table =
                opener.open_database::<heed::types::Str, heed::types::Bytes>(txn, Some("meta"))?;
            let value = match table {
                Some(table) => table.get(txn, "store")?.map(<[u8]>::to_vec),
                None => None,
            };
            Ok(CommitOrAbort::<(), _>::Abort(value))
        })?;
    let Some(value) = opened.abort().flatten() else {
        return match env.unnamed_database_stat().entries {
            0 => Ok(None),
            _ => {
                Err(corrupt(&what, "it was not made by optim, or its first record is gone").into())
            }
        };
    };
    let meta: Meta =
        envelope::decode("meta", b"store", &value).map_err(|why| corrupt(&what, &why))?;
    if meta.format > FORMAT {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            found: meta.format,
            supported: FORMAT,
        }
        .into());
    }
    if meta.byte_order != BYTE_ORDER || meta.page_size != env.unnamed_database_stat().page_size {
        return Err(corrupt(&what, "it was made on another kind of machine").into());
    }
    Ok(Some(meta))
}

const BYTE_ORDER: &str = if cfg!(target_endian = "little") { "little" } else { "big" };

/// Creates the tables that are missing. Those that came after format 1 begin empty; see [`upgrade`].
fn create_tables(env: &Env<WithoutTls>, stored: Option<Meta>) -> Result<Tables<'static>, Error> {
    let meta = stored.unwrap_or_else(|| Meta {
        format: FORMAT,
        page_size: env.unnamed_database_stat().page_size,
        byte_order: BYTE_ORDER.to_owned(),
        created_by: concat!("optim ", env!("CARGO_PKG_VERSION")).to_owned(),
    });
    let sealed = seal_meta(&meta)?;
    let created = env.create_databases_and_commit(
        env.write_txn()?,
        |opener, txn| -> Result<_, heed::Error> {
            let tables = Tables::create(opener, txn)?;
            if tables.meta.get(txn, "store")?.is_none() {
                tables.meta.put(txn, "store", &sealed)?;
            }
            Ok(CommitOrAbort::<_, ()>::Commit(tables))
        },
    )?;
    created.commit().ok_or_else(|| {
        io_failed(env.path(), std::io::Error::other("the tables cannot be opened")).into()
    })
}

/// Makes a store of an older format one of this format, step by step. Nothing in one of format 1 belongs
/// into the tables of format 2; to these format 3 adds indexes of the workflow runs; format 4 chains the
/// events.
fn upgrade(tables: &Tables<'static>, txn: &mut RwTxn<'_>) -> Result<(), Error> {
    let found = tables.meta.get(txn, "store")?.map(<[u8]>::to_vec).unwrap_or_default();
    let broken = |why: String| corrupt("the first record of the store", &why);
    let meta: Meta = envelope::decode("meta", b"store", &found).map_err(broken)?;
    if meta.format == FORMAT {
        return Ok(());
    }
    if meta.format < 3 {
        index_workflow_runs(tables, txn)?;
    }
    if meta.format < 4 {
        chain_events(tables, txn)?;
    }
    let sealed = seal_meta(&Meta { format: FORMAT, ..meta })?;
    Ok(tables.meta.put(txn, "store", &sealed)?)
}

fn index_workflow_runs(tables: &Tables<'static>, txn: &mut RwTxn<'_>) -> Result<(), Error> {
    let seqs = tables.workflow_runs.remap_data_type::<DecodeIgnore>().iter(txn)?;
    for seq in seqs.map(|entry| Ok(entry?.0)).collect::<heed::Result<Vec<_>>>()? {
        // A damaged one is told to whoever reads it.
        if let Ok(run) = (View { tables, txn }).workflow_run_numbered(seq) {
            index_workflow_run(tables, txn, &run, seq)?;
        }
    }
    Ok(())
}

/// Makes each event an entry of the audit chain. What they changed was not told then. A damaged or missing
/// one is refused, as nobody could tell later that it was damaged before.
fn chain_events(tables: &Tables<'static>, txn: &mut RwTxn<'_>) -> Result<(), Error> {
    let mut head = Head::default();
    loop {
        let next = tables.events.get_greater_than(txn, &head.seq)?;
        let Some((seq, value)) = next else { return Ok(()) };
        let broken = |why: &str| corrupt(&format!("event {seq}"), why);
        let key = seq.to_be_bytes();
        let event: Value = envelope::decode("events", &key, value).map_err(|why| broken(&why))?;
        let entry = Entry::after(head, &event, &[]).map_err(|error| broken(&error.to_string()))?;
        if entry.seq != seq {
            return Err(broken("those before it are missing").into());
        }
        let sealed = envelope::seal("events", &key, Codec::Json, &entry.to_bytes())?;
        tables.events.put(txn, &seq, &sealed)?;
        head = entry.head();
    }
}

fn seal_meta(meta: &Meta) -> Result<Vec<u8>, StoreError> {
    envelope::seal("meta", b"store", Codec::Json, &encode(meta)?)
}

fn write_marker(marker: &Path) -> std::io::Result<()> {
    if marker.exists() {
        return Ok(());
    }
    let mut file = File::create(marker)?;
    file.write_all(
        b"This directory is a store of optim. Change or copy it only while no optim uses it.\n",
    )?;
    file.sync_all()
}

/// Whether `error` at the store `path` means that its disk is full. LMDB reports a write that was
/// cut short, which is how a disk fills up, as an input/output error.
pub(super) fn is_no_space(path: &Path, error: &std::io::Error) -> bool {
    if error.raw_os_error() != Some(rustix::io::Errno::IO.raw_os_error()) {
        return matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    }
    let space = |disk: rustix::fs::StatVfs| disk.f_bavail.saturating_mul(disk.f_frsize);
    rustix::fs::statvfs(path).is_ok_and(|disk| space(disk) < FULL_BELOW)
}

fn round_up(size: u64) -> u64 {
    size.max(MAP_MIN).next_multiple_of(MAP_UNIT)
}
