//! The builder: a throw-away process in a user namespace of its own that
//! changes the image store, so that files get the ids that containers will
//! see. It needs no cluster.
//!
//! It gets one [`Job`] as JSON on standard input and answers with
//! [`JobEvent`]s, one a line, on standard output.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use coracle_cluster::{Home, IdMap};
use coracle_image::archive::{self, Format, LoadEvent, LoadOptions, SaveOptions};
use coracle_image::build::{BuildEvent, BuildRequest, StoreImages, Tools, build};
use coracle_image::inspect::Inspection;
use coracle_image::reference::Reference;
use coracle_image::store::{ImageStore, NameChange, Steps};
use serde::{Deserialize, Serialize};

/// What the builder is asked to do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "job")]
pub enum Job {
    /// Build an image from a Dockerfile.
    Build {
        /// The cluster whose name the image gets.
        cluster: String,
        /// Folder of the files that it copies.
        context: PathBuf,
        /// The Dockerfile; `None` is `Dockerfile` in the context.
        file: Option<PathBuf>,
        /// Folders that stand in for stages or images.
        contexts: BTreeMap<String, PathBuf>,
        /// Values of `ARG`s.
        arguments: BTreeMap<String, String>,
        /// The stage to build; `None` is the last one.
        target: Option<String>,
        /// Names of the image.
        names: Vec<String>,
    },
    /// List a cluster's images.
    List {
        /// The cluster.
        cluster: String,
    },
    /// Load the images of an archive or an OCI layout.
    Load {
        /// The cluster.
        cluster: String,
        /// The archive, or the folder of the layout.
        archive: PathBuf,
        /// A name for an archive's only image, instead of those it carries.
        name: Option<String>,
    },
    /// Write images as one archive.
    Save {
        /// The cluster.
        cluster: String,
        /// The images.
        names: Vec<String>,
        /// An open file that is written, by a path of `/proc`.
        output: PathBuf,
        /// Whether the archive is an OCI layout only.
        oci: bool,
    },
    /// Give an image another name.
    Tag {
        /// The cluster.
        cluster: String,
        /// The image.
        from: String,
        /// Its further name.
        to: String,
    },
    /// Describe an image.
    Inspect {
        /// The cluster.
        cluster: String,
        /// The image.
        name: String,
    },
    /// Take names away from a cluster's images.
    Remove {
        /// The cluster.
        cluster: String,
        /// The names.
        names: Vec<String>,
    },
    /// Remove what a cluster leaves behind: its image names and its data.
    Forget {
        /// The cluster.
        cluster: String,
    },
}

/// What the builder answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "event")]
pub enum JobEvent {
    /// An instruction begins.
    Step {
        /// Its number, from 1.
        number: usize,
        /// How many there are.
        total: usize,
        /// The instruction.
        text: String,
    },
    /// Something is odd but not wrong.
    Warning {
        /// What.
        text: String,
    },
    /// Names stand for other images than before.
    Changed {
        /// The names, as people write them.
        names: Vec<String>,
    },
    /// An image was loaded.
    Loaded {
        /// Its names.
        names: Vec<String>,
        /// Bytes of its files.
        bytes: u64,
    },
    /// An image, described.
    Described {
        /// What there is to say.
        facts: serde_json::Value,
    },
    /// An image was built.
    Built {
        /// Its digest.
        digest: String,
        /// Steps that were known already.
        cached: usize,
        /// Steps in all.
        total: usize,
    },
    /// An image of the list.
    Image {
        /// Its name; empty without one.
        name: String,
        /// Its id.
        id: String,
        /// Bytes of its files.
        bytes: u64,
    },
    /// The job failed.
    Failed {
        /// Why.
        text: String,
    },
}

