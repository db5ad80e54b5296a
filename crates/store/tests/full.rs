//! A disk that is full for a while: what was acknowledged stays, what was
//! refused never shows, and writes are taken again once there is space.

mod common;

use std::io;
use std::sync::Arc;

use common::{Text, put, text};
use coracle_store::{Durability, Expect, Options, RedbDisk, Store, WriteError, WriteOptions};
use parking_lot::Mutex;

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    /// Operations left until the disk refuses; `None` while it has space.
    left: Option<u32>,
}

impl Content {
    fn spend(&mut self) -> io::Result<()> {
        match &mut self.left {
            Some(0) => Err(io::ErrorKind::StorageFull.into()),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Disk(Arc<Mutex<Content>>);

impl Disk {
    fn has(&self, left: Option<u32>) {
        self.0.lock().left = left;
    }

    fn open(&self) -> Store<Text> {
        let disk = RedbDisk::on_backend(self.clone(), None).unwrap();
        Store::on_disk(disk, Options::default()).unwrap()
    }
}

impl redb::StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().bytes.len() as u64)
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let content = self.0.lock();
        let at = offset as usize;
        let source = content.bytes.get(at..at + out.len());
        out.copy_from_slice(source.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut content = self.0.lock();
        content.spend()?;
        content.bytes.resize(len as usize, 0);
        Ok(())
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.lock().spend()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut content = self.0.lock();
        content.spend()?;
        let at = offset as usize;
        let target = content.bytes.get_mut(at..at + data.len());
        target
            .ok_or(io::ErrorKind::UnexpectedEof)?
            .copy_from_slice(data);
        Ok(())
    }
}

/// Puts until the disk takes it again.
async fn put_in_the_end(store: &Store<Text>, key: &str) -> u64 {
    loop {
        match put(store, key, "later", Expect::Any).await {
            Ok(value) => return value.revision,
            Err(WriteError::Failed { .. }) => tokio::task::yield_now().await,
            Err(other) => panic!("{other}"),
        }
    }
}

fn shown(store: &Store<Text>) -> Vec<(String, u64, String)> {
    let page = store.list("/", None, usize::MAX);
    let items = page.items.iter();
    items
        .map(|(key, value)| (key.to_string(), value.revision, value.text.clone()))
        .collect()
}

/// The disk refuses after so many operations: anywhere within a commit.
async fn check(left: u32) {
    let disk = Disk::default();
    let store = disk.open();
    let kept = put(&store, "/kept", "first", Expect::Any).await.unwrap();
    put(&store, "/gone", "first", Expect::Any).await.unwrap();
    disk.has(Some(left));
    let mut newest = 0;
    let mut refused = false;
    for round in 0..100 {
        let large = "x".repeat(10_000);
        let put = put(&store, "/kept", &large, Expect::Any).await;
        let delete = store
            .delete("/gone".into(), Expect::Any, WriteOptions::default())
            .await;
        let new = store
            .put(
                format!("/new/{round}"),
                text("new"),
                Expect::Absent,
                WriteOptions::default(),
            )
            .await;
        newest = newest.max(put.as_ref().map_or(0, |value| value.revision));
        newest = newest.max(new.as_ref().map_or(0, |value| value.revision));
        if put.is_err() && delete.is_err() && new.is_err() {
            refused = true;
            break;
        }
    }
    assert!(refused, "{left}: the disk is full");
    let before = shown(&store);
    // Nothing that was refused shows, and reads go on.
    assert!(
        before
            .iter()
            .all(|(_, revision, _)| *revision <= newest.max(2))
    );
    assert!(store.get("/kept").unwrap().revision >= kept.revision);
    disk.has(None);
    let revision = put_in_the_end(&store, "/later").await;
    assert!(
        revision > newest,
        "{left}: revision {revision} after {newest}"
    );
    let shown_now = shown(&store);
    let mut expected = before;
    expected.push(("/later".into(), revision, "later".into()));
    expected.sort();
    assert_eq!(shown_now, expected, "{left}");
    drop(store);
    assert_eq!(
        shown(&disk.open()),
        expected,
        "{left}: the disk says the same"
    );
}

#[tokio::test]
async fn writes_are_taken_again_once_there_is_space() {
    let checks: Vec<_> = (0..12).map(|left| tokio::spawn(check(left))).collect();
    for check in checks {
        check.await.unwrap();
    }
}

#[tokio::test]
async fn a_relaxed_write_outlives_a_full_disk() {
    let disk = Disk::default();
    let store = disk.open();
    put(&store, "/first", "x", Expect::Any).await.unwrap();
    disk.has(Some(0));
    let relaxed = WriteOptions {
        durability: Durability::Relaxed,
        expires: None,
    };
    let event = store.put("/event".into(), text("x"), Expect::Any, relaxed);
    let event = event.await.unwrap().revision;
    let durable = put(&store, "/durable", "x", Expect::Any).await;
    assert!(matches!(durable, Err(WriteError::Failed { .. })));
    disk.has(None);
    put_in_the_end(&store, "/later").await;
    drop(store);
    let store = disk.open();
    assert_eq!(store.get("/event").map(|value| value.revision), Some(event));
    assert!(store.get("/durable").is_none());
}
