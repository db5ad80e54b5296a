//! A YAML 1.1 reader with positions and the two writers that equal go-yaml's. Pure.
