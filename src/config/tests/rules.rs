use super::Files;

/// A file that breaks one rule between keys, and what is said about it.
const BROKEN: &[(&str, &str)] = &[
    (
        "[node]\nenable_ipv4 = false\n",
        "config.toml:2:1: node.enable_ipv4 = false: expected true: node.enable_ipv6 is off \
               as well, and one family is needed",
    ),
    (
        "[node]\nenable_ipv4 = false\nenable_ipv6 = true\n",
        "default: cluster.service_cluster_ip_range = [\"10.96.0.0/12\"]: 10.96.0.0/12 is \
               IPv4, which node.enable_ipv4 turns off",
    ),
    (
        "[proxy]\nnode_port_addresses = [\"primary\", \"fd00::/64\"]\n",
        "config.toml:2:1: proxy.node_port_addresses = [\"primary\", \"fd00::/64\"]: \
               fd00::/64 is IPv6, which node.enable_ipv6 turns off",
    ),
    (
        "[cluster]\nservice_cluster_ip_range = [\"10.1.0.0/16\", \"10.2.0.0/16\"]\n",
        "config.toml:2:1: cluster.service_cluster_ip_range = [\"10.1.0.0/16\", \
               \"10.2.0.0/16\"]: expected at most one IPv4 range; there are 2",
    ),
    (
        "[cluster]\nservice_cluster_ip_range = []\n",
        "config.toml:2:1: cluster.service_cluster_ip_range = []: expected one range for \
               each family in use",
    ),
    (
        "[cluster]\nservice_external_ip_range = [\"10.100.0.0/16\"]\n",
        "config.toml:2:1: cluster.service_external_ip_range = [\"10.100.0.0/16\"]: \
               10.100.0.0/16 lies inside cluster.service_cluster_ip_range (10.96.0.0/12), whose \
               addresses are never accepted",
    ),
    (
        "[cluster]\nloadbalancer_ip_range = [\"192.0.2.0/24\", \"192.0.2.0/28\"]\n",
        "config.toml:2:1: cluster.loadbalancer_ip_range = [\"192.0.2.0/24\", \
               \"192.0.2.0/28\"]: 192.0.2.0/28 lies inside 192.0.2.0/24 already; remove one",
    ),
    (
        "[proxy]\nexcluded_cidrs = [\"192.0.2.0/24\", \"192.0.2.0/24\"]\n",
        "config.toml:2:35: proxy.excluded_cidrs[1] = \"192.0.2.0/24\": the entry is in the \
               list twice; remove one",
    ),
    (
        "[cluster]\nkubeconfig = \"/a\"\nmanifests = \"/b\"\n",
        "config.toml:3:1: cluster.manifests = \"/b\": expected one source, but \
               cluster.kubeconfig is set too (config.toml:2:1)",
    ),
    (
        "[cluster]\nkubeconfig = \"\"\n",
        "config.toml:2:1: cluster.kubeconfig = \"\": expected a path here or in \
               cluster.manifests",
    ),
    (
        "[cluster]\napi_servers = [\"https://192.0.2.1\"]\nmanifests = \"/b\"\n",
        "config.toml:2:1: cluster.api_servers = [\"https://192.0.2.1\"]: has no meaning \
               with cluster.manifests; remove one of them",
    ),
    (
        "[metrics]\nlisten = \"127.0.0.1:20244\"\n",
        "config.toml:2:1: metrics.listen = \"127.0.0.1:20244\": expected another port: \
               health.listen ([::]:20244) takes this one",
    ),
    (
        "[proxy]\nnode_port_addresses = []\n",
        "config.toml:2:1: proxy.node_port_addresses = []: expected at least one entry, such \
               as \"primary\"",
    ),
];

#[test]
fn rules_between_keys_name_the_place_of_what_breaks_them() {
    for (text, expected) in BROKEN {
        assert_eq!(Files::new(text).problems(), [*expected], "{text}");
    }
}
