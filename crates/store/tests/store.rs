//! Reads, writes, watches, restarts: the promises of the store without accidents.

mod common;

use common::{Text, put, text};
use coracle_store::{
    Durability, EventKind, Expect, OpenError, Options, ReadError, Seal, Store, WatchError,
    WriteError, WriteOptions,
};

fn open(folder: &tempfile::TempDir) -> Store<Text> {
    Store::open(&folder.path().join("store"), Options::default()).unwrap()
}

#[tokio::test]
async fn compares_and_swaps() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let first = put(&store, "/a/1", "one", Expect::Absent).await.unwrap();
    assert_eq!(first.revision, 1);
    assert_eq!(
        put(&store, "/a/1", "x", Expect::Absent).await,
        Err(WriteError::Exists { key: "/a/1".into() })
    );
    let second = put(&store, "/a/1", "two", Expect::Revision(1))
        .await
        .unwrap();
    assert_eq!(
        put(&store, "/a/1", "x", Expect::Revision(1)).await,
        Err(WriteError::Conflict {
            key: "/a/1".into(),
            expected: 1,
            found: second.revision
        })
    );
    assert_eq!(
        put(&store, "/b", "x", Expect::Revision(1)).await,
        Err(WriteError::Missing { key: "/b".into() })
    );
    let deleted = store
        .delete("/a/1".into(), Expect::Any, WriteOptions::default())
        .await
        .unwrap();
    assert_eq!((deleted.revision, deleted.value.text.as_str()), (3, "two"));
    assert!(store.get("/a/1").is_none());
}

#[tokio::test]
async fn many_writers_never_lose_an_increment() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    put(&store, "/n", "0", Expect::Absent).await.unwrap();
    let writers: Vec<_> = (0..16)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..20 {
                    loop {
                        let now = store.get("/n").unwrap();
                        let next = (now.text.parse::<u64>().unwrap() + 1).to_string();
                        if put(&store, "/n", &next, Expect::Revision(now.revision))
                            .await
                            .is_ok()
                        {
                            break;
                        }
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(store.get("/n").unwrap().text, "320");
}

#[tokio::test]
async fn lists_in_pages_and_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    for name in ["b", "a", "c"] {
        put(&store, &format!("/p/{name}"), name, Expect::Any)
            .await
            .unwrap();
    }
    put(&store, "/q/z", "z", Expect::Any).await.unwrap();
    let page = store.list("/p/", None, 2);
    assert_eq!(names(&page.items), ["/p/a", "/p/b"]);
    assert_eq!((page.remaining, page.revision), (1, 4));
    store
        .delete("/p/c".into(), Expect::Any, WriteOptions::default())
        .await
        .unwrap();
    put(&store, "/p/d", "d", Expect::Any).await.unwrap();
    put(&store, "/p/a", "a2", Expect::Any).await.unwrap();
    let rest = store
        .list_at("/p/", Some("/p/b"), 10, page.revision)
        .unwrap();
    assert_eq!(names(&rest.items), ["/p/c"]);
    let all = store.list_at("/p/", None, 10, page.revision).unwrap();
    assert_eq!(all.items[0].1.text, "a");
    assert_eq!(
        names(&store.list("/p/", None, 10).items),
        ["/p/a", "/p/b", "/p/d"]
    );
    assert!(matches!(
        store.list_at("/p/", None, 10, 99),
        Err(ReadError::Future { .. })
    ));
}

fn names(items: &[(std::sync::Arc<str>, std::sync::Arc<Text>)]) -> Vec<&str> {
    items.iter().map(|(key, _)| &**key).collect()
}

#[tokio::test]
async fn watches_in_order_from_a_revision() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    put(&store, "/a/1", "one", Expect::Any).await.unwrap();
    let (page, mut live) = store.list_and_watch("/a/").unwrap();
    assert_eq!(page.items.len(), 1);
    put(&store, "/b/1", "other", Expect::Any).await.unwrap();
    put(&store, "/a/1", "two", Expect::Any).await.unwrap();
    store
        .delete("/a/1".into(), Expect::Any, WriteOptions::default())
        .await
        .unwrap();
    let mut late = store.watch("/a/", 1).unwrap();
    for watch in [&mut live, &mut late] {
        let update = watch.next().await.unwrap();
        assert_eq!(
            (update.kind, update.revision, update.value.text.as_str()),
            (EventKind::Updated, 3, "two")
        );
        let delete = watch.next().await.unwrap();
        assert_eq!(
            (delete.kind, delete.value.revision),
            (EventKind::Deleted, 4)
        );
        assert_eq!(delete.previous.as_ref().unwrap().revision, 3);
        assert!(watch.try_next().is_none());
    }
    assert!(matches!(
        store.watch("/", 5),
        Err(WatchError::Future { .. })
    ));
    store.close();
    assert!(live.next().await.is_none() || live.try_next().is_none());
}

