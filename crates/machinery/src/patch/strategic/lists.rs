//! Merging of lists: by key, by value, and under `$setElementOrder`.

use serde_json::{Map, Value};

use super::go::{self, TypeName};
use super::order::{normalize, partition};
use super::{
    DIRECTIVE, ELEMENT_ORDER, Field, Result, as_map, bad_patch_type, bad_type, list_field,
    merge_map, no_merge_key, target, without_directives,
};
use crate::patch::PatchError;
use crate::schema::Node;

/// A merged list.
pub(super) struct Merged {
    pub(super) items: Vec<Value>,
    /// What the list that was merged into holds afterwards. Upstream merges in
    /// place, so that a list from which items were deleted and others added
    /// shows some of the added ones; they count as "known" when items are
    /// ordered, and so must be remembered.
    pub(super) remains: Vec<Value>,
}

/// Merges every list of `patch` that comes with an order, and takes both out
/// of the patch.
pub(super) fn merge_ordered(
    original: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
    schema: Option<Node<'_>>,
    depth: usize,
) -> Result<()> {
    let keys: Vec<String> = patch
        .keys()
        .filter(|key| key.starts_with(ELEMENT_ORDER))
        .cloned()
        .collect();
    for key in keys {
        let order = patch.shift_remove(&key).unwrap_or_default();
        let Value::Array(order) = order else {
            return Err(bad_type("[]interface {}", &order));
        };
        let name = target(&key, ELEMENT_ORDER)?;
        merge_one_ordered(original, patch, name, &order, schema, depth)?;
    }
    Ok(())
}

fn merge_one_ordered(
    original: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
    name: &str,
    order: &[Value],
    schema: Option<Node<'_>>,
    depth: usize,
) -> Result<()> {
    let present = original.get(name).map(as_list).transpose()?.cloned();
    let change = patch.get(name).map(as_list).transpose()?.cloned();
    let field = list_field(schema, name)?;
    if let Some(change) = &change {
        check_order(change, order, field.merge_key)?;
    } else {
        check_order(&[], order, field.merge_key)?;
    }
    let (merged, remains) = match (&present, &change) {
        (None, None) => return Ok(()),
        (Some(present), None) => (present.clone(), present.clone()),
        (None, Some(change)) => {
            let items = change
                .iter()
                .cloned()
                .filter_map(without_directives)
                .collect();
            (items, Vec::new())
        }
        (Some(present), Some(change)) if field.merge => {
            let merged = merge_list(present.clone(), change.clone(), field, false, depth + 1)?;
            (merged.items, merged.remains)
        }
        (Some(present), Some(change)) => (change.clone(), present.clone()),
    };
    let (ordered, others) = partition(merged, order, field.merge_key)?;
    let kind = element_type(&remains, change.as_deref().unwrap_or_default())?;
    let merge_key = field.merge_key.unwrap_or_default();
    let items = normalize(
        ordered,
        others,
        order,
        &remains,
        merge_key,
        kind == TypeName::Map,
    )?;
    original.insert(name.to_owned(), Value::Array(items));
    patch.shift_remove(name);
    Ok(())
}

fn as_list(value: &Value) -> Result<&Vec<Value>> {
    value
        .as_array()
        .ok_or_else(|| bad_type("[]interface {}", value))
}

/// Checks that the items of a patch list stand in its order list, in order.
fn check_order(items: &[Value], order: &[Value], merge_key: Option<&str>) -> Result<()> {
    if items.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut wanted = Vec::new();
    for item in items {
        if merge_key.is_some() && is_delete(as_map(item)?) {
            continue;
        }
        wanted.push(item);
    }
    let (mut next, mut place) = (0, 0);
    while next < wanted.len() && place < order.len() {
        if wanted[next].get(DIRECTIVE).is_some() {
            next += 1;
            continue;
        }
        let equal = match merge_key {
            Some(merge_key) => {
                key_of(wanted[next], merge_key)? == key_of(&order[place], merge_key)?
            }
            None => wanted[next] == &order[place],
        };
        next += usize::from(equal);
        place += 1;
    }
    if next < wanted.len() && place >= order.len() {
        let (items, order) = (go::print_list(items), go::print_list(order));
        let message = format!(
            "The order in patch list:\n{items}\n doesn't match {ELEMENT_ORDER} list:\n{order}\n"
        );
        return Err(PatchError::Unprocessed(message));
    }
    Ok(())
}

