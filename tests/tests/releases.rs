//! Releases with real containers: hooks whose logs are shown, tests, waiting
//! that names the cause; and answers that are, letter by letter, the real
//! helm's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use coracle_tests::cluster::{Cluster, built, repository};
use coracle_tests::private::in_private_network;
use coracle_tests::skip;

/// Starts a cluster with the image `say:1`.
fn start(name: &str) -> Cluster {
    let cluster = Cluster::new(name);
    cluster.run(&["start"]);
    let context = cluster.home().join("context");
    fs::create_dir_all(&context).expect("a folder for the test");
    fs::copy(built("say"), context.join("say")).expect("it was built");
    let dockerfile = "FROM scratch\nCOPY say /say\nENTRYPOINT [\"/say\"]\n";
    fs::write(context.join("Dockerfile"), dockerfile).expect("a file for the test");
    cluster.run(&["image", "build", "-t", "say:1", "context"]);
    cluster
}

/// Writes a chart into the test's folder.
fn chart(cluster: &Cluster, files: &[(&str, &str)]) {
    let folder = cluster.home().join("chart");
    let _ = fs::remove_dir_all(&folder);
    let mut all = vec![(
        "Chart.yaml",
        "apiVersion: v2\nname: demo\nversion: 0.1.0\nappVersion: \"1.0\"\n",
    )];
    all.extend(files);
    for (name, text) in all {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("it is in the chart")).expect("a folder");
        fs::write(path, text).expect("a file for the test");
    }
}

/// A pod's specification whose container says something and ends.
fn says(code: u8, line: &str) -> String {
    format!(
        "{{restartPolicy: Never, automountServiceAccountToken: false, containers: [{{name: say, image: \"say:1\", imagePullPolicy: Never, args: [\"{code}\", \"{line}\"]}}]}}"
    )
}

fn job(name: &str, event: &str, spec: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {name}\n  annotations: {{helm.sh/hook: {event}}}\nspec:\n  backoffLimit: 0\n  template: {{spec: {spec}}}\n"
    )
}

fn run(cluster: &Cluster, args: &[&str]) -> (bool, String) {
    let output = cluster.command(args).output().expect("it was built");
    (output.status.success(), both(&output))
}

