//! A store that fails as planned.
