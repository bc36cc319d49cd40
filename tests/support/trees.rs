//! Fleets of any size, for what counts and measures.

use k0smotron_fleet::diagnostic::SourceTree;

/// One set, and a table with this many rows.
pub fn table(count: usize) -> SourceTree {
    let set = "apiVersion: fleet.k0smotron.io/v1alpha1\nkind: ClusterSet\nmetadata: {name: stores}\nspec:\n  key: store\n  \
               generators: [{csv: {path: stores.csv}}]\n  columns: {replicas: integer}\n  where: status != 'closed'\n  \
               template:\n    metadata:\n      name: store-${store}\n      namespace: edge\n      labels: {region: \
               '${region}', wave: '${wave ?? main}'}\n    spec:\n      replicas: ${replicas}\n      version: \
               v1.36.3+k0s.2\n      externalAddress: store-${store}.${region}.example.org\n      service: {type: \
               ClusterIP}\n      resources: {requests: {cpu: 100m, memory: 512Mi}}\n";
    let rows: String = (0..count)
        .map(|number| format!("{number:05},{},3,,open\n", ["north", "south", "east"][number % 3]))
        .collect();
    SourceTree::from_texts([
        ("stores.yaml", set.to_owned()),
        ("stores.csv", format!("store,region,replicas,wave,status\n{rows}")),
    ])
}

/// This many files with a cluster each.
pub fn files(count: usize) -> SourceTree {
    SourceTree::from_texts((0..count).map(|number| {
        let text = format!(
            "apiVersion: k0smotron.io/v1beta1\nkind: K0smotronCluster\nmetadata:\n  name: store-{number:05}\n  namespace: \
             edge\n  labels: {{region: north, wave: main}}\nspec:\n  replicas: 3\n  version: v1.36.3+k0s.2\n  \
             externalAddress: store-{number:05}.north.example.org\n  service: {{type: ClusterIP}}\n  resources: \
             {{requests: {{cpu: 100m, memory: 512Mi}}}}\n"
        );
        (format!("clusters/{number:05}.yaml"), text)
    }))
}
