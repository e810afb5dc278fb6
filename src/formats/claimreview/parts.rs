//! The parts of a review: the agents that it names, the documents in which a claim appeared, and the rating.
//!
//! Must not know which records a review makes from them.

use super::node::{Node, Thing};
use crate::{
    formats::{import::mutation, values},
    limits,
    model::{RecordKind, is_external_id},
    proto::{Actor, ActorKind, Citation, Mutation, Rating, Source},
};

/// A person, an organisation, or another agent with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Agent {
    name: String,
    address: String,
    kind: ActorKind,
}

/// The agents in a member.
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
        let name = values::title(name.trim());
        (!name.is_empty()).then(|| Self { name, address: address.unwrap_or_default(), kind })
    }

    /// Its external id, made from everything that is said about it, so that the same description is the same record.
    fn external_id(&self) -> String {
        let scheme = match self.kind {
            ActorKind::Person => "claimreview.person",
            ActorKind::Organization => "claimreview.organization",
            _ => "claimreview.agent",
        };
        let words = if self.address.is_empty() { self.name.clone() } else { format!("{}#{}", self.address, self.name) };
        let id = format!("{scheme}:{}", values::escaped(&words));
        if is_external_id(&id) { id } else { format!("{scheme}:sha256-{}", values::digest(&[&words])) }
    }

    /// The name of its record.
    pub(super) fn record_name(&self) -> String {
        values::name_of(RecordKind::Actor, &self.external_id())
    }

    /// The upsert of its record. It does not change an existing record.
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

/// A document in which a claim appeared.
pub(super) struct Appearance {
    /// Whether it has a URL. It is then shared by all reviews that name this URL. Otherwise it belongs to this review alone.
    pub(super) is_shared: bool,
    pub(super) source: Mutation,
    pub(super) citation: Citation,
}

/// The documents in which a reviewed item appeared. If the item is itself a document and not a claim, it is one of them.
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
                let id = format!("url:{}", values::escaped(address));
                if is_external_id(&id) { id } else { format!("url:sha256-{}", values::digest(&[address])) }
            }
            None => format!("claimreview.appearance:{review}-{number}"),
        };
        let name = values::name_of(RecordKind::Source, &external_id);
        let mut source = Source { name: name.clone(), external_ids: vec![external_id], ..Default::default() };
        let is_shared = address.is_some();
        // Only the URL of a shared document is set, because reviews may differ in the rest.
        let source = if let Some(uri) = address {
            source.uri = uri;
            mutation::found(source)
        } else {
            source.title = values::title(title.as_deref().unwrap_or("a work without title or address"));
            mutation::keep(source, &["title"])
        };
        Self { is_shared, source, citation: Citation { source: name, ..Default::default() } }
    }
}

/// The rating of a review: words, and a number on a scale.
#[derive(Clone, Debug, Default)]
pub(super) struct ReviewRating {
    /// The rating in words, such as "Half true".
    words: Option<String>,
    value: Option<f64>,
    worst: Option<f64>,
    best: Option<f64>,
    explanation: Option<String>,
}

impl ReviewRating {
    /// The rating of a review. `None` if it has none.
    pub(super) fn of(review: Node<'_>) -> Option<Self> {
        let given = match review.things("reviewRating").into_iter().next()? {
            Thing::Text(text) => Self { words: Some(text.to_owned()), ..Self::default() },
            Thing::Node(rating) => {
                let value = rating.number("ratingValue");
                // Some reviews have words in place of the number.
                let instead = if value.is_none() { rating.text(&["ratingValue"]) } else { None };
                Self {
                    words: rating.text(&["alternateName", "name"]).or(instead),
                    value,
                    worst: rating.number("worstRating"),
                    best: rating.number("bestRating"),
                    explanation: rating.text(&["ratingExplanation", "description"]),
                }
            }
        };
        (given.words.is_some() || given.value.is_some()).then_some(given)
    }

    /// The rating in words: `rated "False"`, `rated 2 (1 to 5)`.
    pub(super) fn sentence(&self) -> String {
        match (&self.words, self.value, self.scale()) {
            (Some(words), ..) => format!("rated \"{words}\""),
            (None, Some(value), Some((least, most))) => format!("rated {value} ({least} to {most})"),
            (None, Some(value), None) => format!("rated {value}"),
            (None, None, _) => "reviewed".to_owned(),
        }
    }

    /// The ends of the scale in ascending order: on some scales the best is the smaller. `None` if the value is not on the
    /// scale. Some reviews set all three to 0 or -1 to say that there is no number.
    fn scale(&self) -> Option<(f64, f64)> {
        let (worst, best) = (self.worst?, self.best?);
        let (least, most) = (worst.min(best), worst.max(best));
        (least < most && self.value.is_none_or(|value| (least..=most).contains(&value))).then_some((least, most))
    }

    /// Whether the number is used. It is not used if it is outside a given scale.
    fn has_number(&self) -> bool {
        self.scale().is_some() || self.worst.is_none() || self.best.is_none()
    }

    /// The rating as a message of the contract.
    pub(super) fn rating(&self) -> Rating {
        let value = self.value.filter(|_| self.has_number());
        let number = self.value.map(|value| value.to_string());
        let words = self.words.clone().or(number).unwrap_or_default();
        let plain: String = words.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        let code: String = plain.trim().chars().take(limits::CODE_CHARS_MAX).collect();
        let scale = self.scale().filter(|_| value.is_some());
        let cut = (code != words).then_some(words);
        Rating {
            code: format!("claimreview.rating:{}", code.trim_end()),
            value,
            scale_min: scale.map(|(least, _)| least),
            scale_max: scale.map(|(_, most)| most),
            rationale: self.explanation.clone().or(cut).unwrap_or_default(),
            ..Default::default()
        }
    }
}
