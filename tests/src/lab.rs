//! A cluster with a small image in which commands can be run, for cases that
//! look at containers from inside.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::cluster::{Cluster, built};
use crate::skip;
use crate::wait::until;

/// The image of a lab: busybox, the users root and app (1000), `su` with the
/// set-user-ID bit, and the variable `FROM_IMAGE`.
pub const IMAGE: &str = "busy:1";

/// A started cluster with [`IMAGE`] in it.
#[derive(Debug)]
pub struct Lab {
    /// The cluster.
    pub cluster: Cluster,
}

impl Lab {
    /// Starts one; `None`, with a loud line, where a tool is missing.
    ///
    /// # Panics
    /// Panics if the cluster does not start.
    pub fn new(name: &str) -> Option<Lab> {
        Lab::of(Cluster::new(name))
    }

    /// Starts this cluster, which may be another user's.
    ///
    /// # Panics
    /// Panics if it does not start.
    pub fn of(cluster: Cluster) -> Option<Lab> {
        let busybox = busybox()?;
        if cluster.kubectl(&["version", "--client"]).is_none() {
            skip("kubectl is not on the machine");
            return None;
        }
        let context = cluster.home().join("image");
        write_image(&context, &busybox);
        let context = context.display().to_string();
        cluster.run(&["image", "build", "--quiet", "-t", IMAGE, &context]);
        cluster.run(&["start", "--quiet"]);
        let lab = Lab { cluster };
        // Without its account no pod is admitted.
        until("the default account is there", || {
            let found = lab.kubectl(&["get", "serviceaccounts", "-o", "name"]);
            match found.contains("serviceaccount/default") {
                true => Ok(()),
                false => Err(found),
            }
        });
        Some(lab)
    }

    /// Builds an image on top of [`IMAGE`]; a program that was built beside the
    /// tests comes into it as `/bin/NAME`.
    ///
    /// # Panics
    /// Panics if it cannot be built.
    pub fn build(&self, image: &str, program: Option<&str>, lines: &str) {
        let context = self.cluster.home().join("further");
        fs::create_dir_all(&context).expect("a folder for the test");
        let mut text = format!("FROM {IMAGE}\n");
        if let Some(name) = program {
            fs::copy(built(name), context.join(name)).expect("it was built");
            text.push_str(&format!("COPY {name} /bin/{name}\n"));
        }
        text.push_str(lines);
        fs::write(context.join("Dockerfile"), text).expect("a file for the test");
        let context = context.display().to_string();
        self.cluster
            .run(&["image", "build", "--quiet", "-t", image, &context]);
    }

    /// Runs kubectl and returns what it printed.
    ///
    /// # Panics
    /// Panics with its output if it fails.
    pub fn kubectl(&self, args: &[&str]) -> String {
        self.cluster.kubectl(args).expect("it was there before")
    }

    /// Creates or changes objects.
    ///
    /// # Panics
    /// Panics if they are refused.
    pub fn apply(&self, objects: &[Value]) {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        let path = self.cluster.home().join("objects.json");
        fs::write(&path, list.to_string()).expect("a file for the test");
        self.kubectl(&["apply", "-f", &path.display().to_string()]);
    }

    /// Returns an object as it is now.
    ///
    /// # Panics
    /// Panics if it is not there.
    pub fn object(&self, resource: &str, name: &str) -> Value {
        let text = self.kubectl(&["get", resource, name, "-o", "json"]);
        serde_json::from_str(&text).expect("kubectl writes JSON")
    }

    /// Runs a shell command in a container: what it says on both streams, and
    /// how it ended if that was not well.
    pub fn inside(&self, pod: &str, container: &str, script: &str) -> String {
        let wrapped = format!("{{ {script}\n}} 2>&1 || echo \"exit $?\"");
        let args = [
            "exec", pod, "-c", container, "--", "/bin/sh", "-c", &wrapped,
        ];
        self.kubectl(&args).trim_end().to_owned()
    }

    /// Waits until pods are ready.
    ///
    /// # Panics
    /// Panics after five minutes.
    pub fn ready(&self, pods: &[&str]) {
        for pod in pods {
            until(&format!("{pod} is ready"), || {
                let status = &self.object("pod", pod)["status"];
                if condition(status, "Ready") == "True" {
                    return Ok(());
                }
                Err(status.to_string())
            });
        }
    }

    /// Waits until an object is as asked for, and returns it.
    ///
    /// # Panics
    /// Panics after five minutes.
    pub fn until(&self, resource: &str, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut found = Value::Null;
        until(&format!("{resource} {name}"), || {
            found = self.object(resource, name);
            match holds(&found) {
                true => Ok(()),
                false => Err(found["status"].to_string()),
            }
        });
        found
    }

