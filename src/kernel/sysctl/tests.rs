use super::*;

fn key(path: &str) -> Key {
    Key::new(path).unwrap()
}

/// A directory that looks like `/proc/sys` with one parameter.
fn tree() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("net/ipv4/vs")).unwrap();
    std::fs::write(root.path().join("net/ipv4/vs/conntrack"), "0\n").unwrap();
    root
}

/// The same table for the real handle and for the fake.
fn behaves(parameters: &mut dyn Parameters) {
    let conntrack = key("net/ipv4/vs/conntrack");
    let changed = parameters.set(&conntrack, "1").unwrap().unwrap();
    assert_eq!((changed.old.as_str(), changed.new.as_str()), ("0", "1"));
    assert_eq!(changed.to_string(), "sysctl -w net/ipv4/vs/conntrack=1");
    assert_eq!(parameters.read(&conntrack).unwrap(), "1");
    assert_eq!(parameters.set(&conntrack, "1").unwrap(), None);

    let missing = key("net/ipv4/vs/none");
    for error in [
        parameters.read(&missing).unwrap_err(),
        parameters.set(&missing, "1").unwrap_err(),
        parameters.write(&missing, "1").unwrap_err(),
    ] {
        assert_eq!(error, Error::Missing(missing.clone()));
        assert_eq!(
            error.to_string(),
            "kernel has no parameter net/ipv4/vs/none"
        );
    }
}

#[test]
fn writes_only_differences_and_reports_the_old_value() {
    let root = tree();
    behaves(&mut Sysctl::below(root.path()));
    assert!(
        !root.path().join("net/ipv4/vs/none").exists(),
        "a parameter was created"
    );

    let mut fake = FakeSysctl::default();
    fake.values
        .insert(key("net/ipv4/vs/conntrack"), "0".to_owned());
    behaves(&mut fake);
    assert_eq!(fake.writes.len(), 1);
}

#[test]
fn a_parameter_that_cannot_be_written_says_the_value() {
    let root = tree();
    let directory = key("net/ipv4");
    let mut sysctl = Sysctl::below(root.path());
    let error = sysctl.write(&directory, "1").unwrap_err();
    assert!(
        matches!(&error, Error::Unwritable { value, .. } if value == "1"),
        "{error}"
    );
    assert!(matches!(
        sysctl.read(&directory),
        Err(Error::Unreadable { .. })
    ));
}

#[test]
fn keys_cannot_lead_out_of_the_tree() {
    for bad in [
        "",
        "/etc/passwd",
        "net/../../etc",
        "net//x",
        "net/.",
        "net/x\0y",
    ] {
        assert!(Key::new(bad).is_err(), "{bad:?}");
    }
    assert_eq!(
        key("net/ipv4/conf/eth0.5/rp_filter").path(),
        "net/ipv4/conf/eth0.5/rp_filter"
    );
}
