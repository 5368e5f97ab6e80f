//! LMDB.
