//! Go's text/template with sprig and Helm's functions: lexer, parser, executor with spans. Pure.