#[tokio::test]
async fn history_is_bounded_and_slow_watchers_are_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        history_count_max: 4,
        watch_queue_max: 2,
        ..Options::default()
    };
    let store: Store<Text> = Store::open(&folder.path().join("store"), options).unwrap();
    let mut slow = store.watch("/", 0).unwrap();
    for number in 0..8 {
        put(&store, "/k", &number.to_string(), Expect::Any)
            .await
            .unwrap();
    }
    assert_eq!(
        store.watch("/", 3).err(),
        Some(WatchError::Expired {
            requested: 3,
            oldest: 4
        })
    );
    assert!(matches!(
        store.list_at("/", None, 9, 3),
        Err(ReadError::Expired { .. })
    ));
    let mut late = store.watch("/", 4).unwrap();
    assert_eq!(late.next().await.unwrap().revision, 5);
    assert_eq!(slow.next().await.unwrap().revision, 1);
    assert_eq!(slow.next().await.unwrap().revision, 2);
    assert!(slow.next().await.is_none());
}

#[tokio::test]
async fn survives_a_restart_with_rising_revisions() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    put(&store, "/a", "one", Expect::Any).await.unwrap();
    let relaxed = WriteOptions {
        durability: Durability::Relaxed,
        expires: None,
    };
    store
        .put("/lease".into(), text("held"), Expect::Any, relaxed)
        .await
        .unwrap();
    drop(store);
    let store = open(&folder);
    assert_eq!(store.get("/a").unwrap().revision, 1);
    assert_eq!(store.get("/lease").unwrap().text, "held");
    assert_eq!(store.revision(), 2);
    assert!(matches!(
        store.watch("/", 1),
        Err(WatchError::Expired { .. })
    ));
    assert_eq!(
        put(&store, "/b", "x", Expect::Absent)
            .await
            .unwrap()
            .revision,
        3
    );
}

#[tokio::test]
async fn refuses_a_second_opener_and_newer_data() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = open(&folder);
    assert!(matches!(
        Store::<Text>::open(&path, Options::default()),
        Err(OpenError::Locked { .. })
    ));
    drop(store);
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let table = redb::TableDefinition::<&str, u64>::new("meta");
    transaction
        .open_table(table)
        .unwrap()
        .insert("format", 99)
        .unwrap();
    transaction.commit().unwrap();
    drop(database);
    let Err(error) = Store::<Text>::open(&path, Options::default()) else {
        panic!("opened newer data")
    };
    assert_eq!(
        error.to_string(),
        "the data has format 99, this program knows up to 1; use a newer program"
    );
}

#[tokio::test]
async fn expires_what_was_not_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let past = WriteOptions {
        durability: Durability::Relaxed,
        expires: Some(1),
    };
    let kept = WriteOptions {
        durability: Durability::Relaxed,
        expires: Some(u64::MAX),
    };
    store
        .put("/e/kept".into(), text("x"), Expect::Any, kept)
        .await
        .unwrap();
    let mut watch = store.watch("/e/", store.revision()).unwrap();
    store
        .put("/e/gone".into(), text("x"), Expect::Any, past)
        .await
        .unwrap();
    assert_eq!(watch.next().await.unwrap().kind, EventKind::Created);
    let event = watch.next().await.unwrap();
    assert_eq!((event.kind, &*event.key), (EventKind::Deleted, "/e/gone"));
    assert!(store.get("/e/kept").is_some());
}

#[tokio::test]
async fn seals_what_is_marked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let sealing = |key: u8| Options {
        seal: Some(Seal::new(&[key; 32], vec!["/secrets/".into()])),
        ..Options::default()
    };
    let store: Store<Text> = Store::open(&path, sealing(1)).unwrap();
    put(&store, "/secrets/s", "hunter2hunter2", Expect::Any)
        .await
        .unwrap();
    put(&store, "/open/s", "plainplainplain", Expect::Any)
        .await
        .unwrap();
    drop(store);
    let bytes = std::fs::read(&path).unwrap();
    assert!(!bytes.windows(14).any(|part| part == b"hunter2hunter2"));
    assert!(bytes.windows(15).any(|part| part == b"plainplainplain"));
    assert!(matches!(
        Store::<Text>::open(&path, sealing(2)),
        Err(OpenError::Unsealable { .. })
    ));
    assert!(matches!(
        Store::<Text>::open(&path, Options::default()),
        Err(OpenError::Unsealable { .. })
    ));
    let store: Store<Text> = Store::open(&path, sealing(1)).unwrap();
    assert_eq!(store.get("/secrets/s").unwrap().text, "hunter2hunter2");
}
