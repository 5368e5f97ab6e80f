//! The dependency graph: order, ready nodes, roots, sinks.
//!
//! A node depends on every node that its `depends_on` or `input_refs` name. Nodes are meant by
//! their index in [`Workflow::nodes`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;

use super::{Node, Workflow};
use crate::id::NodeId;

/// The dependencies of a workflow whose nodes can be brought into an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    dependencies: Vec<Vec<usize>>,
    dependents: Vec<Vec<usize>>,
    order: Vec<usize>,
}

/// Why the nodes of a workflow cannot be brought into an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GraphFault {
    /// A node has the id of an earlier one.
    DuplicateNode {
        /// The later node.
        node: usize,
        /// The earlier node.
        first: usize,
    },
    /// A node refers to a node that is not there.
    UnknownNode(Reference),
    /// A node refers to itself.
    SelfReference(Reference),
    /// Nodes wait for each other.
    Cycle {
        /// Where the first node of the path names the second.
        at: Reference,
        /// Each node needs the next one, and the last one the first; begins with the node that comes
        /// first in the document.
        path: Vec<usize>,
    },
}

/// A place where a node names another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// The node that refers.
    pub node: usize,
    /// The list in which it does.
    pub list: ReferenceList,
    /// The place in that list.
    pub place: usize,
}

/// The two lists in which a node names others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceList {
    /// `depends_on`
    DependsOn,
    /// `input_refs`
    InputRefs,
}

impl Reference {
    /// The id that is written there.
    #[must_use]
    pub fn target(self, workflow: &Workflow) -> Option<&NodeId> {
        let node = workflow.nodes().get(self.node)?;
        match self.list {
            ReferenceList::DependsOn => node.depends_on().get(self.place),
            ReferenceList::InputRefs => {
                node.input_refs().get(self.place).map(|input| &input.from_step_id)
            }
        }
    }
}

impl fmt::Display for Reference {
    /// Writes the place as a JSON pointer into the document.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, place, .. } = self;
        match self.list {
            ReferenceList::DependsOn => write!(f, "/flow/nodes/{node}/depends_on/{place}"),
            ReferenceList::InputRefs => {
                write!(f, "/flow/nodes/{node}/input_refs/{place}/from_step_id")
            }
        }
    }
}

impl Graph {
    /// The graph of `workflow`, in time n log n of its nodes and references.
    ///
    /// # Errors
    /// Everything that keeps the nodes from being ordered, in document order, cycles last. A node is
    /// in at most one of the cycles reported; others may show when these are resolved.
    pub fn new(workflow: &Workflow) -> Result<Self, Vec<GraphFault>> {
        let nodes = workflow.nodes();
        let mut faults = Vec::new();
        let mut index = BTreeMap::new();
        for (node, id) in nodes.iter().map(|node| node.id()).enumerate() {
            let first = *index.entry(id).or_insert(node);
            if first != node {
                faults.push(GraphFault::DuplicateNode { node, first });
            }
        }
        let mut edges = Vec::with_capacity(nodes.len());
        for (position, node) in nodes.iter().enumerate() {
            let mut targets = Vec::new();
            for (at, id) in references(position, node) {
                match index.get(id) {
                    None => faults.push(GraphFault::UnknownNode(at)),
                    Some(target) if *target == position => {
                        faults.push(GraphFault::SelfReference(at));
                    }
                    Some(target) => targets.push((*target, at)),
                }
            }
            // A node that is named twice is one dependency; the first reference to it is kept.
            targets.sort_by_key(|(target, _)| *target);
            targets.dedup_by_key(|(target, _)| *target);
            edges.push(targets);
        }
        let graph = Self::from_edges(&edges);
        if graph.order.len() < nodes.len() {
            faults.extend(graph.cycles(&edges));
        }
        if faults.is_empty() { Ok(graph) } else { Err(faults) }
    }

