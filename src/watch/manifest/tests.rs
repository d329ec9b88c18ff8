use std::fs;

use super::*;
use crate::model::ObjectName;
use crate::watch::source::ClusterEvent;

fn service(name: &str, ip: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\nspec:\n  clusterIP: {ip}\n  ports:\n  - port: 80\n"
    )
}

fn notes_of(notes: &[Note]) -> Vec<String> {
    notes.iter().map(ToString::to_string).collect()
}

fn names(snapshot: &Snapshot) -> Vec<String> {
    snapshot
        .services
        .iter()
        .map(|(name, _)| name.to_string())
        .collect()
}

#[test]
fn a_directory_of_every_kind_becomes_a_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write(
        "a.yaml",
        &format!(
            "# head\n---\n{}---\n\n# nothing\n---\nkind: EndpointSlice\nmetadata:\n  name: web-1\n  labels:\n    kubernetes.io/service-name: web\naddressType: IPv4\nports:\n- name: \"\"\n  port: 8080\nendpoints:\n- addresses: [10.42.0.5]\n  nodeName: n1\n",
            service("web", "10.96.0.1")
        ),
    );
    write(
        "b.json",
        r#"{"kind": "List", "items": [{"kind": "Node", "metadata": {"name": "n1"}, "spec": {"podCIDR": "10.42.0.0/24"}},
            {"kind": "Pod", "metadata": {"name": "p", "namespace": "x"}}, {"kind": "Namespace", "metadata": {"name": "x"}},
            {"kind": "NetworkPolicy", "metadata": {"name": "x"}, "spec": {"ingress": [{"from": [{}]}]}}]}"#,
    );
    write("c.yml", "kind: Deployment\nmetadata:\n  name: d\n");
    write(".hidden.yaml", "{{{");
    write("notes.txt", "{{{");
    fs::create_dir(dir.path().join("sub.yaml")).unwrap();
    let (snapshot, notes) = load(dir.path()).unwrap();
    assert_eq!(names(&snapshot), ["default/web"]);
    let set = snapshot
        .slices
        .get(&ObjectName::new("default", "web"))
        .unwrap();
    assert_eq!(set[0].endpoints[0].address.to_string(), "10.42.0.5");
    assert_eq!(snapshot.nodes.len(), 1);
    assert!(snapshot.pods.get(&ObjectName::new("x", "p")).is_some());
    assert!(snapshot.namespaces.contains_key("x"));
    assert_eq!(snapshot.policies.len(), 1);
    assert_eq!(
        notes_of(&notes),
        [
            "NetworkPolicy default/x: spec.ingress[0].from[0]: neither a selector nor an ipBlock: \
             the peer matches nothing",
            "file c.yml: line 1: unknown kind \"Deployment\"",
        ]
    );
}

#[test]
fn a_node_without_policies_passes_over_pods_and_policies_but_not_over_broken_ones() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.yaml");
    let write = |text: &str| fs::write(&path, text).unwrap();
    let whole = "kind: Pod\nmetadata: {name: p}\n---\nkind: Namespace\nmetadata: {name: x}\n---\n\
                 kind: NetworkPolicy\nmetadata: {name: np}\nspec: {ingress: 3}\n";
    write(&format!("{whole}---\nkind: Pod\nmetadata: {{}}\n"));
    let scope = Scope::default();
    let mut folder = Folder::new(dir.path(), scope);
    folder.read_all().unwrap();
    let mut store = Store::default();
    let lists = folder.lists();
    assert_eq!(lists.len(), 7, "three lists and the notes: {lists:?}");
    lists.into_iter().for_each(|event| store.handle(event));
    let snapshot = store.publish().unwrap();
    assert!(snapshot.pods.is_empty() && snapshot.policies.is_empty());
    assert!(snapshot.namespaces.is_empty());
    assert_eq!(
        notes_of(&snapshot.notes),
        ["file a.yaml: line 10: Pod without a usable name"]
    );
    write("");
    folder.read("a.yaml");
    let changes = folder.changes();
    assert_eq!(changes, [ClusterEvent::Source(Vec::new())]);
}

