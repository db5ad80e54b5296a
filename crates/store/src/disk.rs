//! The file on disk. [`Disk`] is what the commit thread writes to, [`RedbDisk`]
//! the one kept in a redb file. No revision is assigned and nothing is cached here.
//!
//! # Layout, format version 1
//!
//! Table `objects`: key (UTF-8 text) → record.
//!
//! | offset | size | meaning |
//! | --- | --- | --- |
//! | 0 | 1 | flags: bit 0 the payload is sealed |
//! | 1 | 8 | revision of the last write, little endian |
//! | 9 | 8 | expiry in seconds since 1970, little endian, 0 for never |
//! | 17 | … | payload: the value's own bytes, or 12 bytes nonce, ciphertext, 16 bytes tag |
//!
//! Table `meta`: name → number.
//!
//! | name | meaning |
//! | --- | --- |
//! | `format` | format version of the file |
//! | `ceiling` | no revision above this one was ever handed out; the next run starts above it |
//!
//! A sealed payload authenticates offsets 0–16 and the key. redb itself checks
//! pages by checksum and commits by swapping a root, so a torn commit is dropped whole.

use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};

use crate::seal::Seal;
use crate::store::OpenError;

/// The format this program writes.
pub const FORMAT_VERSION: u64 = 1;

const OBJECTS: TableDefinition<&str, &[u8]> = TableDefinition::new("objects");
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const HEADER_LEN: usize = 17;
const SEALED: u8 = 1;
/// All reads come from memory, so redb's own cache serves the commit only.
const CACHE_BYTES: usize = 4 << 20;

/// One change of a commit.
#[derive(Debug, Clone)]
pub enum Record {
    /// The key now has this value.
    Put {
        /// Key of the value.
        key: String,
        /// Revision of the write.
        revision: u64,
        /// Seconds since 1970 after which the value goes; 0 for never.
        expires: u64,
        /// The value's own bytes.
        bytes: Vec<u8>,
    },
    /// The key is gone.
    Delete {
        /// Key that went.
        key: String,
    },
}

impl Record {
    /// Returns the key that is changed.
    pub fn into_key(self) -> String {
        match self {
            Record::Put { key, .. } | Record::Delete { key } => key,
        }
    }
}

/// Called for every stored value with key, revision, expiry (0 for never) and bytes.
pub type Visit<'a> = dyn FnMut(&str, u64, u64, &[u8]) -> Result<(), String> + 'a;

/// Where commits go.
pub trait Disk: Send + 'static {
    /// Visits every stored value and returns the revision ceiling.
    ///
    /// # Errors
    /// When the file is newer, damaged or sealed with another key.
    fn load(&mut self, visit: &mut Visit<'_>) -> Result<u64, OpenError>;

    /// Makes all records and the ceiling durable together, or none of them.
    ///
    /// # Errors
    /// When the disk refuses; nothing may be acknowledged then.
    fn commit(&mut self, records: &[Record], ceiling: u64) -> Result<(), String>;
}

/// A redb file, with sealed ranges. A database that failed once refuses
/// everything, so the next commit opens it anew.
pub struct RedbDisk {
    /// `None` after a failure.
    database: Option<Database>,
    open: Box<Opener>,
    seal: Option<Seal>,
}

type Opener = dyn Fn() -> Result<Database, OpenError> + Send;

impl RedbDisk {
    /// Opens or creates the file at `path`, readable by its owner alone.
    ///
    /// # Errors
    /// [`OpenError::Locked`] when another process has it open.
    pub fn open(path: &Path, seal: Option<Seal>) -> Result<RedbDisk, OpenError> {
        let path = path.to_owned();
        RedbDisk::opened_by(Box::new(move || open_file(&path)), seal)
    }

    /// Opens a database on a backend of one's own, as simulated disks do.
    /// Clones of the backend share what is on it.
    ///
    /// # Errors
    /// When the backend holds no usable database.
    pub fn on_backend(
        backend: impl StorageBackend + Clone,
        seal: Option<Seal>,
    ) -> Result<RedbDisk, OpenError> {
        let open = move || {
            builder()
                .create_with_backend(backend.clone())
                .map_err(|error| open_error("backend".to_owned(), error))
        };
        RedbDisk::opened_by(Box::new(open), seal)
    }

    fn opened_by(open: Box<Opener>, seal: Option<Seal>) -> Result<RedbDisk, OpenError> {
        Ok(RedbDisk {
            database: Some(open()?),
            open,
            seal,
        })
    }

    fn encode(
        &self,
        key: &str,
        revision: u64,
        expires: u64,
        bytes: &[u8],
    ) -> Result<Vec<u8>, String> {
        let seal = self.seal.as_ref().filter(|seal| seal.covers(key));
        let mut header = [0u8; HEADER_LEN];
        header[0] = if seal.is_some() { SEALED } else { 0 };
        header[1..9].copy_from_slice(&revision.to_le_bytes());
        header[9..17].copy_from_slice(&expires.to_le_bytes());
        match seal {
            None => Ok([&header[..], bytes].concat()),
            Some(seal) => {
                let sealed = seal
                    .close(key, &header, bytes)
                    .ok_or("the system gives no randomness")?;
                Ok([&header[..], &sealed].concat())
            }
        }
    }

