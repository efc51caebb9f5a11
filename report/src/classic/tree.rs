//! The log as a tree: steps with what happened in them.

use std::collections::HashMap;

use driver_core::event::{Level, Record, ScopeId};

use super::{Entry, Reader};

/// Lines that the tree keeps; a page of more is of no use to anybody. What comes after is counted.
const LIMIT: usize = 200_000;

/// A line, or a step with what is in it.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) text: String,
    pub(super) machine: Option<String>,
    pub(super) kind: Kind,
    /// The file that the heading is about.
    pub(super) file: Option<String>,
    pub(super) children: Vec<usize>,
    /// Whether something in it went wrong, so that a reader wants to see it at once.
    pub(super) has_error: bool,
    parent: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Step,
    Line,
    Serial,
    Warning,
    Error,
}

/// The tree; its root is the run.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    open: HashMap<ScopeId, usize>,
    reader: Reader,
    pub(super) left_out: usize,
}

impl Default for Tree {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], open: HashMap::new(), reader: Reader::default(), left_out: 0 }
    }
}

impl Tree {
    pub(super) fn of_2019() -> Self {
        Self { reader: Reader::of_2019(), ..Self::default() }
    }

    pub(super) fn root(&self) -> &Node {
        &self.nodes[0]
    }

    pub(super) fn node(&self, index: usize) -> &Node {
        &self.nodes[index]
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter()
    }

    pub(super) fn observe(&mut self, record: &Record) {
        let Some(entry) = self.reader.read(record) else { return };
        let parent = self.open.get(&record.scope).copied().unwrap_or(0);
        let mut node = Node { machine: record.machine.clone(), parent, ..Node::default() };
        match entry {
            Entry::Nest { scope, heading, file } => {
                (node.text, node.file) = (heading, file);
                if let Some(index) = self.add(node) {
                    self.open.insert(scope, index);
                }
            }
            Entry::End { scope, line } => {
                let Some(index) = self.open.remove(&scope) else { return };
                let Some(line) = line else { return };
                let machine = None;
                self.add(Node { text: line, machine, kind: Kind::Line, parent: index, ..Node::default() });
            }
            Entry::Line { level, text } => {
                node.text = text;
                node.kind = match level {
                    Level::Error => Kind::Error,
                    Level::Warning => Kind::Warning,
                    Level::Info | Level::Debug => Kind::Line,
                };
                self.add(node);
            }
            Entry::Serial { text } => {
                // What a console says belongs to the step that its machine is in.
                let inner = self.open.values().copied().filter(|step| {
                    self.nodes[*step].machine.is_some() && self.nodes[*step].machine == node.machine
                });
                node.parent = inner.max().or_else(|| self.open.values().copied().max()).unwrap_or(parent);
                (node.text, node.kind) = (text, Kind::Serial);
                self.add(node);
            }
            Entry::Printed { .. } => {}
        }
    }

    fn add(&mut self, node: Node) -> Option<usize> {
        if self.nodes.len() >= LIMIT {
            self.left_out += 1;
            return None;
        }
        let (index, parent) = (self.nodes.len(), node.parent);
        if node.kind == Kind::Error {
            let mut above = parent;
            while !self.nodes[above].has_error {
                self.nodes[above].has_error = true;
                above = self.nodes[above].parent;
            }
        }
        self.nodes[parent].children.push(index);
        self.nodes.push(node);
        Some(index)
    }
}
