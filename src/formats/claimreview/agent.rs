//! Who is named in a review: reviewers, publishers, those who made a claim.
//!
//! Knows persons and organisations of schema.org. Must not know what they did.

use super::node::{Node, Thing};
use crate::{
    formats::{
        identity,
        import::mutation::{self},
    },
    model::{RecordKind, is_external_id},
    proto::{Actor, ActorKind, Mutation},
};

/// Somebody with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Agent {
    name: String,
    address: String,
    kind: ActorKind,
}

/// Those who are named as a member.
pub(super) fn agents(of: Node<'_>, member: &str) -> Vec<Agent> {
    let mut agents: Vec<Agent> = Vec::new();
    for agent in of.things(member).into_iter().filter_map(Agent::of) {
        if !agents.contains(&agent) {
            agents.push(agent);
        }
    }
    agents
}

impl Agent {
    fn of(thing: Thing<'_>) -> Option<Self> {
        let (name, address, kind) = match thing {
            Thing::Text(text) => (text.to_owned(), None, ActorKind::Unspecified),
            Thing::Node(node) => {
                let kind = if node.is("Person") {
                    ActorKind::Person
                } else if node.types().any(|name| name.ends_with("Organization")) {
                    ActorKind::Organization
                } else {
                    ActorKind::Unspecified
                };
                let address = node.address();
                (
                    node.text(&["name", "alternateName"]).or_else(|| address.clone()).or_else(|| node.text(&["@id"]))?,
                    address,
                    kind,
                )
            }
        };
        let name = identity::title(name.trim());
        (!name.is_empty()).then(|| Self { name, address: address.unwrap_or_default(), kind })
    }

    /// What it is known by: all that is said of it here, so that whoever says the same means the same record.
    fn external_id(&self) -> String {
        let scheme = match self.kind {
            ActorKind::Person => "claimreview.person",
            ActorKind::Organization => "claimreview.organization",
            _ => "claimreview.agent",
        };
        let words = if self.address.is_empty() { self.name.clone() } else { format!("{}#{}", self.address, self.name) };
        let id = format!("{scheme}:{}", identity::escaped(&words));
        if is_external_id(&id) { id } else { format!("{scheme}:sha256-{}", identity::digest(&[&words])) }
    }

    /// The name of its record.
    pub(super) fn record_name(&self) -> String {
        identity::name_of(RecordKind::Actor, &self.external_id())
    }

    /// Its record, which is left as it is where it is there: others may know more of it.
    pub(super) fn mutation(&self) -> Mutation {
        let mut actor = Actor {
            name: self.record_name(),
            external_ids: vec![self.external_id()],
            display_name: self.name.clone(),
            kind: self.kind.into(),
            ..Default::default()
        };
        if !self.address.is_empty() {
            actor.annotations.insert("claimreview.url".into(), self.address.clone());
        }
        mutation::found(actor)
    }
}
