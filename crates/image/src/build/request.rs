//! What a caller asks of a build and brings along.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use super::BuildError;
use super::run::Execute;
use crate::oci::Platform;
use crate::reference::Reference;
use crate::store::{Image, ImageStore};

/// A build to be done.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// The Dockerfile's name in messages.
    pub file: String,
    /// The Dockerfile's text.
    pub text: String,
    /// Ignore rules that belong to this Dockerfile and replace the context's
    /// `.dockerignore`: path and text of `<Dockerfile>.dockerignore`.
    pub own_ignore: Option<(PathBuf, String)>,
    /// The build context.
    pub context: PathBuf,
    /// Directories that replace a stage or image of that name.
    pub contexts: BTreeMap<String, PathBuf>,
    /// `--build-arg`.
    pub arguments: BTreeMap<String, String>,
    /// Stage to build; the last when `None`.
    pub target: Option<String>,
    /// Names for the image.
    pub names: Vec<Reference>,
    /// Labels added to those of the Dockerfile.
    pub labels: BTreeMap<String, String>,
    /// Platform of the image.
    pub platform: Platform,
    /// Whether `RUN` has a network.
    pub network: bool,
    /// Whether remembered steps are used.
    pub use_cache: bool,
    /// The one time in the image, seconds since 1970 (`SOURCE_DATE_EPOCH`).
    pub epoch_seconds: i64,
}

impl BuildRequest {
    /// Returns the request for a context and a Dockerfile in it; `file` is
    /// relative to the working directory, `None` is `Dockerfile` (or
    /// `Containerfile`) of the context.
    ///
    /// # Errors
    ///
    /// Fails when there is no such Dockerfile.
    pub fn from_context(context: &Path, file: Option<&Path>) -> Result<Self, BuildError> {
        let path = match file {
            Some(file) => file.to_owned(),
            None => {
                let names = ["Dockerfile", "Containerfile"];
                let paths = names.map(|name| context.join(name));
                let found = paths.iter().find(|path| path.is_file());
                found.unwrap_or(&paths[0]).clone()
            }
        };
        let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => BuildError::Request(format!(
                "no Dockerfile at {}; name it with --file",
                path.display()
            )),
            _ => BuildError::Request(format!("cannot read {}: {error}", path.display())),
        })?;
        let mut own_ignore = path.clone().into_os_string();
        own_ignore.push(".dockerignore");
        let own_ignore = read_if_there(own_ignore.into())?;
        Ok(Self {
            file: path.display().to_string(),
            own_ignore,
            ..Self::from_text(context, text)
        })
    }

    /// Returns the request for a Dockerfile that is no file, such as one read
    /// from standard input.
    pub fn from_text(context: &Path, text: String) -> Self {
        Self {
            file: "Dockerfile".to_owned(),
            text,
            own_ignore: None,
            context: context.to_owned(),
            contexts: BTreeMap::new(),
            arguments: BTreeMap::new(),
            target: None,
            names: Vec::new(),
            labels: BTreeMap::new(),
            platform: Platform::host(),
            network: true,
            use_cache: true,
            epoch_seconds: 0,
        }
    }
}

fn read_if_there(path: PathBuf) -> Result<Option<(PathBuf, String)>, BuildError> {
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some((path, text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(BuildError::Context { path, source }),
    }
}

/// Where base images come from.
pub trait BaseImages: Send + Sync {
    /// Returns the image of this name, pulling it if that is wanted.
    ///
    /// # Errors
    ///
    /// Says why it cannot be had.
    fn base(&self, reference: &Reference) -> Result<Image, Box<dyn Error + Send + Sync>>;
}

/// Base images of the store only.
pub struct StoreImages<'s> {
    /// The store.
    pub store: &'s ImageStore,
    /// Whose names count.
    pub cluster: &'s str,
}

impl BaseImages for StoreImages<'_> {
    fn base(&self, reference: &Reference) -> Result<Image, Box<dyn Error + Send + Sync>> {
        match self.store.resolve(self.cluster, reference)? {
            Some(image) => Ok(image),
            None => {
                let name = reference.familiar();
                Err(format!(
                    "no image {name} here; `coracle image pull {name}` or `image load` brings it"
                )
                .into())
            }
        }
    }
}

/// What a build works with.
pub struct Tools<'t> {
    /// Where base images come from.
    pub images: &'t dyn BaseImages,
    /// What runs `RUN`; without it `RUN` is an error.
    pub execute: Option<&'t dyn Execute>,
}
