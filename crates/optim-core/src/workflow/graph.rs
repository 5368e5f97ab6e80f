//! The dependency graph: order, ready nodes, sinks.
