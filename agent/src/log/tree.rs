//! Merkle tree hashes and proofs of RFC 6962 section 2.1.

use aws_lc_rs::digest::{Context, SHA256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// RFC 6962 section 2.1: a leaf is hashed with a 0x00 in front.
#[must_use]
pub fn leaf_hash(body: &[u8]) -> Hash {
    hash(&[&[0], body])
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    hash(&[&[1], left, right])
}

fn hash(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut out = Hash::default();
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// The tree hash over all leaves.
#[must_use]
pub fn root_hash(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::default();
    for leaf in leaves {
        frontier.push(*leaf);
    }
    frontier.root()
}

/// The right edge of a tree: enough to append to it and to know its root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    // One complete subtree for each bit of `size` that is set, largest first.
    peaks: Vec<Hash>,
}

impl Frontier {
    /// How many leaves the tree has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                node = node_hash(&left, &node);
            }
        }
        self.peaks.push(node);
        self.size = self.size.saturating_add(1);
    }

    /// The tree hash; of the empty tree, the hash of nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.peaks.iter().rev().copied().reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(|| hash(&[]))
    }
}

/// RFC 6962 section 2.1.1: the audit path of leaf `index`. `None` if there is no such leaf.
#[must_use]
pub fn inclusion_proof(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    if index >= leaves.len() {
        return None;
    }
    if leaves.len() == 1 {
        return Some(Vec::new());
    }
    let (left, right) = leaves.split_at(largest_power_below(leaves.len()));
    let (inner, at, sibling) = match index.checked_sub(left.len()) {
        None => (left, index, right),
        Some(offset) => (right, offset, left),
    };
    let mut path = inclusion_proof(inner, at)?;
    path.push(root_hash(sibling));
    Some(path)
}

/// RFC 6962 section 2.1.2: the proof that the first `size` leaves are a prefix. `None` unless 0 < size <= leaves.
#[must_use]
pub fn consistency_proof(leaves: &[Hash], size: usize) -> Option<Vec<Hash>> {
    if size == 0 || size > leaves.len() {
        return None;
    }
    subproof(leaves, size, Subtree::Known)
}

#[derive(Clone, Copy)]
enum Subtree {
    /// The verifier knows this subtree's hash already.
    Known,
    Unknown,
}

fn subproof(leaves: &[Hash], size: usize, subtree: Subtree) -> Option<Vec<Hash>> {
    if size == leaves.len() {
        return Some(match subtree {
            Subtree::Known => Vec::new(),
            Subtree::Unknown => vec![root_hash(leaves)],
        });
    }
    let (left, right) = leaves.split_at(largest_power_below(leaves.len()));
    let (mut path, sibling) = match size.checked_sub(left.len()) {
        None | Some(0) => (subproof(left, size, subtree)?, right),
        Some(rest) => (subproof(right, rest, Subtree::Unknown)?, left),
    };
    path.push(root_hash(sibling));
    Some(path)
}

/// The largest power of two below `n`, for n >= 2.
fn largest_power_below(n: usize) -> usize {
    n.div_ceil(2).checked_next_power_of_two().unwrap_or(1)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::manual_is_multiple_of, reason = "written as the RFCs write it")]
mod tests {
    use super::*;

    fn leaves(n: u8) -> Vec<Hash> {
        (0..n).map(|i| leaf_hash(&[i])).collect()
    }

    /// RFC 6962 section 2.1, written as it stands there.
    fn by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => hash(&[]),
            [leaf] => *leaf,
            _ => {
                let mut k = 1;
                while k * 2 < leaves.len() {
                    k *= 2;
                }
                node_hash(&by_definition(&leaves[..k]), &by_definition(&leaves[k..]))
            }
        }
    }

    #[test]
    fn the_empty_tree_hashes_nothing() {
        assert_eq!(
            hex::encode(Frontier::default().root()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn a_leaf_is_hashed_with_its_prefix() {
        // Certificate Transparency's published test vector for the empty leaf.
        assert_eq!(hex::encode(leaf_hash(b"")), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    }

    #[test]
    fn appending_gives_the_tree_of_the_definition() {
        for n in 0..70 {
            assert_eq!(root_hash(&leaves(n)), by_definition(&leaves(n)), "{n} leaves");
        }
    }

    fn climb(leaf: Hash, mut index: usize, size: usize, path: &[Hash]) -> Hash {
        // RFC 9162 section 2.1.3.2
        let (mut node, mut last) = (leaf, size - 1);
        for sibling in path {
            if index % 2 == 1 || index == last {
                node = node_hash(sibling, &node);
                while index % 2 == 0 && index != 0 {
                    index /= 2;
                    last /= 2;
                }
            } else {
                node = node_hash(&node, sibling);
            }
            index /= 2;
            last /= 2;
        }
        node
    }

    #[test]
    fn an_inclusion_proof_leads_to_the_root() {
        for n in 1..40 {
            let all = leaves(n);
            for (index, leaf) in all.iter().enumerate() {
                let path = inclusion_proof(&all, index).expect("there is such a leaf");
                assert_eq!(climb(*leaf, index, all.len(), &path), root_hash(&all), "{index} of {n}");
            }
        }
        assert_eq!(inclusion_proof(&leaves(3), 3), None);
    }

    /// RFC 9162 section 2.1.4.2: both roots from one path.
    fn both_roots(first: usize, second: usize, first_root: Hash, path: &[Hash]) -> (Hash, Hash) {
        let mut path = path.to_vec();
        if first.is_power_of_two() {
            path.insert(0, first_root);
        }
        let (mut fnode, mut snode) = (first - 1, second - 1);
        while fnode % 2 == 1 {
            fnode /= 2;
            snode /= 2;
        }
        let (mut old, mut new) = (path[0], path[0]);
        for sibling in &path[1..] {
            if fnode % 2 == 1 || fnode == snode {
                old = node_hash(sibling, &old);
                new = node_hash(sibling, &new);
                while fnode % 2 == 0 && fnode != 0 {
                    fnode /= 2;
                    snode /= 2;
                }
            } else {
                new = node_hash(&new, sibling);
            }
            fnode /= 2;
            snode /= 2;
        }
        (old, new)
    }

    #[test]
    fn a_consistency_proof_joins_both_roots() {
        for n in 2..40usize {
            let all = leaves(u8::try_from(n).expect("small"));
            for m in 1..n {
                let path = consistency_proof(&all, m).expect("a prefix");
                let roots = (root_hash(&all[..m]), root_hash(&all));
                assert_eq!(both_roots(m, n, roots.0, &path), roots, "{m} in {n}");
            }
        }
        assert_eq!(consistency_proof(&leaves(3), 0), None);
        assert_eq!(consistency_proof(&leaves(3), 4), None);
        assert_eq!(consistency_proof(&leaves(3), 3), Some(vec![]));
    }
}
