//! What the data file says about itself, read before it is mapped.
//!
//! LMDB maps the file and trusts it: where the file ends before the pages that it claims to have,
//! the process dies of SIGBUS. So the two meta pages are read here first, as `mdb.c` lays them out
//! (`MDB_page` and `MDB_meta`, 64 bits, the machine's byte order):
//!
//! | offset | size | field |
//! |---|---|---|
//! | 10 | 2 | `mp_flags`; 0x08 marks a meta page |
//! | 16 | 4 | `mm_magic`, 0xBEEFC0DE |
//! | 20 | 4 | `mm_version`, 1 |
//! | 40 | 4 | `mm_dbs[0].md_pad`, which is the page size |
//! | 136 | 8 | `mm_last_pg`, the last page in use |
//! | 144 | 8 | `mm_txnid`; the page with the higher one holds |
//!
//! The second meta page begins one page size behind the first. LMDB may leave out the last pages
//! of the file when they are free; so that a short file always means a truncated one, the file is
//! made as long as the map (sparse) before the first transaction writes to it.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

#[cfg(not(target_pointer_width = "64"))]
compile_error!("the LMDB backend needs a 64-bit machine");

const HEAD: usize = 152;

/// What is known of a data file before it is mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DataFile {
    /// Its length in bytes.
    pub length: u64,
    /// The length up to which it is in use.
    pub used: u64,
    /// The size of its pages in bytes.
    pub page_size: u32,
}

/// Why a data file must not be mapped.
#[derive(Debug)]
pub(super) enum Unmappable {
    Io(std::io::Error),
    Broken(String),
}

impl From<std::io::Error> for Unmappable {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl DataFile {
    /// Looks at the data file at `path`; `None` when there is none, or an empty one.
    pub(super) fn inspect(path: &Path) -> Result<Option<Self>, Unmappable> {
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let length = file.metadata()?.len();
        if length == 0 {
            return Ok(None);
        }
        let first = Meta::read(&file, 0)?;
        let second = Meta::read(&file, first.page_size.into())?;
        let last_page = if second.txn > first.txn { second.last_page } else { first.last_page };
        let used = last_page.saturating_add(1).saturating_mul(first.page_size.into());
        if length < used {
            return Err(Unmappable::Broken(format!(
                "it has {length} bytes of {used}; it was truncated"
            )));
        }
        Ok(Some(Self { length, used, page_size: first.page_size }))
    }
}

struct Meta {
    page_size: u32,
    last_page: u64,
    txn: u64,
}

impl Meta {
    fn read(file: &File, offset: u64) -> Result<Self, Unmappable> {
        let mut head = [0; HEAD];
        match file.read_exact_at(&mut head, offset) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                return Err(Unmappable::Broken(
                    "it ends before its second page; it was truncated".to_owned(),
                ));
            }
            read => read?,
        }
        Self::parse(&head).ok_or_else(|| {
            Unmappable::Broken(
                "it is no LMDB file of this kind of machine, or its first pages are damaged"
                    .to_owned(),
            )
        })
    }

    fn parse(head: &[u8; HEAD]) -> Option<Self> {
        let flags = u16::from_ne_bytes(field(head, 10)?);
        let magic = u32::from_ne_bytes(field(head, 16)?);
        let version = u32::from_ne_bytes(field(head, 20)?);
        let page_size = u32::from_ne_bytes(field(head, 40)?);
        let sane = flags & 0x08 != 0
            && magic == 0xBEEF_C0DE
            && version == 1
            && page_size.is_power_of_two()
            && (512..=65_536).contains(&page_size);
        sane.then_some(Self {
            page_size,
            last_page: u64::from_ne_bytes(field(head, 136)?),
            txn: u64::from_ne_bytes(field(head, 144)?),
        })
    }
}

fn field<const N: usize>(head: &[u8; HEAD], offset: usize) -> Option<[u8; N]> {
    head.get(offset..)?.first_chunk().copied()
}
