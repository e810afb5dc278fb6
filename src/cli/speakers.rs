//! Who said what: the speakers of claims and estimates, by the display names of their actors.
//!
//! Must not know how a record is shown.

use std::collections::HashMap;

use serde_json::Value;

use super::access;
use crate::{
    client::{Client, ClientError},
    formats::json,
    proto::record::Record,
};

/// The display names of the actors, and the attributions of the claims, to which shown records refer. The default knows none, and
/// then an actor is shown by the name of its record.
#[derive(Debug, Default)]
pub(super) struct Speakers {
    /// The attribution of a claim, by the claim's name.
    claims: HashMap<String, Value>,
    /// The display name of an actor, by the actor's name.
    actors: HashMap<String, String>,
}

impl Speakers {
    /// Reads the claims of the estimates among these records, and then every actor, as of the revision or time of the records.
    /// A record that is missing is left out.
    pub(super) async fn of(
        client: &Client,
        records: &[Value],
        as_of: (i64, Option<prost_types::Timestamp>),
    ) -> Result<Self, ClientError> {
        let mut speakers = Self::default();
        let claims =
            records.iter().filter(|record| own_attribution(record).is_none()).filter_map(|record| str_of(record, "claim"));
        for (name, claim) in access::records_by_name(client, claims.map(str::to_owned), as_of).await? {
            if let Some(attribution) = own_attribution(&json::record_value(&claim)) {
                speakers.claims.insert(name, attribution.clone());
            }
        }
        let actors = records.iter().flat_map(|record| speakers.hops(record)).flat_map(actors);
        for (name, actor) in access::records_by_name(client, actors.map(str::to_owned), as_of).await? {
            if let Record::Actor(actor) = actor {
                speakers.actors.insert(name, actor.display_name);
            }
        }
        Ok(speakers)
    }

    /// Who said it and through whom, in words: `National Intelligence Service, through Lee Seong Kwon and Park Sun Won`. Those of
    /// the claim for an estimate without an attribution of its own.
    pub(super) fn in_words(&self, record: &Value) -> String {
        let hops = self.hops(record).enumerate().map(|(at, hop)| {
            let how = match (str_of(hop, "role").unwrap_or_default().trim_start_matches("ATTRIBUTION_ROLE_"), at) {
                ("PUBLISHER", _) => "published by ",
                ("CODER", _) => "coded by ",
                ("RELAY", _) | (_, 1..) => "through ",
                _ => "",
            };
            // Nobody says that this hop said it. The recorder inferred it.
            let inferred = if hop.get("uncertain") == Some(&Value::Bool(true)) { " (inferred)" } else { "" };
            format!("{how}{}{inferred}", self.speaker(hop))
        });
        hops.collect::<Vec<_>>().join(", ")
    }

    /// The actors of a hop, or its description.
    fn speaker(&self, hop: &Value) -> String {
        let names = actors(hop).map(|name| self.actors.get(name).map_or(name, String::as_str)).collect::<Vec<_>>();
        match names.as_slice() {
            [] => str_of(hop, "description").unwrap_or_default().to_owned(),
            [one] => (*one).to_owned(),
            [most @ .., last] => format!("{} and {last}", most.join(", ")),
        }
    }

    /// The hops of a record, origin first.
    fn hops<'a>(&'a self, record: &'a Value) -> impl Iterator<Item = &'a Value> {
        let of_claim = || self.claims.get(str_of(record, "claim")?);
        own_attribution(record).or_else(of_claim).and_then(Value::as_array).into_iter().flatten()
    }
}

fn own_attribution(record: &Value) -> Option<&Value> {
    record.get("attribution").filter(|hops| hops.as_array().is_some_and(|hops| !hops.is_empty()))
}

fn actors(hop: &Value) -> impl Iterator<Item = &str> {
    hop.get("actors").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn str_of<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_hop_is_said_by_what_it_did_and_by_whom() {
        let names = [("actors/a", "Ministry"), ("actors/b", "Lee"), ("actors/c", "Park")];
        let speakers = Speakers {
            claims: HashMap::from([("claims/c".into(), json!([{"actors": ["actors/a"]}]))]),
            actors: names.map(|(name, shown)| (name.to_owned(), shown.to_owned())).into(),
        };
        let check = |record: Value, expected: &str| assert_eq!(speakers.in_words(&record), expected, "{record}");
        let origin = json!({"actors": ["actors/a"], "description": "He", "role": "ATTRIBUTION_ROLE_ORIGIN"});
        let relay = json!({"actors": ["actors/b", "actors/c"], "role": "ATTRIBUTION_ROLE_RELAY", "uncertain": true});
        let paper = json!({"description": "a newspaper", "role": "ATTRIBUTION_ROLE_PUBLISHER"});
        let coder = json!({"actors": ["actors/unread"], "role": "ATTRIBUTION_ROLE_CODER"});
        check(
            json!({"attribution": [origin, relay, paper, coder]}),
            "Ministry, through Lee and Park (inferred), published by a newspaper, coded by actors/unread",
        );
        check(json!({"attribution": [coder]}), "coded by actors/unread");
        check(json!({"claim": "claims/c"}), "Ministry");
        check(json!({"claim": "claims/c", "attribution": [paper]}), "published by a newspaper");
        check(json!({"claim": "claims/unread"}), "");
    }
}
