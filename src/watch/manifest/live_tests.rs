use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::live::{ManifestSource, PART};
use crate::model::Snapshot;
use crate::watch::source::Scope;
use crate::watch::status::SourceStatus;
use crate::watch::store::{self, Store};

struct Followed {
    snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    status: SourceStatus,
}

fn follow(dir: &Path) -> Followed {
    let status = SourceStatus::default();
    let source = ManifestSource::open(dir, Scope::ALL, status.clone()).unwrap();
    let (sender, receiver) = mpsc::channel(16);
    let (publish, snapshots) = watch::channel(None);
    tokio::spawn(source.run(sender));
    tokio::spawn(store::run(Store::default(), receiver, publish));
    Followed { snapshots, status }
}

impl Followed {
    /// Waits until the snapshot holds exactly these Services and this many notes.
    async fn until(&mut self, names: &[&str], notes: usize) {
        let fits = |snapshot: &Option<Arc<Snapshot>>| {
            snapshot.as_ref().is_some_and(|snapshot| {
                let found: Vec<_> = snapshot.services.iter().map(|(n, _)| n.name).collect();
                found.iter().map(|n| &**n).eq(names.iter().copied())
                    && snapshot.notes.len() == notes
            })
        };
        let wait = self.snapshots.wait_for(fits);
        let limit = Duration::from_secs(20);
        let found = tokio::time::timeout(limit, wait).await.is_ok();
        assert!(found, "never {names:?}: {:?}", self.snapshots.borrow());
    }
}

fn service(name: &str) -> String {
    format!("kind: Service\nmetadata: {{name: {name}}}\nspec: {{clusterIP: 10.96.0.1}}\n")
}

fn put(dir: &Path, name: &str, text: &str) {
    let hidden = dir.join(format!(".{name}.tmp"));
    fs::write(&hidden, text).unwrap();
    fs::rename(hidden, dir.join(name)).unwrap();
}

#[tokio::test]
async fn files_are_followed_however_they_change() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "a.yaml", &service("a"));
    let mut followed = follow(dir.path());
    followed.until(&["a"], 0).await;
    put(dir.path(), "b.yaml", &service("b"));
    followed.until(&["a", "b"], 0).await;
    fs::write(dir.path().join("a.yaml"), service("c")).unwrap();
    followed.until(&["b", "c"], 0).await;
    fs::rename(dir.path().join("b.yaml"), dir.path().join("b.txt")).unwrap();
    followed.until(&["c"], 0).await;
    put(dir.path(), "a.yaml", "{{{");
    followed.until(&["c"], 1).await;
    fs::remove_file(dir.path().join("a.yaml")).unwrap();
    followed.until(&[], 0).await;
    std::os::unix::fs::symlink("b.txt", dir.path().join("d.yaml")).unwrap();
    followed.until(&["b"], 0).await;
    fs::hard_link(dir.path().join("b.txt"), dir.path().join("e.yaml")).unwrap();
    followed.until(&["b"], 1).await;
}

#[tokio::test]
async fn a_directory_that_vanishes_keeps_its_objects_until_it_is_back() {
    let top = tempfile::tempdir().unwrap();
    let dir = top.path().join("manifests");
    fs::create_dir(&dir).unwrap();
    put(&dir, "a.yaml", &service("a"));
    let mut followed = follow(&dir);
    followed.until(&["a"], 0).await;
    fs::remove_dir_all(&dir).unwrap();
    followed.until(&["a"], 1).await;
    assert!(followed.status.parts()[PART].fault.is_some());
    fs::create_dir(&dir).unwrap();
    put(&dir, "b.yaml", &service("b"));
    followed.until(&["b"], 0).await;
    assert_eq!(*followed.status.fault().borrow(), None);

    // Exchanged as a whole.
    let next = top.path().join("next");
    fs::create_dir(&next).unwrap();
    put(&next, "c.yaml", &service("c"));
    fs::rename(&dir, top.path().join("old")).unwrap();
    fs::rename(&next, &dir).unwrap();
    followed.until(&["c"], 0).await;
    put(&dir, "d.yaml", &service("d"));
    followed.until(&["c", "d"], 0).await;
    put(&top.path().join("old"), "e.yaml", &service("e"));
    put(&dir, "f.yaml", &service("f"));
    followed.until(&["c", "d", "f"], 0).await;
}

#[tokio::test]
async fn a_mounted_config_map_is_followed() {
    let top = tempfile::tempdir().unwrap();
    let link = |target: &str| {
        let hidden = top.path().join("..data_tmp");
        std::os::unix::fs::symlink(target, &hidden).unwrap();
        fs::rename(hidden, top.path().join("..data")).unwrap();
    };
    for (version, name) in [("..1", "a"), ("..2", "b")] {
        fs::create_dir(top.path().join(version)).unwrap();
        fs::write(top.path().join(version).join("x.yaml"), service(name)).unwrap();
    }
    link("..1");
    std::os::unix::fs::symlink("..data/x.yaml", top.path().join("x.yaml")).unwrap();
    let mut followed = follow(top.path());
    followed.until(&["a"], 0).await;
    link("..2");
    followed.until(&["b"], 0).await;
}

#[tokio::test]
async fn a_directory_that_is_missing_at_the_start_is_an_error() {
    let error = ManifestSource::open(
        Path::new("/nonexistent/x"),
        Scope::ALL,
        SourceStatus::default(),
    );
    assert!(error.is_err());
}
