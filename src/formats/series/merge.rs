//! Putting together what several rows say of one record.
//!
//! Knows JSON. Must not know what a field means.

use serde_json::Value;

/// Adds what another row says: fields that are not there yet, elements that a list does not have yet. A value that is there and another is
/// an error, which says so, and then nothing can be said of what was added.
pub(super) fn merge(into: &mut Value, other: Value) -> Result<(), String> {
    add(into, other, &mut Vec::new())
}

fn add(into: &mut Value, other: Value, path: &mut Vec<String>) -> Result<(), String> {
    match (into, other) {
        (into @ Value::Null, other) => *into = other,
        (_, Value::Null) => {}
        (Value::Object(into), Value::Object(other)) => {
            for (name, value) in other {
                match into.get_mut(&name) {
                    Some(there) => {
                        path.push(name);
                        add(there, value, path)?;
                        path.pop();
                    }
                    None => drop(into.insert(name, value)),
                }
            }
        }
        (Value::Array(into), Value::Array(other)) => {
            for element in other {
                if !into.contains(&element) {
                    into.push(element);
                }
            }
        }
        (into, other) if *into == other => {}
        (into, other) => return Err(format!("{} is {other} here, and was {into} before", path.join("."))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(mut into: Value, other: Value, expect: Result<Value, &str>) {
        match (merge(&mut into, other), expect) {
            (Ok(()), Ok(expect)) => assert_eq!(into, expect),
            (Err(conflict), Err(expect)) => assert_eq!(conflict, expect),
            (outcome, _) => panic!("{outcome:?}: {into}"),
        }
    }

    #[test]
    fn fields_and_elements_are_added_and_nothing_is_replaced() {
        check(json!({"a": {"b": 1}}), json!({"a": {"c": 2}, "d": 3}), Ok(json!({"a": {"b": 1, "c": 2}, "d": 3})));
        check(json!({"a": [1, 2]}), json!({"a": [2, 3]}), Ok(json!({"a": [1, 2, 3]})));
        check(json!({"a": {"b": 1}}), json!({"a": {"b": 1}}), Ok(json!({"a": {"b": 1}})));
        check(json!({"a": {"b": 1}}), json!({"a": {"b": 2}}), Err("a.b is 2 here, and was 1 before"));
        check(json!({"a": [1]}), json!({"a": 1}), Err("a is 1 here, and was [1] before"));
        check(Value::Null, json!({"a": 1}), Ok(json!({"a": 1})));
    }
}