#[test]
fn pods_and_policies_of_files_are_followed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.yaml");
    let text = |pod: &str, port: u16| {
        format!(
            "kind: Namespace\nmetadata: {{name: shop}}\n---\nkind: Pod\nmetadata: {{name: {pod}, namespace: shop, labels: {{version: 1}}}}\n\
             status: {{podIP: 10.42.0.7}}\n---\nkind: NetworkPolicy\nmetadata: {{name: np, namespace: shop}}\n\
             spec: {{podSelector: {{matchLabels: {{version: 1}}}}, ingress: [{{ports: [{{port: {port}}}]}}]}}\n"
        )
    };
    fs::write(&path, text("a", 80)).unwrap();
    let mut folder = open(dir.path()).unwrap();
    let mut store = Store::default();
    folder
        .lists()
        .into_iter()
        .for_each(|event| store.handle(event));
    let before = store.publish().unwrap();
    let policy = before.policies.get(&ObjectName::new("shop", "np")).unwrap();
    let pod = before.pods.get(&ObjectName::new("shop", "a")).unwrap();
    assert!(
        policy.pods.matches(&pod.labels),
        "{} {}",
        policy.pods,
        pod.labels
    );
    fs::write(&path, text("b", 81)).unwrap();
    folder.read("a.yaml");
    let changes = folder.changes();
    changes.into_iter().for_each(|event| store.handle(event));
    let after = store.publish().unwrap();
    let changed = |name| ObjectName::new("shop", name);
    assert_eq!(
        after.pods.changed_since(&before.pods),
        [changed("a"), changed("b")]
    );
    assert_eq!(
        after.policies.changed_since(&before.policies),
        [changed("np")]
    );
    assert!(Arc::ptr_eq(&after.namespaces, &before.namespaces));
}

#[test]
fn a_directory_that_is_not_there_is_an_error_with_its_path() {
    let error = load(Path::new("/nonexistent/manifests")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read the directory of manifests /nonexistent/manifests"
    );
}

#[test]
fn an_empty_directory_is_an_empty_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let (snapshot, notes) = load(dir.path()).unwrap();
    assert!(snapshot.services.is_empty() && notes.is_empty());
    assert_eq!(snapshot.generation, 1);
}

#[test]
fn a_broken_document_is_reported_with_its_line_and_costs_only_itself() {
    for (bad, line) in [
        ("kind: Service\nmetadata: {name: x\nspec: 3\n", 11..=13),
        ("kind: Service\n  metadata:\n name: x\n", 11..=13),
        ("- a\n- b\n", 10..=10),
        ("just text\n", 10..=10),
        ("metadata: {name: x}\n", 10..=10),
        ("kind: Service\nmetadata: {name: X}\n", 10..=10),
        ("kind: Pod\nmetadata: {labels: {}}\n", 10..=10),
        ("kind: Service\nkind: Node\n", 11..=12),
        ("kind: Service\nmetadata: *nowhere\n", 11..=12),
    ] {
        let text = format!(
            "{}\n---\n{bad}---\n{}",
            service("a", "10.96.0.1"),
            service("b", "10.96.0.2")
        );
        let parsed = document::parse("x.yaml", text.as_bytes(), Scope::ALL);
        assert!(parsed.is_broken, "{bad}");
        let kept: Vec<_> = parsed
            .objects
            .keys()
            .map(|(_, name)| name.to_string())
            .collect();
        assert_eq!(kept, ["default/a", "default/b"], "{bad}");
        assert_eq!(parsed.notes.len(), 1, "{bad}: {:?}", parsed.notes);
        let field = parsed.notes[0].field.to_string();
        let found: usize = field.strip_prefix("line ").unwrap().parse().unwrap();
        assert!(line.contains(&found), "{bad}: {:?}", parsed.notes);
    }
    let parsed = document::parse("x.yaml", b"kind: Service\n\xff", Scope::ALL);
    assert!(parsed.is_broken && parsed.notes[0].field.as_ref() == "line 2");
}

