//! Columns within the document of an order: the same values as in their tables, in few bytes.

use std::fmt::Debug;

use jiff::Timestamp;
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{At, Bytes, Json, Name, Named};

/// A row of a document does not repeat whose it is.
pub(in crate::db) fn no_key() -> Bytes<16> {
    Bytes([0; 16])
}

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0.as_microsecond())
    }
}

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let micros = i64::deserialize(deserializer)?;
        Ok(Self(
            Timestamp::from_microsecond(micros).map_err(D::Error::custom)?,
        ))
    }
}

impl<T: Named + Debug> Serialize for Name<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de, T: Named + Debug> Deserialize<'de> for Name<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = <&str>::deserialize(deserializer)?;
        let known = T::parse(name).map(Self);
        known.ok_or_else(|| {
            D::Error::custom(format_args!(
                "{name:?} is no {}",
                std::any::type_name::<T>()
            ))
        })
    }
}

impl<T: Serialize + Debug> Serialize for Json<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // As text, for these may leave out what is not there, which only text can say.
        let text = serde_json::to_string(&self.0).map_err(S::Error::custom)?;
        serializer.serialize_str(&text)
    }
}

impl<'de, T: DeserializeOwned + Debug> Deserialize<'de> for Json<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        Ok(Self(serde_json::from_str(text).map_err(D::Error::custom)?))
    }
}