    /// Orders what can be ordered; nodes that wait for a cycle are missing from the order.
    fn from_edges(edges: &[Vec<(usize, Reference)>]) -> Self {
        let dependencies: Vec<Vec<usize>> = edges
            .iter()
            .map(|targets| targets.iter().map(|(target, _)| *target).collect())
            .collect();
        let mut dependents = vec![Vec::new(); dependencies.len()];
        for (node, targets) in dependencies.iter().enumerate() {
            for target in targets {
                if let Some(list) = dependents.get_mut(*target) {
                    list.push(node);
                }
            }
        }
        let mut waiting: Vec<usize> = dependencies.iter().map(Vec::len).collect();
        let mut ready: BinaryHeap<_> = roots_of(&dependencies).map(Reverse).collect();
        let mut order = Vec::with_capacity(dependencies.len());
        while let Some(Reverse(node)) = ready.pop() {
            order.push(node);
            for dependent in dependents.get(node).into_iter().flatten() {
                if let Some(count) = waiting.get_mut(*dependent) {
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        ready.push(Reverse(*dependent));
                    }
                }
            }
        }
        Self { dependencies, dependents, order }
    }

    /// Walks from each node left over to one that it waits for, until a node comes up again. Every
    /// node is walked over once.
    fn cycles(&self, edges: &[Vec<(usize, Reference)>]) -> Vec<GraphFault> {
        let mut ordered = vec![false; edges.len()];
        for node in &self.order {
            set(&mut ordered, *node);
        }
        let mut walked = ordered.clone();
        let mut cycles = Vec::new();
        for start in 0..edges.len() {
            let mut path = Vec::new();
            let mut next = Some(start);
            while let Some(node) = next.filter(|node| !is_set(&walked, *node)) {
                set(&mut walked, node);
                path.push(node);
                let mut left = self.dependencies(node).iter().copied();
                next = left.find(|target| !is_set(&ordered, *target));
            }
            let again = next.and_then(|node| path.iter().position(|seen| *seen == node));
            if let Some(begin) = again {
                cycles.extend(cycle(path.split_off(begin), edges));
            }
        }
        cycles
    }

    /// All nodes, each after everything that it depends on; in document order wherever the
    /// dependencies leave a choice.
    #[must_use]
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// What `node` depends on, in document order; nothing when there is no such node.
    #[must_use]
    pub fn dependencies(&self, node: usize) -> &[usize] {
        self.dependencies.get(node).map_or(&[], Vec::as_slice)
    }

    /// What depends on `node`, in document order; nothing when there is no such node.
    #[must_use]
    pub fn dependents(&self, node: usize) -> &[usize] {
        self.dependents.get(node).map_or(&[], Vec::as_slice)
    }

    /// The nodes that depend on nothing, in document order.
    pub fn roots(&self) -> impl Iterator<Item = usize> {
        roots_of(&self.dependencies)
    }

    /// The nodes that nothing depends on, in document order.
    pub fn sinks(&self) -> impl Iterator<Item = usize> {
        roots_of(&self.dependents)
    }

    /// The nodes that are not done but everything that they depend on is, in document order.
    pub fn ready(&self, is_done: impl Fn(usize) -> bool) -> impl Iterator<Item = usize> {
        self.dependencies
            .iter()
            .enumerate()
            .filter(move |(node, targets)| !is_done(*node) && targets.iter().all(|t| is_done(*t)))
            .map(|(node, _)| node)
    }
}

fn roots_of(lists: &[Vec<usize>]) -> impl Iterator<Item = usize> {
    lists.iter().enumerate().filter(|(_, list)| list.is_empty()).map(|(node, _)| node)
}

/// Everything that `node` refers to, in document order.
fn references(position: usize, node: &Node) -> impl Iterator<Item = (Reference, &NodeId)> {
    let at = move |list, place| Reference { node: position, list, place };
    let depends_on = node.depends_on().iter().enumerate();
    let input_refs = node.input_refs().iter().enumerate();
    depends_on.map(move |(place, id)| (at(ReferenceList::DependsOn, place), id)).chain(
        input_refs
            .map(move |(place, input)| (at(ReferenceList::InputRefs, place), &input.from_step_id)),
    )
}

/// The cycle `path`, turned so that it begins with the first node of the document.
fn cycle(mut path: Vec<usize>, edges: &[Vec<(usize, Reference)>]) -> Option<GraphFault> {
    let lowest = path.iter().enumerate().min_by_key(|(_, node)| **node)?.0;
    path.rotate_left(lowest);
    let first = *path.first()?;
    let second = path.get(1).copied().unwrap_or(first);
    let (_, at) = edges.get(first)?.iter().find(|edge| edge.0 == second)?;
    Some(GraphFault::Cycle { at: *at, path })
}

fn is_set(marks: &[bool], node: usize) -> bool {
    marks.get(node).is_some_and(|mark| *mark)
}

