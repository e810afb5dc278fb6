//! Where a claim was seen before it was reviewed.
//!
//! Knows works of schema.org. Must not know who made the claim.

use super::node::{Node, Thing};
use crate::{
    formats::{identity, import::mutation},
    model::{RecordKind, is_external_id},
    proto::{Citation, Mutation, Source},
};

/// A document that a claim appeared in.
pub(super) struct Appearance {
    /// Shared by all who name its address; else the review's own.
    pub(super) is_shared: bool,
    pub(super) source: Mutation,
    pub(super) citation: Citation,
}

/// The documents that an item which was reviewed appeared in; itself, where it is one and not the claim in it.
pub(super) fn appearances(item: Node<'_>, review: &str) -> Vec<Appearance> {
    let mut works = [item.things("firstAppearance"), item.things("appearance")].concat();
    if !item.is("Claim") && item.address().is_some() {
        works.push(Thing::Node(item));
    }
    let mut appearances: Vec<Appearance> = Vec::new();
    for (number, work) in works.into_iter().enumerate() {
        let appearance = Appearance::of(work, review, number + 1);
        if !appearances.iter().any(|there| there.citation.source == appearance.citation.source) {
            appearances.push(appearance);
        }
    }
    appearances
}

impl Appearance {
    fn of(work: Thing<'_>, review: &str, number: usize) -> Self {
        let (address, title) = match work {
            Thing::Text(text) if text.contains("://") => (Some(text.to_owned()), None),
            Thing::Text(text) => (None, Some(text.to_owned())),
            Thing::Node(node) => (node.address(), node.text(&["headline", "name", "description"])),
        };
        let external_id = match &address {
            Some(address) => {
                let id = format!("url:{}", identity::escaped(address));
                if is_external_id(&id) { id } else { format!("url:sha256-{}", identity::digest(&[address])) }
            }
            None => format!("claimreview.appearance:{review}-{number}"),
        };
        let name = identity::name_of(RecordKind::Source, &external_id);
        let mut source = Source { name: name.clone(), external_ids: vec![external_id], ..Default::default() };
        let is_shared = address.is_some();
        // What a review says of a shared document stays with the review: another may say something else.
        let source = if let Some(uri) = address {
            source.uri = uri;
            mutation::found(source)
        } else {
            source.title = identity::title(title.as_deref().unwrap_or("a work without title or address"));
            mutation::keep(source, &["title"])
        };
        Self { is_shared, source, citation: Citation { source: name, ..Default::default() } }
    }
}
