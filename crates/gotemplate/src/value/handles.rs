//! Handles to shared maps and lists: [`Map`] and [`List`].

use super::{Elem, Named, Str, Value};
use std::cell::{Ref, RefCell, RefMut};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The type of a map handle; the storage does not know it.
#[derive(Clone, Copy, Debug)]
pub struct MapType {
    /// Element type.
    pub elem: Elem,
    /// The name, where the Go type has one.
    pub named: Option<&'static Named>,
    /// Whether this is Go's nil map: it has no entries, and is `null` in JSON.
    pub is_nil: bool,
}

impl MapType {
    /// Returns the type without a name.
    pub const fn of(elem: Elem) -> Self {
        MapType {
            elem,
            named: None,
            is_nil: false,
        }
    }
}

/// `map[string]interface {}`
pub const MAP_ANY: MapType = MapType::of(Elem::Any);

/// `map[string]string`
pub const MAP_STRING: MapType = MapType::of(Elem::String);

/// Storage of a map; iteration is in byte order of the keys, as Go's printer
/// and `range` see it.
pub type Entries = BTreeMap<Str, Value>;

/// A handle to a shared, mutable map with string keys.
#[derive(Clone)]
pub struct Map {
    /// The type of this handle.
    pub ty: MapType,
    entries: Rc<RefCell<Entries>>,
}

impl Map {
    /// Makes a `map[string]interface {}`.
    pub fn new(entries: Entries) -> Self {
        Map::typed(MAP_ANY, entries)
    }

    /// Makes a map of the given type.
    pub fn typed(ty: MapType, entries: Entries) -> Self {
        Map {
            ty,
            entries: Rc::new(RefCell::new(entries)),
        }
    }

    /// Makes Go's nil map of the given type.
    pub fn nil(ty: MapType) -> Self {
        let ty = MapType { is_nil: true, ..ty };
        Map::typed(ty, Entries::new())
    }

    /// Returns the same storage under another type.
    pub fn with_type(&self, ty: MapType) -> Self {
        Map {
            ty: MapType {
                is_nil: self.ty.is_nil,
                ..ty
            },
            entries: self.entries.clone(),
        }
    }

    /// Borrows the entries.
    pub fn borrow(&self) -> Ref<'_, Entries> {
        self.entries.borrow()
    }

    /// Borrows the entries for change.
    pub fn borrow_mut(&self) -> RefMut<'_, Entries> {
        self.entries.borrow_mut()
    }

    /// Returns the value under `key`.
    pub fn get(&self, key: &[u8]) -> Option<Value> {
        self.entries.borrow().get(key).cloned()
    }

    /// Puts `value` under `key`.
    pub fn insert(&self, key: impl Into<Str>, value: Value) {
        self.entries.borrow_mut().insert(key.into(), value);
    }

    /// Whether both handles share storage.
    pub fn same(&self, other: &Map) -> bool {
        Rc::ptr_eq(&self.entries, &other.entries)
    }

    /// Returns the identity of the storage.
    pub fn address(&self) -> usize {
        Rc::as_ptr(&self.entries) as *const () as usize
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn type_name(&self) -> String {
        match self.ty.named {
            Some(named) => named.name.to_owned(),
            None => format!("map[string]{}", self.ty.elem.name()),
        }
    }
}

/// The type of a list handle.
#[derive(Clone, Copy, Debug)]
pub struct ListType {
    /// Element type.
    pub elem: Elem,
    /// The name, where the Go type has one.
    pub named: Option<&'static Named>,
    /// Whether this is Go's nil slice: it has no items, and is `null` in JSON.
    pub is_nil: bool,
}

impl ListType {
    const fn of(elem: Elem) -> Self {
        ListType {
            elem,
            named: None,
            is_nil: false,
        }
    }
}

/// A handle to a shared list.
#[derive(Clone)]
pub struct List {
    /// The type of this handle.
    pub ty: ListType,
    items: Rc<RefCell<Vec<Value>>>,
}

impl List {
    /// Makes a `[]interface {}`.
    pub fn new(items: Vec<Value>) -> Self {
        List::typed(Elem::Any, items)
    }

    /// Makes a slice with elements of the given type.
    pub fn typed(elem: Elem, items: Vec<Value>) -> Self {
        List {
            ty: ListType::of(elem),
            items: Rc::new(RefCell::new(items)),
        }
    }

    /// Makes a slice as `append` to a nil one does: without items it stays nil.
    pub fn appended(elem: Elem, items: Vec<Value>) -> Self {
        let mut list = List::typed(elem, items);
        list.ty.is_nil = list.is_empty();
        list
    }

    /// Makes a slice of a named type.
    pub fn named(elem: Elem, named: &'static Named, items: Vec<Value>) -> Self {
        List {
            ty: ListType {
                named: Some(named),
                ..ListType::of(elem)
            },
            items: Rc::new(RefCell::new(items)),
        }
    }

    /// Returns a list of the same type with storage of its own.
    pub(super) fn with_items(&self, items: Vec<Value>) -> Self {
        List {
            ty: self.ty,
            items: Rc::new(RefCell::new(items)),
        }
    }

    /// Whether both handles share storage.
    pub fn same(&self, other: &List) -> bool {
        Rc::ptr_eq(&self.items, &other.items)
    }

    /// Borrows the items.
    pub fn borrow(&self) -> Ref<'_, Vec<Value>> {
        self.items.borrow()
    }

    /// Borrows the items for change.
    pub fn borrow_mut(&self) -> RefMut<'_, Vec<Value>> {
        self.items.borrow_mut()
    }

    /// Returns the number of items.
    pub fn len(&self) -> usize {
        self.items.borrow().len()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the identity of the storage.
    pub fn address(&self) -> usize {
        Rc::as_ptr(&self.items) as *const () as usize
    }

    pub(super) fn type_name(&self) -> String {
        match self.ty.named {
            Some(named) => named.name.to_owned(),
            None => format!("[]{}", self.ty.elem.name()),
        }
    }
}