/// Returns the merge key's value of a list element.
pub(super) fn key_of<'v>(item: &'v Value, merge_key: &str) -> Result<&'v Value> {
    let map = as_map(item)?;
    map.get(merge_key)
        .ok_or_else(|| no_merge_key(map, merge_key))
}

pub(super) fn is_delete(item: &Map<String, Value>) -> bool {
    item.get(DIRECTIVE)
        .is_some_and(|directive| directive == "delete")
}

/// The one type that all elements have.
fn element_type(left: &[Value], right: &[Value]) -> Result<TypeName> {
    let mut found = None;
    for item in left.iter().chain(right) {
        let kind = TypeName::of(item);
        match found {
            None if kind == TypeName::Slice => {
                return Err(PatchError::Inapplicable(
                    "lists of lists are not supported".to_owned(),
                ));
            }
            None => found = Some(kind),
            Some(first) if first == kind => {}
            Some(_) => {
                let lists = format!("[{} {}]", go::print_list(left), go::print_list(right));
                return Err(PatchError::Unprocessed(format!(
                    "list element types are not identical: {lists}"
                )));
            }
        }
    }
    match found {
        Some(TypeName::Nil) => Err(PatchError::Unprocessed("a list element is null".to_owned())),
        Some(kind) => Ok(kind),
        None => Err(PatchError::Unprocessed(
            "no elements in any of the given slices".to_owned(),
        )),
    }
}

/// Merges `patch` into `original`, or deletes the scalars it lists.
pub(super) fn merge_list(
    original: Vec<Value>,
    patch: Vec<Value>,
    field: Field<'_>,
    deletes: bool,
    depth: usize,
) -> Result<Merged> {
    if original.is_empty() && patch.is_empty() {
        return Ok(Merged {
            items: original,
            remains: Vec::new(),
        });
    }
    let kind = element_type(&original, &patch)?;
    if kind != TypeName::Map {
        return merge_scalars(original, patch, field, deletes);
    }
    let Some(merge_key) = field.merge_key else {
        return Err(PatchError::Unprocessed(
            "cannot merge lists without merge key for struct".to_owned(),
        ));
    };
    let mut slots = Slots::new(original);
    let mut change = Vec::new();
    let mut replaces = false;
    for item in patch {
        let map = as_map(&item)?;
        match map
            .get(DIRECTIVE)
            .map(|directive| (directive, directive.as_str()))
        {
            None => change.push(item),
            Some((_, Some("delete"))) => {
                let key = key_of(&item, merge_key)?.clone();
                slots.delete(merge_key, &key)?;
            }
            Some((_, Some("replace"))) => replaces = true,
            Some((_, Some("merge"))) => {
                let message = "merging lists cannot yet be specified in the patch";
                return Err(PatchError::Unprocessed(message.to_owned()));
            }
            Some((directive, _)) => return Err(bad_patch_type(directive, map)),
        }
    }
    if replaces {
        let remains = slots.into_backing();
        let items = normalize(Vec::new(), change.clone(), &[], &change, merge_key, true)?;
        return Ok(Merged { items, remains });
    }
    // Items that the patch adds are unknown to this order, so they come first.
    let known = slots.live().to_vec();
    for item in &change {
        merge_element(&mut slots, item, merge_key, field, depth)?;
    }
    let (live, remains) = slots.finish();
    let (ordered, others) = partition(live, &change, Some(merge_key))?;
    let items = normalize(ordered, others, &change, &known, merge_key, true)?;
    Ok(Merged { items, remains })
}

