//! What a job needs of the caller's files, opened while the caller's rights
//! still count: [`Prepared`].

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;
use coracle_image::build::BuildRequest;
use coracle_image::oci::Platform;
use coracle_image::reference::Reference;

use super::job::{BuildJob, Job};
use coracle_cluster::apart;

/// The caller's files that are copied into the job's root.
const COPIED: [&str; 2] = ["etc/resolv.conf", "etc/hosts"];

/// What was read or opened for a job.
#[derive(Default)]
pub(super) struct Prepared {
    /// What is built; its paths are those inside.
    pub request: Option<BuildRequest>,
    /// The archive that is read, where it is a file.
    pub archive: Option<File>,
    /// The archive that is written.
    pub output: Option<File>,
    /// Folders that the job may read.
    pub folders: Vec<PathBuf>,
    files: Vec<(&'static str, Vec<u8>)>,
}

impl Prepared {
    pub(super) fn of(job: &Job) -> anyhow::Result<Prepared> {
        let mut prepared = Prepared::default();
        for name in COPIED {
            // Without them only addresses can be dialled.
            let text = std::fs::read(Path::new("/").join(name)).unwrap_or_default();
            prepared.files.push((name, text));
        }
        match job {
            Job::Load { archive, .. } => prepared.open_archive(archive)?,
            Job::Save { output, .. } => {
                let file = File::options().write(true).open(output);
                prepared.output =
                    Some(file.with_context(|| format!("could not open {}", output.display()))?);
            }
            Job::Build(job) => prepared.request = Some(prepared.request(job)?),
            _ => {}
        }
        Ok(prepared)
    }

    /// Writes the caller's files into the job's root.
    pub(super) fn write_files(&self) -> anyhow::Result<()> {
        for (name, text) in &self.files {
            std::fs::write(Path::new("/").join(name), text)
                .with_context(|| format!("could not write {name}"))?;
        }
        Ok(())
    }

    fn open_archive(&mut self, archive: &Path) -> anyhow::Result<()> {
        if archive.is_dir() {
            return self.give(archive).map(drop);
        }
        let file = File::open(archive);
        self.archive = Some(file.with_context(|| format!("could not open {}", archive.display()))?);
        Ok(())
    }

    fn request(&mut self, job: &BuildJob) -> anyhow::Result<BuildRequest> {
        let mut request = match &job.text {
            Some(text) => BuildRequest::from_text(&job.context, text.clone()),
            None => BuildRequest::from_context(&job.context, job.file.as_deref())?,
        };
        request.context = self.give(&job.context)?;
        for (name, folder) in &job.contexts {
            let given = self.give(folder)?;
            request.contexts.insert(name.clone(), given);
        }
        request.arguments = job.arguments.clone();
        request.target = job.target.clone();
        request.labels = job.labels.clone();
        request.network = job.network;
        request.use_cache = job.use_cache;
        request.platform = platform(job.platform.as_deref())?;
        request.names = job
            .names
            .iter()
            .map(|name| Reference::parse(name))
            .collect::<Result<_, _>>()?;
        Ok(request)
    }

    /// Gives the job a folder and returns its path inside.
    fn give(&mut self, folder: &Path) -> anyhow::Result<PathBuf> {
        let real = folder
            .canonicalize()
            .with_context(|| format!("could not open {}", folder.display()))?;
        let given = apart::given(&real);
        if !self.folders.contains(&real) {
            self.folders.push(real);
        }
        Ok(given)
    }
}

/// Returns the platform of this name, else this machine's.
pub(super) fn platform(name: Option<&str>) -> anyhow::Result<Platform> {
    match name {
        None => Ok(Platform::host()),
        Some(name) => Platform::parse(name)
            .with_context(|| format!("{name} is no platform; write one like linux/amd64")),
    }
}
