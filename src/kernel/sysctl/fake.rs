//! Parameters in memory, for tests of those who set them.

use std::collections::BTreeMap;

use super::object::Key;
use super::{Error, Parameters};

/// Kernel parameters without a kernel; those not named here do not exist.
#[derive(Debug, Clone, Default)]
pub struct FakeSysctl {
    pub values: BTreeMap<Key, String>,
    /// Every write, in order.
    pub writes: Vec<(Key, String)>,
}

impl Parameters for FakeSysctl {
    fn read(&mut self, key: &Key) -> Result<String, Error> {
        let value = self.values.get(key).cloned();
        value.ok_or_else(|| Error::Missing(key.clone()))
    }

    fn write(&mut self, key: &Key, value: &str) -> Result<(), Error> {
        let slot = self.values.get_mut(key);
        let slot = slot.ok_or_else(|| Error::Missing(key.clone()))?;
        value.clone_into(slot);
        self.writes.push((key.clone(), value.to_owned()));
        Ok(())
    }
}
