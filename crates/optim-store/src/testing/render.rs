//! A whole store as text.
/// todo
pub fn render() {}
