//! A value for the tests: text and its revision.
#![allow(dead_code, missing_docs)]

use coracle_store::{Expect, Store, Value, WriteError, WriteOptions};
use std::sync::Arc;

#[derive(Debug, PartialEq, Eq)]
pub struct Text {
    pub revision: u64,
    pub text: String,
}

impl Value for Text {
    fn finish(&mut self, revision: u64) {
        self.revision = revision;
    }
    fn encode(&self) -> Vec<u8> {
        self.text.clone().into_bytes()
    }
    fn decode(_: &str, revision: u64, bytes: &[u8]) -> Result<Text, String> {
        let text = String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())?;
        Ok(Text { revision, text })
    }
    fn tombstone(&self, revision: u64) -> Text {
        Text {
            revision,
            text: self.text.clone(),
        }
    }
    fn weight(&self) -> usize {
        self.text.len()
    }
}

pub fn text(text: impl Into<String>) -> Text {
    Text {
        revision: 0,
        text: text.into(),
    }
}

pub async fn put(
    store: &Store<Text>,
    key: &str,
    value: &str,
    expect: Expect,
) -> Result<Arc<Text>, WriteError> {
    store
        .put(key.to_owned(), text(value), expect, WriteOptions::default())
        .await
}
