//! Small drawings, one stroke width, in the colour of the text.

use maud::{Markup, PreEscaped, html};

fn icon(paths: &str) -> Markup {
    html! {
        svg.icon viewBox="0 0 24 24" aria-hidden="true" focusable="false" { (PreEscaped(paths)) }
    }
}

/// A tick.
pub fn tick() -> Markup {
    icon(r#"<path d="M5 12.5l4.5 4.5L19 7.5"/>"#)
}

/// A waste bin.
pub fn bin() -> Markup {
    icon(r#"<path d="M4 7h16M10 11v6M14 11v6M6 7l1 13h10l1-13M9 7V4h6v3"/>"#)
}

/// A plus.
pub fn plus() -> Markup {
    icon(r#"<path d="M12 5v14M5 12h14"/>"#)
}

/// A calendar.
pub fn calendar() -> Markup {
    icon(r#"<rect x="4" y="5" width="16" height="15" rx="2"/><path d="M4 10h16M8 3v4M16 3v4"/>"#)
}

/// Two arrows in a circle.
pub fn repeat() -> Markup {
    icon(r#"<path d="M4 12a8 8 0 0 1 14-5l2 2M20 4v5h-5M20 12a8 8 0 0 1-14 5l-2-2M4 20v-5h5"/>"#)
}

/// A bell.
pub fn bell() -> Markup {
    icon(r#"<path d="M6 16V11a6 6 0 0 1 12 0v5l2 2H4zM10 21h4"/>"#)
}

/// A spark, for the assistant.
pub fn spark() -> Markup {
    icon(r#"<path d="M12 3l2 6.5L20 12l-6 2.5L12 21l-2-6.5L4 12l6-2.5z"/>"#)
}

/// An arrow that points where the text goes.
pub fn send() -> Markup {
    icon(r#"<path d="M4 12h15M13 6l6 6-6 6"/>"#)
}

/// A microphone.
pub fn microphone() -> Markup {
    icon(
        r#"<rect x="9" y="3" width="6" height="11" rx="3"/><path d="M5 11a7 7 0 0 0 14 0M12 18v3"/>"#,
    )
}

/// A looking glass.
pub fn glass() -> Markup {
    icon(r#"<circle cx="11" cy="11" r="6"/><path d="M16 16l4 4"/>"#)
}
