//! `check` against a cluster where something stands already.

use coracle_tests::cluster::{Cluster, repository};
use coracle_tests::private::in_private_network;

/// What the profiles leave to their user.
const SECRETS: &str = "secrets.databaseUrl=postgresql://u:p@db.example/todo,secrets.openaiApiKey=sk-of-the-test,\
                       secrets.cohereApiKey=c,secrets.betterAuthSecret=a-secret-of-more-than-thirty-two-bytes";

/// Looks at the todo chart with a profile; what it says, whether it is well.
fn check(cluster: &Cluster, profile: &str, namespace: &str) -> (bool, String) {
    let chart = repository().join("charts/todo-app");
    let values = chart.join("profiles").join(profile);
    let [chart, values] = [chart, values].map(|path| path.display().to_string());
    let args = [
        "check", "todo", &chart, "-f", &values, "--set", SECRETS, "-n", namespace,
    ];
    let output = cluster.command(&args).output().expect("it was built");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.success(),
        text(&output.stdout) + &text(&output.stderr),
    )
}

/// Installs the todo chart with a profile, whose images need not be there.
fn install(cluster: &Cluster, profile: &str, namespace: &str) {
    let chart = repository().join("charts/todo-app");
    let values = chart.join("profiles").join(profile);
    let [chart, values] = [chart, values].map(|path| path.display().to_string());
    cluster.run(&[
        "install",
        "todo",
        &chart,
        "-f",
        &values,
        "--set",
        SECRETS,
        "-n",
        namespace,
        "--create-namespace",
    ]);
}

#[test]
fn two_profiles_that_want_one_node_port_are_told_apart() {
    in_private_network(
        "two_profiles_that_want_one_node_port_are_told_apart",
        || {
            let cluster = Cluster::new("check");
            cluster.run(&["start"]);
            let (_, alone) = check(&cluster, "004-k8s-deployment.yaml", "second");
            assert!(!alone.contains("node-port-taken"), "{alone}");
            install(&cluster, "001-kubernetes-deployment.yaml", "first");
            let (well, said) = check(&cluster, "004-k8s-deployment.yaml", "second");
            assert!(!well, "{said}");
            for wanted in [
                "node-port-taken",
                // Who holds it, and where the other wish is written.
                "nodePort 30080 is taken by Service",
                "templates/service.yaml:21",
                "004-k8s-deployment.yaml:93",
            ] {
                assert!(said.contains(wanted), "{wanted} is not told:\n{said}");
            }
            // Its own Service is in nobody's way.
            let (_, again) = check(&cluster, "001-kubernetes-deployment.yaml", "first");
            assert!(!again.contains("node-port-taken"), "{again}");
        },
    );
}
