//! What people type: commands of kubectl against the API alone. Runs with every
//! program that `KUBECTLS` names (separated by colons), else with the one that
//! `cargo xtask oracles` fetched, else with the one on the path.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const DEPLOYMENT: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "example.test/web:1", ports: [{containerPort: 80}]}
      - {name: side, image: "example.test/side:1"}
"#;

const DEFINITION: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.kubectl.test}
spec:
  group: kubectl.test
  names: {kind: Boat, plural: boats, singular: boat, shortNames: [bt]}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    additionalPrinterColumns: [{name: Seats, type: integer, jsonPath: .spec.seats}]
    schema:
      openAPIV3Schema:
        type: object
        properties: {spec: {type: object, properties: {seats: {type: integer, default: 1}}}}
"#;

/// A command: what is typed after `kubectl`, what it reads, how it ends, and
/// what it must print (on either output).
struct Step(&'static str, &'static str, bool, &'static [&'static str]);

const STEPS: &[Step] = &[
    // Without controllers an orphaned object keeps its finalizer, so none waits for it.
    Step("version", "", true, &["Server Version", "v1.36"]),
    Step("api-resources", "", true, &["deployments", "apps/v1"]),
    Step("api-versions", "", true, &["networking.k8s.io/v1"]),
    Step("cluster-info", "", true, &["control plane"]),
    Step("create namespace kt", "", true, &["namespace/kt created"]),
    Step("get ns kt", "", true, &["Active"]),
    Step(
        "create configmap c -n kt --from-literal=a=b",
        "",
        true,
        &["configmap/c created"],
    ),
    Step(
        "create secret generic s -n kt --from-literal=a=b",
        "",
        true,
        &["secret/s created"],
    ),
    Step(
        "create sa default -n kt",
        "",
        true,
        &["serviceaccount/default created"],
    ),
    Step("create token default -n kt", "", true, &["."]),
    Step(
        "create job j -n kt --image=example.test/j",
        "",
        true,
        &["job.batch/j created"],
    ),
    Step(
        "create cronjob cj -n kt --image=example.test/j --schedule=*/5,*,*,*,*",
        "",
        true,
        &["cronjob.batch/cj created"],
    ),
    Step(
        "create quota q -n kt --hard=cpu=1,pods=20",
        "",
        true,
        &["resourcequota/q created"],
    ),
    Step("delete quota q -n kt", "", true, &["deleted"]),
    Step(
        "create pdb p -n kt --selector=app=web --min-available=1",
        "",
        true,
        &["poddisruptionbudget.policy/p created"],
    ),
    Step(
        "create role r -n kt --verb=get --resource=pods",
        "",
        true,
        &["role.rbac.authorization.k8s.io/r created"],
    ),
    Step(
        "create rolebinding rb -n kt --role=r --serviceaccount=kt:default",
        "",
        true,
        &["created"],
    ),
    Step(
        "auth can-i get pods -n kt --as=system:serviceaccount:kt:default",
        "",
        true,
        &["yes"],
    ),
    Step(
        "auth can-i delete pods -n kt --as=system:serviceaccount:kt:default",
        "",
        false,
        &["no"],
    ),
    Step("auth can-i --list -n kt", "", true, &["*.*"]),
    Step(
        "apply -n kt -f -",
        DEPLOYMENT,
        true,
        &["deployment.apps/web created"],
    ),
    Step(
        "apply -n kt -f -",
        DEPLOYMENT,
        true,
        &["deployment.apps/web unchanged"],
    ),
    Step("diff -n kt -f -", DEPLOYMENT, true, &[]),
    Step(
        "get deploy -n kt -o wide",
        "",
        true,
        &["NAME", "web,side", "example.test/web:1"],
    ),
    Step(
        "get deploy web -n kt -o yaml",
        "",
        true,
        &["kind: Deployment"],
    ),
    Step(
        "get deploy web -n kt -o json",
        "",
        true,
        &["\"kind\": \"Deployment\""],
    ),
    Step(
        "get deploy web -n kt -o name",
        "",
        true,
        &["deployment.apps/web"],
    ),
    Step(
        "get deploy web -n kt -o jsonpath={.spec.replicas}",
        "",
        true,
        &["2"],
    ),
    Step(
        "get deploy -n kt -o custom-columns=N:.metadata.name",
        "",
        true,
        &["web"],
    ),
    Step(
        "get all -n kt",
        "",
        true,
        &["deployment.apps/web", "job.batch/j"],
    ),
    Step(
        "describe deploy web -n kt",
        "",
        true,
        &["RollingUpdate", "example.test/side:1"],
    ),
    Step("describe ns kt", "", true, &["Active"]),
    Step(
        "explain deployment.spec.strategy",
        "",
        true,
        &["rollingUpdate"],
    ),
    Step(
        "explain pod --recursive",
        "",
        true,
        &["terminationGracePeriodSeconds"],
    ),
    Step("label deploy web -n kt tier=front", "", true, &["labeled"]),
    Step(
        "annotate deploy web -n kt note=x",
        "",
        true,
        &["web annotate"],
    ),
    Step("scale deploy web -n kt --replicas=3", "", true, &["scaled"]),
    Step(
        "set image deploy/web -n kt web=example.test/web:2",
        "",
        true,
        &["image updated"],
    ),
    Step("set env deploy/web -n kt A=b", "", true, &["env updated"]),
    Step(
        "get deploy web -n kt -o jsonpath={.spec.template.spec.containers[*].image}",
        "",
        true,
        &["example.test/web:2 example.test/side:1"],
    ),
    Step(
        "patch deploy web -n kt -p {\"spec\":{\"paused\":true}}",
        "",
        true,
        &["patched"],
    ),
    Step(
        "patch deploy web -n kt --type=merge -p {\"spec\":{\"paused\":null}}",
        "",
        true,
        &["patched"],
    ),
    Step(
        "patch deploy web -n kt --type=json -p [{\"op\":\"replace\",\"path\":\"/spec/replicas\",\"value\":4}]",
        "",
        true,
        &["patched"],
    ),
    Step(
        "patch deploy web -n kt --subresource=scale --type=merge -p {\"spec\":{\"replicas\":5}}",
        "",
        true,
        &["patched"],
    ),
    Step(
        "patch deploy web -n kt -p {\"spec\":{\"replicas\":\"many\"}}",
        "",
        false,
        &["cannot"],
    ),
    Step(
        "apply --server-side -n kt --field-manager=other -f -",
        DEPLOYMENT,
        false,
        &["conflict"],
    ),
    Step(
        "apply --server-side -n kt --field-manager=other --force-conflicts -f -",
        DEPLOYMENT,
        true,
        &["serverside-applied"],
    ),
    Step(
        "autoscale deploy web -n kt --max=3 --cpu-percent=50",
        "",
        true,
        &["autoscaled"],
    ),
    Step("expose deploy web -n kt --port=80", "", true, &["exposed"]),
    Step("get svc,hpa,pdb -n kt", "", true, &["service/web", "web"]),
    Step(
        "run one -n kt --image=example.test/one",
        "",
        true,
        &["pod/one created"],
    ),
    Step("get pod one -n kt --show-labels", "", true, &["run=one"]),
    Step("get pods -A --sort-by=.metadata.name", "", true, &["one"]),
    Step(
        "wait -n kt --for=jsonpath={.status.phase}=Pending pod/one --timeout=120s",
        "",
        true,
        &["condition met"],
    ),
    Step("events -n kt", "", true, &[]),
    Step(
        "apply -f -",
        DEFINITION,
        true,
        &["boats.kubectl.test created"],
    ),
    Step(
        "wait --for=condition=Established crd/boats.kubectl.test --timeout=120s",
        "",
        true,
        &["condition met"],
    ),
    Step(
        "apply -n kt -f -",
        "apiVersion: kubectl.test/v1\nkind: Boat\nmetadata: {name: b}\n",
        true,
        &["created"],
    ),
    Step("get bt -n kt", "", true, &["SEATS", "b"]),
    Step(
        "apply -n kt -f -",
        "apiVersion: kubectl.test/v1\nkind: Boat\nmetadata: {name: b}\nspec: {bogus: 1}\n",
        false,
        &["unknown field"],
    ),
    Step("delete crd boats.kubectl.test", "", true, &["deleted"]),
    Step(
        "delete deploy web -n kt --cascade=orphan --wait=false",
        "",
        true,
        &["deleted"],
    ),
    Step(
        "delete job j -n kt --cascade=background",
        "",
        true,
        &["deleted"],
    ),
    Step(
        "delete pod one -n kt --force --grace-period=0",
        "",
        true,
        &["deleted"],
    ),
    Step("delete cm,secret --all -n kt", "", true, &["deleted"]),
    Step("get job j -n kt", "", false, &["NotFound"]),
];

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
fn kubectl_does_what_people_type() {
    let programs = programs();
    if programs.is_empty() {
        assert!(std::env::var("CI").is_err(), "a kubectl is needed here");
        eprintln!("SKIPPED: no kubectl: its commands are not tried");
        return;
    }
    let mut wrong = Vec::new();
    for program in &programs {
        // A server of its own: what a program leaves behind is no other's.
        let server = Server::start();
        for step in STEPS {
            if let Some(fault) = server.run(program, step) {
                wrong.push(format!("{}: {fault}", program.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn programs() -> Vec<PathBuf> {
    if let Ok(list) = std::env::var("KUBECTLS") {
        return list.split(':').map(PathBuf::from).collect();
    }
    let target = built().ancestors().nth(3).map(Path::to_owned);
    let fetched = target.map(|target| target.join("oracles/kubectl"));
    let candidates = fetched.into_iter().chain([PathBuf::from("kubectl")]);
    let works = |program: &PathBuf| {
        let mut version = Command::new(program);
        version.args(["version", "--client"]);
        version.output().is_ok_and(|output| output.status.success())
    };
    candidates.filter(works).take(1).collect()
}

/// The folder of this build's programs, such as `target/TRIPLE/debug`.
fn built() -> PathBuf {
    let own = std::env::current_exe().expect("this program has a path");
    let folder = own.ancestors().nth(2).expect("a test stands in deps");
    folder.to_owned()
}

/// The example `serve`; it ends with this.
struct Server {
    child: Child,
    folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Server {
        // `cargo test` builds the examples too, but for `cargo test --test kubectl`.
        let program = built().join("examples/serve");
        assert!(
            program.exists(),
            "cargo build -p coracle-apiserver --example serve"
        );
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut serve = Command::new(program);
        serve
            .arg(folder.path().join("config"))
            .stdout(Stdio::null());
        let server = Server {
            child: serve.spawn().expect("a server"),
            folder,
        };
        let since = Instant::now();
        while std::fs::read(server.config())
            .unwrap_or_default()
            .is_empty()
        {
            assert!(since.elapsed() < Duration::from_secs(120), "no server");
            std::thread::sleep(Duration::from_millis(5));
        }
        server
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// Runs a command and tells what is wrong with its end.
    fn run(&self, program: &Path, Step(words, input, success, said): &Step) -> Option<String> {
        // A schedule has blanks, which the words of a step are split at.
        let words = words.split(' ').map(|word| match word {
            word if word.starts_with("--schedule=") => word.replace(',', " "),
            word => word.to_owned(),
        });
        // Nothing may wait for what only a controller does.
        let mut command = Command::new("timeout");
        command.arg("300").arg(program);
        command.env("HOME", self.folder.path()).args(words.clone());
        command.arg("--kubeconfig").arg(self.config());
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = pipes.stderr(Stdio::piped()).spawn().expect("kubectl");
        let mut stdin = child.stdin.take().expect("a pipe");
        // One that does not read its input has ended, and says why.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("an end");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let missing = said.iter().find(|part| !text.contains(**part));
        (output.status.success() != *success || missing.is_some()).then(|| {
            let words: Vec<String> = words.collect();
            format!("kubectl {} ended with {text}", words.join(" "))
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