/// Has a builder do a job; tells its events and returns them all.
///
/// # Errors
/// Fails if the builder cannot be started or says that the job failed.
pub fn run_job(
    home: &Home,
    job: &Job,
    mut tell: impl FnMut(&JobEvent),
) -> anyhow::Result<Vec<JobEvent>> {
    home.prepare(&IdMap::choose())?;
    let mut child = Command::new("/proc/self/exe")
        .arg0("coracle")
        .arg("builder")
        .env("CORACLE_HOME", home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("could not start the builder")?;
    let mut stdin = child
        .stdin
        .take()
        .context("the builder has no standard input")?;
    stdin.write_all(&serde_json::to_vec(job)?)?;
    drop(stdin);
    let stdout = child
        .stdout
        .take()
        .context("the builder has no standard output")?;
    let mut events = Vec::new();
    for line in BufReader::new(stdout).lines() {
        let event: JobEvent = serde_json::from_str(&line?)?;
        tell(&event);
        events.push(event);
    }
    let status = child.wait()?;
    if let Some(JobEvent::Failed { text }) = events.last() {
        bail!("{text}");
    }
    if !status.success() {
        bail!("the builder ended with {status}");
    }
    Ok(events)
}

/// Does the job on standard input.
pub fn main() -> anyhow::Result<()> {
    let mut text = Vec::new();
    io::stdin().read_to_end(&mut text)?;
    let job: Job = serde_json::from_slice(&text)?;
    if let Err(error) = perform(job) {
        say(&JobEvent::Failed {
            text: format!("{error:#}"),
        });
    }
    Ok(())
}

fn say(event: &JobEvent) {
    let line = serde_json::to_string(event).unwrap_or_default();
    // Whoever asked may be gone; there is nobody else to tell.
    let _ = writeln!(io::stdout(), "{line}");
}

fn perform(job: Job) -> anyhow::Result<()> {
    let home = Home::from_environment()?;
    // Whatever the user may read is opened before the ids change.
    let prepared = Prepared::of(&job)?;
    std::env::set_current_dir(home.path())?;
    IdMap::choose().enter_with_mounts()?;
    if let Job::Forget { cluster } = &job {
        return forget(cluster);
    }
    let store = ImageStore::open(Path::new("images"))?;
    match job {
        Job::Build { cluster, .. } => prepared.build(&store, &cluster),
        Job::List { cluster } => list(&store, &cluster),
        Job::Load { cluster, name, .. } => prepared.load(&store, &cluster, name.as_deref()),
        Job::Save {
            cluster,
            names,
            oci,
            ..
        } => prepared.save(&store, &cluster, &names, oci),
        Job::Tag { cluster, from, to } => {
            say_changes(&[store.tag(&cluster, &from, &Reference::parse(&to)?)?]);
            Ok(())
        }
        Job::Inspect { cluster, name } => {
            let image = store.find(&cluster, &name)?;
            say(&JobEvent::Described {
                facts: serde_json::to_value(Inspection::of(&image))?,
            });
            Ok(())
        }
        Job::Remove { cluster, names } => {
            for name in names {
                store.remove(&cluster, &name)?;
            }
            store.collect(Steps::Keep)?;
            Ok(())
        }
        Job::Forget { .. } => Ok(()),
    }
}

fn forget(cluster: &str) -> anyhow::Result<()> {
    let data = Path::new("clusters").join(cluster).join("data");
    match std::fs::remove_dir_all(&data) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("could not remove {}", data.display()));
        }
        _ => {}
    }
    let store = ImageStore::open(Path::new("images"))?;
    store.forget_cluster(cluster)?;
    store.collect(Steps::Keep)?;
    Ok(())
}

fn list(store: &ImageStore, cluster: &str) -> anyhow::Result<()> {
    for image in store.list(cluster)? {
        say(&JobEvent::Image {
            name: image
                .reference
                .map(|reference| reference.familiar())
                .unwrap_or_default(),
            id: image.id.to_string(),
            bytes: image.size_bytes,
        });
    }
    Ok(())
}

/// What was opened for a job, by descriptors that outlive the change of ids.
#[derive(Default)]
struct Prepared {
    request: Option<BuildRequest>,
    archive: Option<PathBuf>,
    output: Option<File>,
    open: Vec<File>,
}

