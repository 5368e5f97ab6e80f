//! The envelope around every value.
//!
//! LMDB has no checksums: a flipped bit comes back as data. So each value is
//!
//! | bytes | what |
//! |---|---|
//! | 1 | the codec of the payload, which stands for its version too |
//! | 4 | the length of the payload, big-endian |
//! | 4 | the CRC-32 of the table's name, the key, the codec and the payload, big-endian |
//! | … | the payload |
//!
//! Name and key are in the checksum so that no record passes for another one.

use serde::de::DeserializeOwned;

use crate::encoded;
use crate::store::StoreError;

/// How a payload is encoded. The values are far apart, so that a flipped bit makes none of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    /// JSON: self-describing, so that a field can be added with a default.
    Json,
    /// Bytes as they came.
    Raw,
}

impl Codec {
    fn byte(self) -> u8 {
        match self {
            Self::Json => 0xA1,
            Self::Raw => 0x5E,
        }
    }
}

/// Wraps `payload` for the record `key` of `table`.
pub(crate) fn seal(
    table: &str,
    key: &[u8],
    codec: Codec,
    payload: &[u8],
) -> Result<Vec<u8>, StoreError> {
    let Ok(length) = u32::try_from(payload.len()) else {
        return Err(StoreError::Refused("a record has more than 4 GiB"));
    };
    let mut value = Vec::with_capacity(payload.len().saturating_add(9));
    value.push(codec.byte());
    value.extend(length.to_be_bytes());
    value.extend(checksum(table, key, codec, payload).to_be_bytes());
    value.extend(payload);
    Ok(value)
}

/// The payload of `value`, or what is wrong with it.
pub(crate) fn unseal<'v>(
    table: &str,
    key: &[u8],
    codec: Codec,
    value: &'v [u8],
) -> Result<&'v [u8], &'static str> {
    let Some((&[byte, l0, l1, l2, l3, c0, c1, c2, c3], payload)) = value.split_first_chunk() else {
        return Err("it is too short");
    };
    if byte != codec.byte() {
        return Err("its codec is unknown");
    }
    if u32::try_from(payload.len()) != Ok(u32::from_be_bytes([l0, l1, l2, l3])) {
        return Err("its length is wrong");
    }
    if checksum(table, key, codec, payload) != u32::from_be_bytes([c0, c1, c2, c3]) {
        return Err("its checksum is wrong");
    }
    Ok(payload)
}

/// Decodes the record in `value`, or says what is wrong with it.
pub(super) fn decode<T: DeserializeOwned>(
    table: &str,
    key: &[u8],
    value: &[u8],
) -> Result<T, String> {
    encoded::decode(unseal(table, key, Codec::Json, value)?)
}

fn checksum(table: &str, key: &[u8], codec: Codec, payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    for part in [table.as_bytes(), &[0], key, &[codec.byte()], payload] {
        crc.update(part);
    }
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoded::encode;

    #[test]
    fn every_flipped_bit_is_found() {
        let sealed = seal("runs", b"key", Codec::Json, br#"{"a":1}"#).unwrap();
        assert_eq!(unseal("runs", b"key", Codec::Json, &sealed), Ok(&br#"{"a":1}"#[..]));
        for bit in 0..sealed.len() * 8 {
            let mut broken = sealed.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal("runs", b"key", Codec::Json, &broken).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(unseal("runs", b"key", Codec::Json, &sealed[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_record_does_not_pass_for_another_one() {
        let sealed = seal("runs", b"key", Codec::Raw, b"payload").unwrap();
        assert!(unseal("runs", b"kez", Codec::Raw, &sealed).is_err());
        assert!(unseal("events", b"key", Codec::Raw, &sealed).is_err());
        assert!(unseal("runs", b"key", Codec::Json, &sealed).is_err());
    }

    #[test]
    fn what_was_written_is_read_back_however_deep_or_precise() {
        let mut deep = serde_json::json!([0.198_440_042_788_562_86, 0.1 + 0.2, 5e-324, 1.797e308]);
        for _ in 0..500 {
            deep = serde_json::json!([deep]);
        }
        let sealed = seal("runs", b"", Codec::Json, &encode(&deep).unwrap()).unwrap();
        assert_eq!(decode::<serde_json::Value>("runs", b"", &sealed), Ok(deep));
    }
}
