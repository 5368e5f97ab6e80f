//! The audit chain: what happened, entry by entry, each with the hash of the one before it.
//!
//! An entry's payload says what happened, by whom and why, and which records the commit changed. Its hash
//! covers its number, the hash before it and the digest of its payload. So a payload may be dropped and
//! its digest kept, and the chain still holds; an entry that is edited, left out or moved breaks it. Only
//! a chain that is cut at its end, or written anew from some entry on, looks whole: a [`head`] that was
//! noted elsewhere tells.
//!
//! Entries are canonical JSON, byte for byte: there is one way to write an entry down, and any other is
//! a broken one.

pub mod change;
pub mod entry;
pub mod head;
pub mod retention;
#[cfg(test)]
mod tests;
pub mod verify;
