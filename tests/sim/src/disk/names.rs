//! The simulated directory tree: names, their order of survival, and what a power cut leaves of them.
//!
//! Invariants:
//! 1. Changes of names reach stable storage in the order they were made (a journalled file system): after a power cut the
//!    tree is that of some moment since the last flush of a directory.
//! 2. A flush of any directory makes all changes before it stable, as a commit of the file system's journal does.

use std::collections::{BTreeMap, BTreeSet};

use onrush_core::effect::DirEntry;

use crate::rng::Rng;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Dir,
    /// A file, by the number of its inode.
    File(u64),
}

/// A change of one name.
#[derive(Clone, Debug)]
pub enum Change {
    /// The name now stands for this; what it stood for is gone.
    Put(String, Node),
    /// The name is gone.
    Remove(String),
    /// The name and everything below it moved; what stood at the new name is gone.
    Move(String, String),
}

type Tree = BTreeMap<String, Node>;

/// The tree. The root, "", always exists.
#[derive(Clone, Debug, Default)]
pub struct Names {
    now: Tree,
    stable: Tree,
    pending: Vec<Change>,
}

impl Names {
    /// What a path stands for.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Node> {
        if path.is_empty() {
            return Some(Node::Dir);
        }
        self.now.get(path).copied()
    }

    /// True if the directory that would hold this name exists.
    #[must_use]
    pub fn has_parent(&self, path: &str) -> bool {
        self.get(parent(path)) == Some(Node::Dir)
    }

    /// Makes a change; it is stable only after [`Self::flush`].
    pub fn apply(&mut self, change: Change) {
        apply(&mut self.now, &change);
        self.pending.push(change);
    }

    /// Makes all changes so far stable.
    pub fn flush(&mut self) {
        for change in self.pending.drain(..) {
            apply(&mut self.stable, &change);
        }
    }

    /// The power went: some first part of the pending changes survives.
    pub fn power_cut(&mut self, rng: &mut Rng) {
        let kept = rng.index(self.pending.len() + 1);
        self.pending.truncate(kept);
        self.flush();
        self.now = self.stable.clone();
    }

    /// Names directly in a directory, with sizes from `size_of`.
    pub fn list(&self, path: &str, size_of: impl Fn(u64) -> u64) -> Vec<DirEntry> {
        self.now
            .iter()
            .filter(|(name, _)| parent(name) == path)
            .map(|(name, node)| DirEntry {
                name: name[name.rfind('/').map_or(0, |slash| slash + 1)..].to_owned(),
                is_dir: *node == Node::Dir,
                bytes: match node {
                    Node::Dir => 0,
                    Node::File(inode) => size_of(*inode),
                },
            })
            .collect()
    }

    /// The path and everything below it, deepest first.
    #[must_use]
    pub fn below(&self, path: &str) -> Vec<String> {
        let mut found: Vec<String> = self
            .now
            .keys()
            .filter(|name| is_below(name, path))
            .cloned()
            .collect();
        found.reverse();
        found
    }

    /// The inodes that a name stands for, or may stand for after a power cut.
    #[must_use]
    pub fn inodes(&self) -> BTreeSet<u64> {
        let put = self.pending.iter().filter_map(|change| match change {
            Change::Put(_, node) => Some(node),
            Change::Remove(_) | Change::Move(..) => None,
        });
        let all = self.now.values().chain(self.stable.values()).chain(put);
        all.filter_map(|node| match node {
            Node::Dir => None,
            Node::File(inode) => Some(*inode),
        })
        .collect()
    }

    /// Every file by path.
    pub fn files(&self) -> impl Iterator<Item = (&str, u64)> {
        self.now.iter().filter_map(|(name, node)| match node {
            Node::Dir => None,
            Node::File(inode) => Some((name.as_str(), *inode)),
        })
    }
}

/// The directory of a path.
fn parent(path: &str) -> &str {
    path.rfind('/').map_or("", |slash| &path[..slash])
}

fn is_below(name: &str, path: &str) -> bool {
    name == path || (name.starts_with(path) && name.as_bytes().get(path.len()) == Some(&b'/'))
}

fn apply(tree: &mut Tree, change: &Change) {
    match change {
        Change::Put(path, node) => {
            tree.insert(path.clone(), *node);
        }
        Change::Remove(path) => tree.retain(|name, _| !is_below(name, path)),
        Change::Move(from, to) => {
            let moved: Vec<(String, Node)> = tree
                .iter()
                .filter(|(name, _)| is_below(name, from))
                .map(|(name, node)| (format!("{to}{}", &name[from.len()..]), *node))
                .collect();
            tree.retain(|name, _| !is_below(name, from) && !is_below(name, to));
            tree.extend(moved);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_directory_takes_its_files_and_not_its_namesakes() {
        let mut names = Names::default();
        names.apply(Change::Put("a".into(), Node::Dir));
        names.apply(Change::Put("a/x".into(), Node::File(1)));
        names.apply(Change::Put("a-b".into(), Node::Dir));
        names.apply(Change::Move("a".into(), "c".into()));
        assert_eq!(names.get("c/x"), Some(Node::File(1)));
        assert_eq!(names.get("a/x"), None);
        assert_eq!(names.get("a-b"), Some(Node::Dir));
        assert_eq!(names.below("c"), ["c/x", "c"]);
        let listed = names.list("c", |_| 5);
        assert_eq!((listed[0].name.as_str(), listed[0].bytes), ("x", 5));
    }

    #[test]
    fn names_survive_in_order() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..100 {
            let mut names = Names::default();
            names.apply(Change::Put("kept".into(), Node::File(1)));
            names.flush();
            names.apply(Change::Put("one".into(), Node::File(2)));
            names.apply(Change::Put("two".into(), Node::File(3)));
            names.power_cut(&mut Rng::new(seed));
            assert!(names.get("kept").is_some());
            seen.insert((names.get("one").is_some(), names.get("two").is_some()));
        }
        let all = [(false, false), (true, false), (true, true)];
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), all);
    }
}
