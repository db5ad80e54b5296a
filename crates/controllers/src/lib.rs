//! What happens after an object changes: one file per controller, each a client of the API.