impl Prepared {
    fn of(job: &Job) -> anyhow::Result<Prepared> {
        let mut prepared = Prepared::default();
        match job {
            Job::Load { archive, .. } => {
                prepared.archive = Some(prepared.keep(archive)?);
                return Ok(prepared);
            }
            Job::Save { output, .. } => {
                let file = File::options().write(true).open(output);
                prepared.output =
                    Some(file.with_context(|| format!("could not open {}", output.display()))?);
                return Ok(prepared);
            }
            _ => {}
        }
        let Job::Build {
            context,
            file,
            contexts,
            arguments,
            target,
            names,
            ..
        } = job
        else {
            return Ok(prepared);
        };
        let mut request = BuildRequest::from_context(context, file.as_deref())?;
        request.context = prepared.keep(context)?;
        for (name, folder) in contexts {
            let kept = prepared.keep(folder)?;
            request.contexts.insert(name.clone(), kept);
        }
        request.own_ignore = match request.own_ignore.take().filter(|path| path.exists()) {
            Some(path) => Some(prepared.keep(&path)?),
            None => None,
        };
        request.arguments = arguments.clone();
        request.target = target.clone();
        request.names = names
            .iter()
            .map(|name| Reference::parse(name))
            .collect::<Result<_, _>>()?;
        prepared.request = Some(request);
        Ok(prepared)
    }

    /// Opens a path and returns one that names the open file.
    fn keep(&mut self, path: &Path) -> anyhow::Result<PathBuf> {
        let file =
            File::open(path).with_context(|| format!("could not open {}", path.display()))?;
        let kept = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        self.open.push(file);
        Ok(kept)
    }

    fn build(self, store: &ImageStore, cluster: &str) -> anyhow::Result<()> {
        let request = self.request.context("the job has no request")?;
        let images = StoreImages { store, cluster };
        let tools = Tools {
            images: &images,
            execute: None,
        };
        let built = build(store, cluster, &request, &tools, &mut tell)?;
        say_changes(&built.names);
        say(&JobEvent::Built {
            digest: built.digest.to_string(),
            cached: built.steps_cached,
            total: built.steps,
        });
        Ok(())
    }
}

impl Prepared {
    fn load(self, store: &ImageStore, cluster: &str, name: Option<&str>) -> anyhow::Result<()> {
        let path = self.archive.context("the job has no archive")?;
        let options = LoadOptions {
            name: name.map(Reference::parse).transpose()?,
            ..LoadOptions::default()
        };
        let mut tell = |event| {
            if let LoadEvent::Layer { number, total, .. } = event {
                say(&JobEvent::Step {
                    number,
                    total,
                    text: "unpack".into(),
                });
            }
        };
        // A file is read by the descriptor that was opened before: to open it
        // again would ask for a right that the new ids may not have.
        let loaded = match self.open.into_iter().next() {
            Some(file) if !path.is_dir() => {
                archive::load(store, cluster, file, &options, &mut tell)?
            }
            _ => archive::load_file(store, cluster, &path, &options, &mut tell)?,
        };
        for image in loaded {
            say_changes(&image.names);
            let names = image
                .names
                .iter()
                .filter_map(|change| Some(change.reference.as_ref()?.familiar()))
                .collect();
            say(&JobEvent::Loaded {
                names,
                bytes: image.size_bytes,
            });
        }
        Ok(())
    }

    fn save(
        self,
        store: &ImageStore,
        cluster: &str,
        names: &[String],
        oci: bool,
    ) -> anyhow::Result<()> {
        let output = self.output.context("the job has no output")?;
        let images = names
            .iter()
            .map(|name| store.find(cluster, name))
            .collect::<Result<Vec<_>, _>>()?;
        let format = if oci { Format::Oci } else { Format::Docker };
        archive::save(
            store,
            &images,
            &SaveOptions {
                format,
                gzip: false,
            },
            io::BufWriter::new(output),
        )?;
        Ok(())
    }
}

/// Tells which names stand for other images than before.
fn say_changes(changes: &[NameChange]) {
    let changed = changes
        .iter()
        .filter(|change| change.is_new_digest_under_old_name());
    let names: Vec<String> = changed
        .filter_map(|change| Some(change.reference.as_ref()?.familiar()))
        .collect();
    if !names.is_empty() {
        say(&JobEvent::Changed { names });
    }
}

fn tell(event: BuildEvent) {
    match event {
        BuildEvent::Step {
            number,
            total,
            instruction,
            ..
        } => say(&JobEvent::Step {
            number,
            total,
            text: instruction,
        }),
        BuildEvent::Warning { line, message } => say(&JobEvent::Warning {
            text: format!("line {line}: {message}"),
        }),
        _ => {}
    }
}
