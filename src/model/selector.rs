//! Label selectors (`metav1.LabelSelector`).

use std::fmt;
use std::sync::Arc;

use crate::model::Labels;

/// One condition on a label, as `kubectl` writes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Requirement {
    /// The label is there and has one of these values (`In`, `matchLabels`).
    In(Arc<str>, Box<[Arc<str>]>),
    /// The label is missing or has none of these values.
    NotIn(Arc<str>, Box<[Arc<str>]>),
    Exists(Arc<str>),
    DoesNotExist(Arc<str>),
}

/// Conditions that must all hold; without any, everything is selected.
///
/// Two selectors that say the same in another order are equal.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector(Box<[Requirement]>);

// === impl Requirement ===

impl Requirement {
    /// `key=value`.
    #[must_use]
    pub fn is(key: Arc<str>, value: Arc<str>) -> Self {
        Self::In(key, Box::new([value]))
    }

    #[must_use]
    pub fn key(&self) -> &Arc<str> {
        match self {
            Self::In(key, _)
            | Self::NotIn(key, _)
            | Self::Exists(key)
            | Self::DoesNotExist(key) => key,
        }
    }

    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(self.key());
        match self {
            Self::In(_, values) => value.is_some_and(|value| values.contains(value)),
            Self::NotIn(_, values) => value.is_none_or(|value| !values.contains(value)),
            Self::Exists(_) => value.is_some(),
            Self::DoesNotExist(_) => value.is_none(),
        }
    }

    fn sorted(self) -> Self {
        let sort = |values: Box<[Arc<str>]>| {
            let mut values = values.into_vec();
            values.sort_unstable();
            values.dedup();
            values.into_boxed_slice()
        };
        match self {
            Self::In(key, values) => Self::In(key, sort(values)),
            Self::NotIn(key, values) => Self::NotIn(key, sort(values)),
            other => other,
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In(key, values) => match &**values {
                [value] => write!(f, "{key}={value}"),
                _ => write!(f, "{key} in ({})", values.join(",")),
            },
            Self::NotIn(key, values) => match &**values {
                [value] => write!(f, "{key}!={value}"),
                _ => write!(f, "{key} notin ({})", values.join(",")),
            },
            Self::Exists(key) => f.write_str(key),
            Self::DoesNotExist(key) => write!(f, "!{key}"),
        }
    }
}

// === impl Selector ===

impl Selector {
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.0
    }

    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels))
    }
}

impl FromIterator<Requirement> for Selector {
    fn from_iter<I: IntoIterator<Item = Requirement>>(requirements: I) -> Self {
        let mut requirements: Vec<_> = requirements.into_iter().map(Requirement::sorted).collect();
        requirements.sort_unstable();
        requirements.dedup();
        Self(requirements.into_boxed_slice())
    }
}

/// As `kubectl --selector` takes it; empty for everything.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, requirement) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { "," };
            write!(f, "{separator}{requirement}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs
            .iter()
            .map(|(key, value)| (Arc::from(*key), Arc::from(*value)))
            .collect()
    }

    fn values(values: &[&str]) -> Box<[Arc<str>]> {
        values.iter().map(|value| Arc::from(*value)).collect()
    }

    #[test]
    fn every_operator_reads_as_the_api_says() {
        let key: Arc<str> = Arc::from("tier");
        let is_in = Requirement::In(Arc::clone(&key), values(&["a", "b"]));
        let not_in = Requirement::NotIn(Arc::clone(&key), values(&["a", "b"]));
        let exists = Requirement::Exists(Arc::clone(&key));
        let missing = Requirement::DoesNotExist(key);
        for (pairs, expected) in [
            (&[][..], [false, true, false, true]),
            (&[("tier", "a")][..], [true, false, true, false]),
            (&[("tier", "c")][..], [false, true, true, false]),
            (&[("tier", "")][..], [false, true, true, false]),
            (&[("other", "a")][..], [false, true, false, true]),
        ] {
            let labels = labels(pairs);
            let found = [&is_in, &not_in, &exists, &missing].map(|one| one.matches(&labels));
            assert_eq!(found, expected, "{labels}");
        }
    }

    #[test]
    fn selectors_that_say_the_same_are_equal_and_print_alike() {
        let one: Selector = [
            Requirement::In(Arc::from("tier"), values(&["b", "a", "b"])),
            Requirement::is(Arc::from("app"), Arc::from("web")),
            Requirement::DoesNotExist(Arc::from("old")),
        ]
        .into_iter()
        .collect();
        let other: Selector = [
            Requirement::DoesNotExist(Arc::from("old")),
            Requirement::is(Arc::from("app"), Arc::from("web")),
            Requirement::In(Arc::from("tier"), values(&["a", "b"])),
        ]
        .into_iter()
        .collect();
        assert_eq!(one, other);
        assert_eq!(one.to_string(), "app=web,tier in (a,b),!old");
        assert!(one.matches(&labels(&[("app", "web"), ("tier", "a")])));
        assert!(!one.matches(&labels(&[("app", "web"), ("tier", "a"), ("old", "")])));
        assert!(Selector::default().matches(&labels(&[])));
    }
}
