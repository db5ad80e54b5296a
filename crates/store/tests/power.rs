//! Power loss, simulated from seeds: a disk that loses, reorders and tears
//! everything written since the last sync. Acknowledged writes must be there,
//! others wholly or not at all, and revisions must never repeat.

mod common;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use common::{Text, text};
use coracle_store::{Expect, Options, RedbDisk, Store, WriteOptions};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Losses of power, unless the environment asks for another number (`SEEDS`).
const SEEDS: u64 = 150;
const SECTOR: usize = 512;

#[derive(Debug, Default)]
struct Platter {
    /// What survives a power loss.
    synced: Vec<u8>,
    /// What the program sees.
    seen: Vec<u8>,
    /// Writes since the last sync: offset and bytes.
    unsynced: Vec<(usize, Vec<u8>)>,
    /// Operations left until the power fails; `None` while it is stable.
    fuse: Option<u64>,
}

impl Platter {
    fn burn(&mut self) -> io::Result<()> {
        match &mut self.fuse {
            Some(0) => Err(io::Error::other("the power is gone")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Leaves any subset of the unsynced sectors behind, in any order.
    fn lose_power(&mut self, random: &mut StdRng) {
        let mut disk = std::mem::take(&mut self.synced);
        let keep: f64 = random.random();
        for (offset, bytes) in std::mem::take(&mut self.unsynced) {
            for (index, sector) in bytes.chunks(SECTOR).enumerate() {
                let at = offset + index * SECTOR;
                let end = at + sector.len();
                if random.random_bool(keep) {
                    if disk.len() < end {
                        disk.resize(end, 0);
                    }
                    disk[at..end].copy_from_slice(sector);
                }
            }
        }
        if random.random_bool(0.5) && disk.len() < self.seen.len() {
            disk.resize(self.seen.len(), 0);
        }
        self.synced = disk.clone();
        self.seen = disk;
        self.fuse = None;
    }
}

#[derive(Debug, Clone, Default)]
struct Disk(Arc<Mutex<Platter>>);

impl redb::StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().seen.len() as u64)
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platter = self.0.lock();
        let at = offset as usize;
        let source = platter
            .seen
            .get(at..at + out.len())
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(source);
        Ok(())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut platter = self.0.lock();
        platter.burn()?;
        platter.seen.resize(len as usize, 0);
        // A shrink is journalled by real file systems before later writes.
        if platter.synced.len() > len as usize {
            platter.synced.truncate(len as usize);
        }
        Ok(())
    }
    fn sync_data(&self) -> io::Result<()> {
        let mut platter = self.0.lock();
        platter.burn()?;
        platter.synced = platter.seen.clone();
        platter.unsynced.clear();
        Ok(())
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut platter = self.0.lock();
        platter.burn()?;
        let at = offset as usize;
        platter
            .seen
            .get_mut(at..at + data.len())
            .ok_or(io::ErrorKind::UnexpectedEof)?
            .copy_from_slice(data);
        platter.unsynced.push((at, data.to_vec()));
        Ok(())
    }
}

#[test]
fn power_loss_loses_nothing_acknowledged() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let seeds = std::env::var("SEEDS")
        .ok()
        .and_then(|text| text.parse().ok());
    for seed in 0..seeds.unwrap_or(SEEDS) {
        runtime.block_on(one_seed(seed));
    }
}

async fn one_seed(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let disk = Disk::default();
    let mut model: BTreeMap<String, (u64, Option<String>)> = BTreeMap::new();
    let mut newest = 0;
    for _ in 0..random.random_range(1..4) {
        let store: Store<Text> = Store::on_disk(
            RedbDisk::on_backend(disk.clone(), None).unwrap(),
            Options::default(),
        )
        .unwrap();
        verify(seed, &store, &model, newest);
        // What is found counts as acknowledged from now on.
        for (key, (_, expected)) in &mut model {
            *expected = store.get(key).map(|value| value.text.clone());
        }
        disk.0.lock().fuse = Some(random.random_range(0..400));
        for step in 0.. {
            let key = format!("/k/{}", random.random_range(0..12));
            let size = random.random_range(1..3000);
            let value = format!("{seed}-{step}-{}", "x".repeat(size));
            let outcome = if random.random_bool(0.2)
                && model.get(&key).is_some_and(|(_, value)| value.is_some())
            {
                store
                    .delete(key.clone(), Expect::Any, WriteOptions::default())
                    .await
                    .map(|gone| (gone.revision, None))
            } else {
                let put = store
                    .put(
                        key.clone(),
                        text(&value),
                        Expect::Any,
                        WriteOptions::default(),
                    )
                    .await;
                put.map(|put| (put.revision, Some(value)))
            };
            match outcome {
                Ok((revision, value)) => {
                    assert!(
                        revision > newest,
                        "seed {seed}: revision {revision} after {newest}"
                    );
                    newest = revision;
                    model.insert(key, (revision, value));
                }
                // The write that met the failure is neither promised nor denied.
                Err(_) => {
                    model.remove(&key);
                    break;
                }
            }
        }
        drop(store);
        disk.0.lock().lose_power(&mut random);
    }
    let store = Store::on_disk(
        RedbDisk::on_backend(disk, None).unwrap(),
        Options::default(),
    )
    .unwrap();
    verify(seed, &store, &model, newest);
}

fn verify(
    seed: u64,
    store: &Store<Text>,
    model: &BTreeMap<String, (u64, Option<String>)>,
    newest: u64,
) {
    assert!(
        store.revision() >= newest,
        "seed {seed}: revision fell from {newest} to {}",
        store.revision()
    );
    for (key, (_, expected)) in model {
        let found = store.get(key).map(|value| value.text.clone());
        assert!(
            found == *expected,
            "seed {seed}: {key} differs from what was acknowledged"
        );
    }
}