    fn visit_all(&self, database: &Database, visit: &mut Visit<'_>) -> Result<(), OpenError> {
        let transaction = database.begin_read().map_err(broken)?;
        let objects = transaction.open_table(OBJECTS).map_err(broken)?;
        for entry in objects.iter().map_err(broken)? {
            let (key, record) = entry.map_err(broken)?;
            self.visit_record(key.value(), record.value(), visit)?;
        }
        Ok(())
    }

    fn visit_record(
        &self,
        key: &str,
        record: &[u8],
        visit: &mut Visit<'_>,
    ) -> Result<(), OpenError> {
        let damaged = |reason: &str| OpenError::Damaged {
            key: key.to_owned(),
            reason: reason.to_owned(),
        };
        let (header, payload) = record
            .split_at_checked(HEADER_LEN)
            .ok_or_else(|| damaged("the record is too short"))?;
        let number = |at: usize| {
            u64::from_le_bytes(
                header[at..at + 8]
                    .try_into()
                    .expect("eight bytes of the header"),
            )
        };
        let opened;
        let bytes = if header[0] & SEALED == 0 {
            payload
        } else {
            let seal = self.seal.as_ref().ok_or_else(|| OpenError::Unsealable {
                key: key.to_owned(),
            })?;
            opened = seal
                .open(key, header, payload)
                .ok_or_else(|| OpenError::Unsealable {
                    key: key.to_owned(),
                })?;
            &opened
        };
        visit(key, number(1), number(9), bytes).map_err(|reason| damaged(&reason))
    }

    /// Takes the database, opened anew where it has failed before. Whoever
    /// has used it without failure puts it back.
    fn take(&mut self) -> Result<Database, OpenError> {
        self.database.take().map_or_else(&self.open, Ok)
    }
}

impl Disk for RedbDisk {
    fn load(&mut self, visit: &mut Visit<'_>) -> Result<u64, OpenError> {
        let database = self.take()?;
        let ceiling = match format(&database).map_err(broken)? {
            None => create(&database).map(|()| 0).map_err(broken)?,
            Some((format, _)) if format > FORMAT_VERSION => {
                return Err(OpenError::Newer {
                    found: format,
                    known: FORMAT_VERSION,
                });
            }
            Some((_, ceiling)) => {
                self.visit_all(&database, visit)?;
                ceiling
            }
        };
        self.database = Some(database);
        Ok(ceiling)
    }

    fn commit(&mut self, records: &[Record], ceiling: u64) -> Result<(), String> {
        let mut encoded = Vec::with_capacity(records.len());
        for record in records {
            match record {
                Record::Delete { key } => encoded.push((key.as_str(), None)),
                Record::Put {
                    key,
                    revision,
                    expires,
                    bytes,
                } => {
                    encoded.push((
                        key.as_str(),
                        Some(self.encode(key, *revision, *expires, bytes)?),
                    ));
                }
            }
        }
        let database = self.take().map_err(|error| error.to_string())?;
        write(&database, &encoded, ceiling).map_err(|error| error.to_string())?;
        self.database = Some(database);
        Ok(())
    }
}

/// Returns format version and ceiling; `None` for a new file.
fn format(database: &Database) -> Result<Option<(u64, u64)>, redb::Error> {
    let transaction = database.begin_read()?;
    let meta = match transaction.open_table(META) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        other => other?,
    };
    let number =
        |name: &str| Ok::<u64, redb::Error>(meta.get(name)?.map_or(0, |value| value.value()));
    Ok(Some((number("format")?, number("ceiling")?)))
}

fn create(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(OBJECTS)?;
    transaction
        .open_table(META)?
        .insert("format", FORMAT_VERSION)?;
    transaction.commit()?;
    Ok(())
}

fn write(
    database: &Database,
    records: &[(&str, Option<Vec<u8>>)],
    ceiling: u64,
) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut objects = transaction.open_table(OBJECTS)?;
        for (key, record) in records {
            match record {
                Some(record) => drop(objects.insert(*key, record.as_slice())?),
                None => drop(objects.remove(*key)?),
            }
        }
        transaction.open_table(META)?.insert("ceiling", ceiling)?;
    }
    transaction.commit()?;
    Ok(())
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn open_file(path: &Path) -> Result<Database, OpenError> {
    use std::os::unix::fs::OpenOptionsExt;
    let subject = path.display().to_string();
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|source| OpenError::Io {
            path: subject.clone(),
            source,
        })?;
    builder()
        .create_file(file)
        .map_err(|error| open_error(subject, error))
}

fn broken(error: impl Into<redb::Error>) -> OpenError {
    OpenError::Database {
        reason: error.into().to_string(),
    }
}

fn open_error(path: String, error: redb::DatabaseError) -> OpenError {
    match error {
        redb::DatabaseError::DatabaseAlreadyOpen => OpenError::Locked { path },
        redb::DatabaseError::UpgradeRequired(found) => OpenError::Newer {
            found: u64::from(found),
            known: FORMAT_VERSION,
        },
        other => OpenError::Database {
            reason: other.to_string(),
        },
    }
}
