//! What the address of the list says: which tasks, in which order, which page.

use serde::Deserialize;

use crate::pages::encode;

/// Tasks on a page.
const PAGE_TASKS: u64 = 50;
/// The last page there can be: the API skips a million tasks at most.
const PAGES_MAX: u64 = 1_000_000 / PAGE_TASKS;

/// The filter in the address; what makes no sense is as if it were absent.
#[derive(Deserialize, Default, Clone)]
#[serde(default)]
pub struct Filter {
    pub(super) status: String,
    pub(super) priority: String,
    pub(super) tag: String,
    pub(super) q: String,
    pub(super) due: String,
    pub(super) sort: String,
    page: String,
}

impl Filter {
    /// Returns `pending`, `completed` or `all`.
    pub(super) fn status(&self) -> &str {
        match self.status.as_str() {
            "all" | "completed" => &self.status,
            _ => "pending",
        }
    }

    /// Returns the order.
    pub(super) fn sort(&self) -> &str {
        match self.sort.as_str() {
            "created" | "priority" | "title" => &self.sort,
            _ => "due_date",
        }
    }

    /// Whether more than the status narrows the list.
    pub(super) fn is_narrow(&self) -> bool {
        ![&self.priority, &self.tag, &self.q, &self.due]
            .into_iter()
            .all(String::is_empty)
    }

    /// Returns the page, counted from 1.
    pub(super) fn page(&self) -> u64 {
        self.page.parse().unwrap_or(1).clamp(1, PAGES_MAX)
    }

    /// Returns the same filter on another page.
    pub(super) fn at(&self, page: u64) -> Self {
        Self {
            page: page.to_string(),
            ..self.clone()
        }
    }

    /// Returns the same filter on its first page, with another status.
    pub(super) fn with_status(&self, status: &str) -> Self {
        Self {
            status: status.to_owned(),
            ..self.at(1)
        }
    }

    /// Returns the same filter on its first page, for any tag.
    pub(super) fn without_tag(&self) -> Self {
        Self {
            tag: String::new(),
            ..self.at(1)
        }
    }

    /// Returns the address of the list.
    pub(super) fn path(&self) -> String {
        let path = format!("/dashboard?{}", self.criteria());
        match self.page() {
            1 => path,
            page => format!("{path}&page={page}"),
        }
    }

    /// Returns what the API is asked for one page of tasks.
    pub(super) fn request(&self, due_before: Option<&str>) -> String {
        let offset = (self.page() - 1) * PAGE_TASKS;
        let due = due_before.map(|at| format!("&due_before={}", encode(at)));
        format!(
            "/api/tasks?{}&limit={PAGE_TASKS}&offset={offset}{}",
            self.criteria(),
            due.unwrap_or_default()
        )
    }

    fn criteria(&self) -> String {
        let mut query = format!("status={}&sort={}", self.status(), self.sort());
        for (name, value) in [
            ("priority", &self.priority),
            ("tag", &self.tag),
            ("q", &self.q),
            ("due", &self.due),
        ] {
            if !value.is_empty() {
                query.push_str(&format!("&{name}={}", encode(value)));
            }
        }
        query
    }
}

/// A stretch of the list, and how long the list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Number of the first task, counted from 1.
    pub first: u64,
    /// Number of the last task.
    pub last: u64,
    /// How many tasks there are.
    pub total: u64,
    /// The last page.
    pub pages: u64,
}

impl Stretch {
    /// Returns what a page shows of so many tasks.
    pub(super) fn of(page: u64, total: u64) -> Self {
        let before = (page - 1) * PAGE_TASKS;
        Self {
            first: before + 1,
            last: total.min(before + PAGE_TASKS),
            total,
            pages: total.div_ceil(PAGE_TASKS).clamp(1, PAGES_MAX),
        }
    }

    /// Whether all tasks stand on one page.
    pub(super) fn is_whole(&self) -> bool {
        self.pages == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_page(page: &str) -> Filter {
        Filter {
            page: page.to_owned(),
            ..Filter::default()
        }
    }

    #[test]
    fn a_page_asks_for_its_stretch_only() {
        let check = |page: &str, path: &str, stretch: &str| {
            let filter = on_page(page);
            let criteria = "status=pending&sort=due_date";
            assert_eq!(filter.path(), format!("/dashboard?{criteria}{path}"));
            let request = format!("/api/tasks?{criteria}&limit=50&offset={stretch}");
            assert_eq!(filter.request(None), request, "{page}");
        };
        check("", "", "0");
        check("1", "", "0");
        check("3", "&page=3", "100");
        for nonsense in ["0", "-1", "two"] {
            check(nonsense, "", "0");
        }
        check("99999999999", "&page=20000", "999950");
    }

    #[test]
    fn another_filter_begins_at_its_first_page() {
        let filter = on_page("3");
        assert_eq!(filter.with_status("all").page(), 1);
        assert_eq!(filter.without_tag().page(), 1);
        assert_eq!(filter.at(4).page(), 4);
    }

    #[test]
    fn stretches_cover_the_list() {
        let check = |page: u64, total: u64, expected: (u64, u64, u64)| {
            let stretch = Stretch::of(page, total);
            let found = (stretch.first, stretch.last, stretch.pages);
            assert_eq!(found, expected, "page {page} of {total} tasks");
        };
        check(1, 0, (1, 0, 1));
        check(1, 50, (1, 50, 1));
        check(1, 51, (1, 50, 2));
        check(2, 51, (51, 51, 2));
        check(240, 12_000, (11_951, 12_000, 240));
    }
}