fn set(marks: &mut [bool], node: usize) {
    if let Some(mark) = marks.get_mut(node) {
        *mark = true;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// A workflow from `id: dependencies` lines; a dependency written `<id` is an input reference.
    fn workflow(lines: &[(&str, &[&str])]) -> Workflow {
        let nodes: Vec<Value> = lines
            .iter()
            .map(|(id, needs)| {
                let (inputs, depends): (Vec<&str>, Vec<&str>) =
                    needs.iter().partition(|need| need.starts_with('<'));
                let inputs: Vec<Value> = inputs
                    .iter()
                    .map(|id| json!({"from_step_id": id.trim_start_matches('<'), "alias": "x"}))
                    .collect();
                json!({"node_id": id, "agent_id": "a", "objective": "o",
                       "depends_on": depends, "input_refs": inputs})
            })
            .collect();
        Workflow::from_json(json!({"automation_id": "w", "flow": {"nodes": nodes}})).unwrap()
    }

    fn faults(lines: &[(&str, &[&str])]) -> Vec<String> {
        let workflow = workflow(lines);
        let name = |node: &usize| workflow.nodes()[*node].id().to_string();
        Graph::new(&workflow)
            .unwrap_err()
            .iter()
            .map(|fault| match fault {
                GraphFault::DuplicateNode { node, first } => format!("{node} = {first}"),
                GraphFault::UnknownNode(at) => format!("unknown at {at}"),
                GraphFault::SelfReference(at) => format!("self at {at}"),
                GraphFault::Cycle { at, path } => {
                    let path: Vec<_> = path.iter().map(name).collect();
                    format!("{} at {at}", path.join(" -> "))
                }
            })
            .collect()
    }

    #[test]
    fn order_is_that_of_the_document_where_dependencies_leave_a_choice() {
        let graph = Graph::new(&workflow(&[
            ("report", &["check", "<draft"]),
            ("draft", &["read"]),
            ("read", &[]),
            ("check", &["draft", "<draft", "<read"]),
            ("aside", &[]),
        ]))
        .unwrap();
        assert_eq!(graph.order(), [2, 1, 3, 0, 4]);
        assert_eq!(graph.roots().collect::<Vec<_>>(), [2, 4]);
        assert_eq!(graph.sinks().collect::<Vec<_>>(), [0, 4]);
        assert_eq!(graph.dependencies(3), [1, 2]);
        assert_eq!(graph.dependents(1), [0, 3]);
        assert_eq!(graph.dependents(9), [0; 0]);
        let ready = |done: &[usize]| graph.ready(|n| done.contains(&n)).collect::<Vec<_>>();
        assert_eq!(ready(&[]), [2, 4]);
        assert_eq!(ready(&[2]), [1, 4]);
        assert_eq!(ready(&[2, 1, 4]), [3]);
        assert_eq!(ready(&[2, 1, 4, 3, 0]), [0; 0]);
    }

    #[test]
    fn what_cannot_be_ordered_is_reported_all_at_once() {
        assert_eq!(
            faults(&[
                ("start", &["c"]),
                ("b", &["ghost", "c"]),
                ("c", &["<a", "c"]),
                ("a", &["b", "<gone"]),
                ("b", &[]),
                ("x", &["<y"]),
                ("y", &["x"]),
            ]),
            [
                "4 = 1",
                "unknown at /flow/nodes/1/depends_on/0",
                "self at /flow/nodes/2/depends_on/0",
                "unknown at /flow/nodes/3/input_refs/0/from_step_id",
                "b -> c -> a at /flow/nodes/1/depends_on/1",
                "x -> y at /flow/nodes/5/input_refs/0/from_step_id",
            ]
        );
    }

    #[test]
    fn a_long_chain_and_a_long_ring_take_no_stack() {
        let count = 20_000;
        let names: Vec<String> = (0..count).map(|n| format!("n{n}")).collect();
        let needs: Vec<[&str; 2]> =
            (0..count).map(|n: usize| [names[n.saturating_sub(1)].as_str(), "n0"]).collect();
        let mut lines: Vec<(&str, &[&str])> =
            names.iter().zip(&needs).map(|(id, needs)| (id.as_str(), &needs[..])).collect();
        lines[0].1 = &[];
        let chain = workflow(&lines);
        assert_eq!(Graph::new(&chain).unwrap().order().len(), count);
        let last = [names[count - 1].as_str()];
        lines[0].1 = &last;
        let ring = workflow(&lines);
        assert_eq!(Graph::new(&ring).unwrap_err().len(), 1);
    }

    proptest! {
        #[test]
        fn every_order_respects_every_dependency_and_every_cycle_is_one(
            edges in prop::collection::vec((0..12_usize, 0..12_usize), 0..24)
        ) {
            let names: Vec<String> = (0..12).map(|n| format!("n{n}")).collect();
            let needs: Vec<Vec<&str>> = (0..12)
                .map(|n| edges.iter().filter(|e| e.0 == n).map(|e| names[e.1].as_str()).collect())
                .collect();
            let lines: Vec<(&str, &[&str])> =
                names.iter().zip(&needs).map(|(id, n)| (id.as_str(), n.as_slice())).collect();
            match Graph::new(&workflow(&lines)) {
                Ok(graph) => {
                    let place = |n| graph.order().iter().position(|m| *m == n).unwrap();
                    prop_assert_eq!(graph.order().len(), 12);
                    for (from, to) in edges {
                        prop_assert!(place(to) < place(from));
                    }
                }
                Err(faults) => {
                    let mut seen = Vec::new();
                    for fault in faults {
                        if let GraphFault::Cycle { path, .. } = fault {
                            let next = path.iter().cycle().skip(1);
                            for (from, to) in path.iter().zip(next) {
                                prop_assert!(edges.contains(&(*from, *to)));
                                prop_assert!(!seen.contains(from));
                                seen.push(*from);
                            }
                        } else {
                            prop_assert!(edges.iter().any(|(from, to)| from == to));
                        }
                    }
                }
            }
        }
    }
}