#[test]
fn a_broken_file_keeps_its_last_good_objects() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web.yaml");
    let both = format!(
        "{}---\n{}",
        service("a", "10.96.0.1"),
        service("b", "10.96.0.2")
    );
    fs::write(&path, both).unwrap();
    let mut folder = open(dir.path()).unwrap();
    let mut store = Store::default();
    folder
        .lists()
        .into_iter()
        .for_each(|event| store.handle(event));
    assert_eq!(names(&store.publish().unwrap()), ["default/a", "default/b"]);

    let mut change = |text: &str| {
        fs::write(&path, text).unwrap();
        folder.read("web.yaml");
        folder
            .changes()
            .into_iter()
            .for_each(|event| store.handle(event));
        store.publish()
    };
    let snapshot = change(&format!("{}---\n{{broken", service("a", "10.96.0.9"))).unwrap();
    assert_eq!(names(&snapshot), ["default/a", "default/b"]);
    let changed = snapshot
        .services
        .get(&ObjectName::new("default", "a"))
        .unwrap();
    assert_eq!(changed.cluster_ips[0].to_string(), "10.96.0.9");
    assert_eq!(snapshot.notes.len(), 1);
    let snapshot = change(&service("a", "10.96.0.9")).unwrap();
    assert_eq!(names(&snapshot), ["default/a"]);
    assert!(snapshot.notes.is_empty());
    assert!(change(&format!("# said again\n{}", service("a", "10.96.0.9"))).is_none());
    let snapshot = change("").unwrap();
    assert!(names(&snapshot).is_empty());
}

#[test]
fn of_two_files_that_describe_one_object_the_first_by_name_wins() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("b.yaml", &service("a", "10.96.0.2"));
    write("a.yaml", &format!("{0}---\n{0}", service("a", "10.96.0.1")));
    let mut folder = open(dir.path()).unwrap();
    let mut store = Store::default();
    folder
        .lists()
        .into_iter()
        .for_each(|event| store.handle(event));
    let snapshot = store.publish().unwrap();
    let address = |snapshot: &Snapshot| {
        let service = snapshot
            .services
            .get(&ObjectName::new("default", "a"))
            .unwrap();
        service.cluster_ips[0].to_string()
    };
    assert_eq!(address(&snapshot), "10.96.0.1");
    assert_eq!(
        notes_of(&snapshot.notes),
        [
            "file a.yaml: line 9: Service default/a is already described above",
            "file b.yaml: Service default/a is already described in a.yaml",
        ]
    );
    fs::remove_file(dir.path().join("a.yaml")).unwrap();
    folder.read("a.yaml");
    folder
        .changes()
        .into_iter()
        .for_each(|event| store.handle(event));
    let snapshot = store.publish().unwrap();
    assert_eq!(address(&snapshot), "10.96.0.2");
    assert!(snapshot.notes.is_empty());
}

#[test]
fn a_yaml_bomb_is_a_broken_file_and_no_more() {
    let mut text = String::from("kind: Service\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..12 {
        let refs = vec![format!("*a{}", n - 1); 10].join(", ");
        text.push_str(&format!("a{n}: &a{n} [{refs}]\n"));
    }
    let parsed = document::parse("bomb.yaml", text.as_bytes(), Scope::ALL);
    assert!(parsed.is_broken && parsed.objects.is_empty());
    let deep = format!("kind: {}", "[".repeat(100_000));
    assert!(document::parse("deep.yaml", deep.as_bytes(), Scope::ALL).is_broken);
    let deep = format!("{{\"kind\": {}", "[".repeat(100_000));
    assert!(document::parse("deep.json", deep.as_bytes(), Scope::ALL).is_broken);
}
