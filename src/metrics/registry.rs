//! Who contributes to the page.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::controller::{self, Ages, ControllerMetrics};
use super::{Kind, Text};

type Collector = Box<dyn Fn(&mut Text) + Send + Sync>;
type AgesOf = Box<dyn Fn(Instant) -> Ages + Send + Sync>;

/// Collectors are asked in the order they came; one may block (it reads the kernel), so a page is
/// never written on the async runtime's own threads.
#[derive(Default)]
pub struct Registry {
    controllers: Mutex<Vec<(Arc<ControllerMetrics>, AgesOf)>>,
    collectors: Mutex<Vec<Collector>>,
}

// === impl Registry ===

impl Registry {
    /// Starts with `build_info`.
    #[must_use]
    pub fn new(version: &'static str) -> Self {
        let registry = Self::default();
        registry.add(move |text| {
            text.family("build_info", Kind::Gauge, "Build identification");
            text.sample("build_info", &[("version", version)], 1);
        });
        registry
    }

    /// Adds a contributor.
    pub fn add(&self, collector: impl Fn(&mut Text) + Send + Sync + 'static) {
        let mut collectors = self
            .collectors
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        collectors.push(Box::new(collector));
    }

    /// Adds a controller; `ages` is asked at each scrape.
    pub fn add_controller(
        &self,
        metrics: Arc<ControllerMetrics>,
        ages: impl Fn(Instant) -> Ages + Send + Sync + 'static,
    ) {
        let mut controllers = self
            .controllers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        controllers.push((metrics, Box::new(ages)));
    }

    /// The whole page. May block.
    #[must_use]
    pub fn encode(&self, now: Instant) -> String {
        let mut text = Text::default();
        let controllers = self
            .controllers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let rows: Vec<_> = controllers
            .iter()
            .map(|(metrics, ages)| (&**metrics, ages(now)))
            .collect();
        if !rows.is_empty() {
            controller::encode(&mut text, &rows);
        }
        for collect in self
            .collectors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            collect(&mut text);
        }
        text.into_string()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}
