// This file is generated.
/// Calls a macro with every type of record: its message, its number in `Record` and `RecordType`, one of it, and its collection.
macro_rules! record_types {
    ($call:ident) => {
        $call! {
            Source = 1, "source", "sources";
            Actor = 2, "actor", "actors";
            Event = 3, "event", "events";
            Claim = 4, "claim", "claims";
            Estimate = 5, "estimate", "estimates";
            Relation = 6, "relation", "relations";
        }
    };
}
