//! Install, upgrade, roll back, uninstall: helm and any cluster; Helm's own records.
