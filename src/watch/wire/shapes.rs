//! Makes the shapes of objects from the fields that are read of them.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, Visitor};

/// Mappings of which only the named fields are kept, the last one where a key comes twice.
///
/// A mapping with a parameter is one of several that differ in what is kept of the labels.
macro_rules! shapes {
    ($($(#[$doc:meta])* $name:ident $(<$labels:ident>)? { $($field:ident = $key:literal: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Default, Clone, PartialEq, Eq)]
        pub(in crate::watch) struct $name $(<$labels = super::Marks>)? {
            $(pub(in crate::watch) $field: Field<$type>,)*
        }

        impl $(<$labels: Shape + Default>)? Shape for $name $(<$labels>)? {
            const EXPECTED: &'static str = "a mapping";

            fn from_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
                let mut this = Self::default();
                while let Some(key) = map.next_key_seed(KeyOf(&[$($key),*]))? {
                    match key {
                        $(Some($key) => this.$field = map.next_value()?,)*
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(Some(this))
            }
        }
    )*};
}

/// Mappings that mean something else with a field that is not known: its name is kept.
macro_rules! strict_shapes {
    ($($(#[$doc:meta])* $name:ident { $($field:ident = $key:literal: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Default, Clone, PartialEq, Eq)]
        pub(in crate::watch) struct $name {
            $(pub(in crate::watch) $field: Field<$type>,)*
            /// The first of the keys that are none of the API's.
            pub(in crate::watch) unknown: Option<Text>,
        }

        impl Shape for $name {
            const EXPECTED: &'static str = "a mapping";

            fn from_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
                let mut this = Self::default();
                while let Some(key) = map.next_key::<Text>()? {
                    match &*key {
                        $($key => this.$field = map.next_value()?,)*
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            this.unknown.get_or_insert(key);
                        }
                    }
                }
                Ok(Some(this))
            }
        }
    )*};
}

pub(super) use {shapes, strict_shapes};

/// Recognises one of the keys, without copying the text.
pub(super) struct KeyOf(pub(super) &'static [&'static str]);

// === impl KeyOf ===

impl<'de> DeserializeSeed<'de> for KeyOf {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for KeyOf {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().copied().find(|known| *known == key))
    }
}
