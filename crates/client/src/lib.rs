//! How residents talk to the API: an in-memory transport, one shared cache per kind, a work queue.
