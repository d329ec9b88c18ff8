//! The role that is shipped is the one that is needed.

use std::collections::BTreeSet;

use super::*;

/// A document of the manifest that is shipped for the cluster's administrator.
#[derive(serde::Deserialize)]
struct Role {
    kind: String,
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    api_groups: Vec<String>,
    resources: Vec<String>,
    verbs: Vec<String>,
}

impl Rule {
    fn granted(&self) -> impl Iterator<Item = (String, String, String)> {
        self.api_groups.iter().flat_map(move |group| {
            self.resources.iter().flat_map(move |resource| {
                let verbs = self.verbs.iter();
                verbs.map(move |verb| (group.clone(), resource.clone(), verb.clone()))
            })
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_role_grants_what_is_asked_for_and_nothing_else() {
    let text = include_str!("../../../../etc/rbac.yaml");
    let documents: Vec<Role> = serde_saphyr::from_multiple(text).unwrap();
    let roles = documents.iter().filter(|role| role.kind == "ClusterRole");
    let granted: BTreeSet<_> = roles
        .flat_map(|role| &role.rules)
        .flat_map(Rule::granted)
        .collect();

    let mut asked = BTreeSet::new();
    for streaming in [true, false] {
        let server = filled_with_policies(
            Options {
                streaming_lists: streaming,
                ..options()
            },
            1,
        );
        let kubeconfig = server.kubeconfig(Credentials::Token);
        let mut watched = Watched::start_in(Scope::ALL, &kubeconfig, &[], timing());
        watched
            .until("all", |snapshot| snapshot.knows_policies)
            .await;
        watched.healthy().await;
        // A watch follows each list.
        server.apply(service("b", "10.96.0.2"));
        watched.services(&["a", "b"]).await;
        for request in server.requests() {
            let mut words = request.path.split('/').skip(1);
            let group = match words.next() {
                Some("api") => "",
                Some("apis") => words.next().unwrap(),
                _ => continue, // Health and version are open to everybody.
            };
            let (group, resource) = (group.to_owned(), request.resource.to_owned());
            asked.insert((group, resource, request.verb.to_owned()));
        }
    }
    assert_eq!(asked, granted);
}
