//! One file for each mutable field, behind [`FieldSpec`].

use super::{Family, FieldValue, MutableField};
use crate::policy::MutationPolicy;
use crate::workflow::Node;

/// All that is particular to one mutable field.
pub trait FieldSpec: Sync {
    /// The name on the wire.
    fn name(&self) -> &'static str;
    /// The path within a node.
    fn path(&self) -> &'static [&'static str];
    /// Text or knob.
    fn family(&self) -> Family;
    /// The current value; `None` when the node does not have the field.
    fn get(&self, node: &Node) -> Option<FieldValue>;
}

impl MutableField {
    /// The field's particulars.
    #[must_use]
    pub fn spec(self) -> &'static dyn FieldSpec {
        let _ = std::marker::PhantomData::<MutationPolicy>;
        unimplemented!()
    }
}