fn merge_scalars(
    original: Vec<Value>,
    patch: Vec<Value>,
    field: Field<'_>,
    deletes: bool,
) -> Result<Merged> {
    let remains = original.clone();
    if deletes {
        let items = original
            .into_iter()
            .filter(|item| !patch.contains(item))
            .collect();
        return Ok(Merged { items, remains });
    }
    let mut both = original.clone();
    both.extend(patch.iter().cloned());
    remove_duplicates(&mut both);
    let (ordered, others) = partition(both, &patch, field.merge_key)?;
    let items = normalize(
        ordered,
        others,
        &patch,
        &original,
        field.merge_key.unwrap_or_default(),
        false,
    )?;
    Ok(Merged { items, remains })
}

/// Removes later equals; the last item takes the place of a removed one.
fn remove_duplicates(items: &mut Vec<Value>) {
    let mut first = 0;
    while first + 1 < items.len() {
        let mut other = first + 1;
        while other < items.len() {
            if items[first] == items[other] {
                items.swap_remove(other);
            } else {
                other += 1;
            }
        }
        first += 1;
    }
}

fn merge_element(
    slots: &mut Slots,
    item: &Value,
    merge_key: &str,
    field: Field<'_>,
    depth: usize,
) -> Result<()> {
    let key = key_of(item, merge_key)?;
    match slots.find(merge_key, key)? {
        Some(index) => {
            let (present, change) = (as_map(&slots.live()[index])?.clone(), as_map(item)?.clone());
            let merged = merge_map(present, change, field.schema, depth + 1)?;
            slots.replace(index, Value::Object(merged));
        }
        None => slots.push(item.clone()),
    }
    Ok(())
}

/// A list with the memory of the array it started in, as Go's slices have.
struct Slots {
    /// The array as the first owner sees it; its length never changes.
    backing: Vec<Value>,
    /// How many items of the backing are alive, until the list outgrows it.
    live: usize,
    /// The list once it has outgrown its array.
    grown: Option<Vec<Value>>,
}

impl Slots {
    fn new(items: Vec<Value>) -> Slots {
        let live = items.len();
        Slots {
            backing: items,
            live,
            grown: None,
        }
    }

    fn live(&self) -> &[Value] {
        self.grown.as_deref().unwrap_or(&self.backing[..self.live])
    }

    fn find(&self, merge_key: &str, key: &Value) -> Result<Option<usize>> {
        for (index, item) in self.live().iter().enumerate() {
            let Some(map) = item.as_object() else {
                return Err(PatchError::Unprocessed(format!(
                    "value for key {index} is not a map"
                )));
            };
            if map.get(merge_key) == Some(key) {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// Deletes every item with that key; later ones move up and the last ones
    /// stay behind in the backing.
    fn delete(&mut self, merge_key: &str, key: &Value) -> Result<()> {
        while let Some(index) = self.find(merge_key, key)? {
            for place in index + 1..self.live {
                self.backing[place - 1] = self.backing[place].clone();
            }
            self.live -= 1;
        }
        Ok(())
    }

    fn replace(&mut self, index: usize, item: Value) {
        match &mut self.grown {
            Some(items) => items[index] = item,
            None => self.backing[index] = item,
        }
    }

    fn push(&mut self, item: Value) {
        if let Some(items) = &mut self.grown {
            items.push(item);
        } else if self.live < self.backing.len() {
            self.backing[self.live] = item;
            self.live += 1;
        } else {
            let mut items = self.backing.clone();
            items.push(item);
            self.grown = Some(items);
        }
    }

    fn into_backing(self) -> Vec<Value> {
        self.backing
    }

    fn finish(self) -> (Vec<Value>, Vec<Value>) {
        let live = self.live().to_vec();
        (live, self.backing)
    }
}