fn both(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn hooks_tests_and_causes_are_told() {
    in_private_network("hooks_tests_and_causes_are_told", || {
        let cluster = start("releases");
        a_failing_hook_shows_its_log(&cluster);
        tests_print_what_they_say(&cluster);
        waiting_ends_with_the_cause(&cluster);
    });
}

fn a_failing_hook_shows_its_log(cluster: &Cluster) {
    let check = job("check", "pre-install", &says(3, "no database at db:5432"));
    chart(cluster, &[("templates/check.yaml", &check)]);
    let (well, said) = run(cluster, &["install", "web", "chart", "--timeout", "300s"]);
    assert!(!well, "{said}");
    for part in [
        "pre-install hook Job/check (demo/templates/check.yaml) failed",
        "exit code 3",
        "no database at db:5432",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    cluster.run(&["uninstall", "web"]);
}

fn tests_print_what_they_say(cluster: &Cluster) {
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n";
    let smoke = format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: smoke\n  annotations: {{helm.sh/hook: test}}\nspec: {}\n",
        says(0, "all is well")
    );
    let after = job("after", "post-install", &says(0, "migrated"));
    let files = [
        ("templates/map.yaml", map),
        ("templates/smoke.yaml", &smoke),
        ("templates/after.yaml", &after),
    ];
    chart(cluster, &files);
    cluster.run(&["install", "web", "chart", "--wait", "--timeout", "300s"]);
    let said = cluster.run(&["test", "web", "--logs", "--timeout", "300s"]);
    assert!(said.contains("Phase:          Succeeded"), "{said}");
    assert!(
        said.contains("POD LOGS: smoke (say)\nall is well\n"),
        "{said}"
    );
    cluster.run(&["uninstall", "web", "--wait"]);
}

fn waiting_ends_with_the_cause(cluster: &Cluster) {
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec:\n      containers:\n      - name: say\n        image: say:1\n        imagePullPolicy: Never\n        env: [{name: KEY, valueFrom: {secretKeyRef: {name: nowhere, key: k}}}]\n";
    chart(cluster, &[("templates/web.yaml", deployment)]);
    let install = ["install", "web", "chart", "--rollback-on-failure"];
    let (well, said) = run(cluster, &install);
    assert!(!well, "{said}");
    for part in [
        "has been uninstalled due to rollback-on-failure",
        "Deployment/web cannot become ready",
        "container say: its environment cannot be made: secret \"nowhere\" not found",
        "→ kubectl create secret generic nowhere",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(cluster.run(&["list", "--short"]), "");
}

/// Ours and the real helm, for the same command lines.
struct Helms {
    ours: PathBuf,
    real: PathBuf,
}

impl Helms {
    /// Returns both; `None` if the real one was not fetched.
    fn find(cluster: &Cluster) -> Option<Helms> {
        let real = repository().join("target/oracles/helm");
        if !real.exists() {
            skip("no real helm; cargo xtask oracles fetches it");
            return None;
        }
        let ours = cluster.home().join("helm");
        std::os::unix::fs::symlink(built("coracle"), &ours).expect("a link for the test");
        Some(Helms { ours, real })
    }

    fn run(&self, cluster: &Cluster, program: &Path, args: &[&str]) -> (Option<i32>, String) {
        let output = Command::new(program)
            .args(args)
            .env("KUBECONFIG", cluster.kubeconfig())
            .env("HOME", cluster.home())
            .current_dir(cluster.home())
            .output()
            .expect("it can be run");
        (output.status.code(), both(&output))
    }

    /// Both say the same, and end the same; only the objects are older the
    /// second time, and the real one shows their kinds in any order.
    fn agree(&self, cluster: &Cluster, args: &[&str]) {
        let age = regex::Regex::new(r"(?m)\b(\d+[smh])+$").expect("a valid expression");
        let [real, ours] = [&self.real, &self.ours].map(|helm| {
            let (code, said) = self.run(cluster, helm, args);
            (code, in_order(&age.replace_all(&said, "AGE")))
        });
        assert_eq!(ours, real, "helm {args:?}");
    }

    /// Both refuse, with the same first line; ours may go on.
    fn refuse(&self, cluster: &Cluster, args: &[&str]) {
        let real = self.first(cluster, &self.real, args);
        let ours = self.first(cluster, &self.ours, args);
        assert_eq!(real.0, Some(1), "helm {args:?}");
        assert_eq!(ours, real, "helm {args:?}");
    }

    /// As [`Self::refuse`], where each leaves a failed release behind.
    fn refuse_anew(&self, cluster: &Cluster, args: &[&str], release: &str) {
        let [real, ours] = [&self.real, &self.ours].map(|helm| {
            let first = self.first(cluster, helm, args);
            self.run(cluster, &self.ours, &["uninstall", release]);
            first
        });
        assert_eq!(real.0, Some(1), "helm {args:?}");
        assert_eq!(ours, real, "helm {args:?}");
    }

    /// Returns the exit code and the first line of an error.
    fn first(&self, cluster: &Cluster, program: &Path, args: &[&str]) -> (Option<i32>, String) {
        let (code, said) = self.run(cluster, program, args);
        let line = said.lines().find(|line| line.starts_with("Error: "));
        (code, line.unwrap_or_default().to_owned())
    }
}

/// Sorts the tables of a release's resources.
fn in_order(said: &str) -> String {
    let Some((before, rest)) = said.split_once("RESOURCES:\n") else {
        return said.to_owned();
    };
    let (tables, after) = rest.split_once("\n\n\n").unwrap_or((rest, ""));
    let mut tables: Vec<&str> = tables.split("\n\n").collect();
    tables.sort_unstable();
    let tables = tables.join("\n\n");
    format!("{before}RESOURCES:\n{tables}\n\n\n{after}")
}

#[test]
fn answers_are_helms() {
    in_private_network("answers_are_helms", || {
        let cluster = Cluster::new("helms");
        let Some(helms) = Helms::find(&cluster) else {
            return;
        };
        cluster.run(&["start"]);
        answers(&cluster, &helms);
    });
}

fn answers(cluster: &Cluster, helms: &Helms) {
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\ndata: {message: {{ .Values.message | quote }}}\n";
    let hook = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: hook\n  annotations: {helm.sh/hook: pre-install}\n";
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: {{ .Release.Name }}}\nspec: {ports: [{port: 80}]}\n";
    let files = [
        ("values.yaml", "message: hello\nsize: 1000000\n"),
        ("templates/map.yaml", map),
        ("templates/hook.yaml", hook),
        ("templates/service.yaml", service),
        (
            "templates/NOTES.txt",
            "Thanks for {{ .Release.Name }} <b>\n",
        ),
    ];
    chart(cluster, &files);
    let ours = |args: &[&str]| {
        let (code, said) = helms.run(cluster, &helms.ours, args);
        assert_eq!(code, Some(0), "{args:?}: {said}");
    };
    ours(&[
        "install",
        "web",
        "chart",
        "--set",
        "message=one",
        "--labels",
        "team=blue",
    ]);
    ours(&[
        "upgrade",
        "web",
        "chart",
        "--set",
        "message=two",
        "--description",
        "the second",
    ]);
    ours(&[
        "install",
        "other",
        "chart",
        "-n",
        "shop",
        "--create-namespace",
    ]);
    for args in [
        &["list"][..],
        &["ls", "-A"],
        &["list", "-A", "-o", "json"],
        &["list", "-A", "-o", "yaml"],
        &["list", "-q"],
        &["list", "--failed"],
        &["list", "--filter", "^o", "-A", "--no-headers"],
        &[
            "list",
            "--selector",
            "team=blue",
            "--time-format",
            "2006-01-02",
        ],
        &["list", "--selector", "owner"],
        &["list", "--selector", "owner=helm,status=deployed"],
        &["list", "--selector", "version=1"],
        &["history", "web"],
        &["history", "web", "--max", "-1"],
        &["history", "web", "-o", "json"],
        &["history", "web", "-o", "yaml", "--max", "1"],
        &["status", "web"],
        &["status", "web", "--revision", "1"],
        &["status", "web", "--revision", "-1"],
        &["status", "web", "-o", "json"],
        &["status", "web", "-o", "yaml"],
        &["get", "all", "web"],
        &[
            "get",
            "all",
            "web",
            "--template",
            "{{.Release.Info.Status}} {{.Release.Chart.Metadata.Name}}",
        ],
        &[
            "get",
            "all",
            "web",
            "--template",
            "{{.Release.Config}} {{.Release.Labels}} {{.Release.ApplyMethod}}",
        ],
        &[
            "get",
            "all",
            "web",
            "--template",
            "{{range .Release.Hooks}}{{.Name}} {{.Events}}{{end}}{{.Nothing}}",
        ],
        &["get", "hooks", "web"],
        &["get", "manifest", "web"],
        &["get", "notes", "web"],
        &["get", "metadata", "web"],
        &["get", "metadata", "web", "-o", "json"],
        &["get", "values", "web"],
        &["get", "values", "web", "--all"],
        &["get", "values", "web", "--revision", "1", "-o", "yaml"],
        &["get", "values", "other", "-n", "shop", "-o", "json"],
        &["test", "web"],
        &["test", "web", "--logs"],
        &["uninstall", "web", "--dry-run"],
        &["rollback", "web", "2", "and", "more"],
        &["version"],
        &["version", "--short"],
        &["env", "HELM_NAMESPACE"],
    ] {
        helms.agree(cluster, args);
    }
    for args in [
        &["status", "nothing"][..],
        &["status", "web", "--revision", "99"],
        &["status", "web", "--revision", "abc"],
        &["get", "values", "web", "--revision", "99"],
        &["get", "all", "web", "--template", "{{"],
        &["get", "all", "web", "--template", "{{upper .Release.Name}}"],
        &["get", "all", "web", "--template", "{{.Release.Name.First}}"],
        &["list", "--selector", "a b"],
        &["list", "--selector", "a in b"],
        &["list", "--selector", "=x"],
        &["list", "--selector", "a=b=c"],
        &["uninstall", "web", "--cascade=oops"],
        &["list", "--kube-as-user", "nobody"],
        &["status", "web", "--kube-as-user", "nobody"],
        &["upgrade", "web", "chart", "--kube-as-user", "nobody"],
        &[
            "upgrade",
            "--install",
            "web",
            "chart",
            "--kube-as-user",
            "nobody",
        ],
        &["rollback", "web", "--kube-as-user", "nobody"],
        &["uninstall", "web", "--kube-as-user", "nobody"],
        &["install", "third", "chart", "--kube-as-user", "nobody"],
        &["history", "nothing"],
        &["get", "values", "nothing"],
        &["uninstall", "nothing"],
        &["rollback", "nothing"],
        &["rollback", "web", "99"],
        &["upgrade", "nothing", "chart"],
        &["install", "web", "chart"],
        &["install", "Wrong", "chart"],
        &["install", "there", "chart", "-n", "missing"],
        &["install", "chart"],
    ] {
        helms.refuse(cluster, args);
    }
    let (code, said) = helms.run(cluster, &helms.real, &["uninstall", "web"]);
    assert_eq!(code, Some(0), "{said}");
    refusals(cluster, helms);
}

/// What the API refuses of a new release, by either way of applying.
fn refusals(cluster: &Cluster, helms: &Helms) {
    for template in [
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 99999}]}\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Not_A_Name}\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: nowhere}\n",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: many}\n",
        "apiVersion: example.com/v1\nkind: Boat\nmetadata: {name: a}\n",
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a}\nrules: 5\n",
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  annotations: {helm.sh/hook: post-install}\nspec: {ports: [{port: 99999}]}\n",
    ] {
        chart(cluster, &[("templates/a.yaml", template)]);
        for method in ["--server-side=true", "--server-side=false"] {
            helms.refuse_anew(cluster, &["install", "refused", "chart", method], "refused");
        }
    }
}