    /// Waits until an event of a pod says this, and returns its reason.
    ///
    /// # Panics
    /// Panics after five minutes.
    pub fn told(&self, pod: &str, text: &str) -> String {
        let selector = format!("--field-selector=involvedObject.name={pod}");
        let mut reason = String::new();
        until(&format!("an event of {pod} says {text:?}"), || {
            let said = self.kubectl(&["get", "events", &selector, "-o", "json"]);
            let list: Value = serde_json::from_str(&said).expect("kubectl writes JSON");
            let items = list["items"].as_array().into_iter().flatten();
            let found = items
                .filter(|event| event["message"] == text)
                .find_map(|event| event["reason"].as_str());
            reason = found.ok_or(said.clone())?.to_owned();
            Ok(())
        });
        reason
    }

    /// Compares what commands in a container say.
    ///
    /// # Panics
    /// Panics at the first difference.
    pub fn check(&self, pod: &str, container: &str, cases: &[(&str, &str)]) {
        for (script, expected) in cases {
            let said = self.inside(pod, container, script);
            assert_eq!(&said, expected, "{pod}/{container}: {script}");
        }
    }

    /// Waits until a command in a container says this: a container that runs may
    /// not have come to its first line yet.
    ///
    /// # Panics
    /// Panics after five minutes.
    pub fn until_inside(&self, pod: &str, container: &str, script: &str, expected: &str) {
        until(&format!("{pod}/{container}: {script}"), || {
            match self.inside(pod, container, script) {
                said if said == expected => Ok(()),
                said => Err(said),
            }
        });
    }
}

/// Returns the status of a condition.
pub fn condition<'a>(status: &'a Value, type_: &str) -> &'a str {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let mut of_type = conditions.filter(|one| one["type"] == type_);
    of_type
        .next()
        .and_then(|one| one["status"].as_str())
        .unwrap_or("")
}

/// Returns a pod with one container `c` that sleeps; `spec` and `container` are
/// merged into it.
pub fn pod(name: &str, spec: Value, container: Value) -> Value {
    let mut own = json!({
        "name": "c", "image": IMAGE, "command": ["sleep", "3600"],
    });
    merge(&mut own, container);
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [own]},
    });
    merge(&mut pod["spec"], spec);
    pod
}

/// Puts every member of `from` into `into`.
pub fn merge(into: &mut Value, from: Value) {
    if let (Some(into), Value::Object(from)) = (into.as_object_mut(), from) {
        into.extend(from);
    }
}

/// Returns busybox of this machine, if it is there and static; else a loud line.
pub fn busybox() -> Option<std::path::PathBuf> {
    let places = ["/usr/bin/busybox", "/bin/busybox"];
    let found = places.into_iter().find(|place| Path::new(place).exists());
    let is_static = found.is_some_and(|path| {
        let output = Command::new("ldd").arg(path).output();
        output.is_ok_and(|output| !output.status.success())
    });
    match found.filter(|_| is_static) {
        Some(path) => Some(path.into()),
        None => {
            skip("busybox is not on the machine, or not a static program (Debian: busybox-static)");
            None
        }
    }
}

fn write_image(context: &Path, busybox: &Path) {
    let bin = context.join("root/bin");
    fs::create_dir_all(&bin).expect("a folder for the test");
    fs::copy(busybox, bin.join("busybox")).expect("a file for the test");
    let list = Command::new(busybox).arg("--list").output();
    let list = list.expect("busybox lists its commands").stdout;
    for name in String::from_utf8_lossy(&list).lines() {
        if !matches!(name, "busybox" | "su") {
            symlink("busybox", bin.join(name)).expect("a link for the test");
        }
    }
    // A program of its own, as the bit is the file's.
    fs::copy(busybox, bin.join("su")).expect("a file for the test");
    fs::set_permissions(bin.join("su"), fs::Permissions::from_mode(0o4755))
        .expect("the test's own file");
    for (path, text) in [
        (
            "root/etc/passwd",
            "root::0:0:root:/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n",
        ),
        (
            "root/etc/group",
            "root:x:0:\napp:x:1000:\nextra:x:1234:app\n",
        ),
        (
            "Dockerfile",
            "FROM scratch\nCOPY root/ /\nENV PATH=/bin FROM_IMAGE=yes\nCMD [\"/bin/sh\"]\n",
        ),
    ] {
        let path = context.join(path);
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("a folder");
        fs::write(path, text).expect("a file for the test");
    }
    fs::create_dir_all(context.join("root/tmp")).expect("a folder for the test");
    fs::set_permissions(context.join("root/tmp"), fs::Permissions::from_mode(0o1777))
        .expect("the test's own folder");
}
