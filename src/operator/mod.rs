//! Watches what is there, and brings every cluster to what its object says.
