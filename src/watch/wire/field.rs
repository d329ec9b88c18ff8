//! Fields that decode from anything.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// How much of a wrong value is quoted, in characters.
const QUOTED: usize = 64;

/// A field of an object, however it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Field<T> {
    /// Missing or null.
    #[default]
    Absent,
    Good(T),
    /// Of another type than the API says; the text names what stood there.
    Wrong(Box<str>),
}

/// A type that one or some of JSON's types can become. What is not overridden does not fit.
pub(crate) trait Shape: Sized {
    /// For notes: `a text`, `a list`.
    const EXPECTED: &'static str;

    #[must_use]
    fn from_text(_: &str) -> Option<Self> {
        None
    }

    #[must_use]
    fn from_number(_: i64) -> Option<Self> {
        None
    }

    #[must_use]
    fn from_bool(_: bool) -> Option<Self> {
        None
    }

    /// Must read the list to its end.
    ///
    /// # Errors
    /// Only where the text itself is broken.
    fn from_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    /// Must read the mapping to its end.
    ///
    /// # Errors
    /// Only where the text itself is broken.
    fn from_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

struct AnyShape<T>(PhantomData<T>);

// === impl Field ===

impl<T> Field<T> {
    pub(crate) fn good(&self) -> Option<&T> {
        match self {
            Self::Good(value) => Some(value),
            Self::Absent | Self::Wrong(_) => None,
        }
    }
}

impl<'de, T: Shape> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyShape(PhantomData))
    }
}

// === impl AnyShape ===

impl<'de, T: Shape> Visitor<'de> for AnyShape<T> {
    type Value = Field<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<Field<T>, E> {
        Ok(Field::Absent)
    }

    fn visit_none<E: Error>(self) -> Result<Field<T>, E> {
        Ok(Field::Absent)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Field<T>, E> {
        Ok(fit(T::from_bool(value), || value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Field<T>, E> {
        Ok(fit(T::from_number(value), || format!("the number {value}")))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Field<T>, E> {
        let number = i64::try_from(value).ok();
        Ok(fit(number.and_then(T::from_number), || {
            format!("the number {value}")
        }))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Field<T>, E> {
        Ok(fit(None, || format!("the number {value}")))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Field<T>, E> {
        Ok(fit(T::from_text(value), || {
            format!("the text {}", quoted(value))
        }))
    }

    fn visit_bytes<E: Error>(self, _: &[u8]) -> Result<Field<T>, E> {
        Ok(fit(None, || "bytes".to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Field<T>, A::Error> {
        Ok(fit(T::from_list(list)?, || "a list".to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Field<T>, A::Error> {
        Ok(fit(T::from_map(map)?, || "a mapping".to_owned()))
    }
}

// === impl Shape for the plain types ===

impl Shape for Box<str> {
    const EXPECTED: &'static str = "a text";

    fn from_text(text: &str) -> Option<Self> {
        Some(text.into())
    }
}

impl Shape for i64 {
    const EXPECTED: &'static str = "a whole number";

    fn from_number(number: i64) -> Option<Self> {
        Some(number)
    }
}

impl Shape for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_bool(value: bool) -> Option<Self> {
        Some(value)
    }
}

impl<T: Shape> Shape for Vec<Field<T>> {
    const EXPECTED: &'static str = "a list";

    fn from_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        let mut items = Self::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Some(items))
    }
}

/// Text of an object in quotes, without line breaks and never long.
#[must_use]
pub(in crate::watch) fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

fn fit<T>(value: Option<T>, found: impl FnOnce() -> String) -> Field<T> {
    match value {
        Some(value) => Field::Good(value),
        None => Field::Wrong(found().into()),
    }
}
