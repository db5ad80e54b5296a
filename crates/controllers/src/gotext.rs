//! Objects as Go's `%v` writes them, where upstream's texts contain them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// Writes a selector (upstream: k8s.io/apimachinery, LabelSelector.String).
pub fn selector(selector: Option<&LabelSelector>) -> String {
    let Some(selector) = selector else {
        return "nil".into();
    };
    let labels = selector.match_labels.iter().flatten();
    let labels: String = labels
        .map(|(key, value)| format!("{key}: {value},"))
        .collect();
    let expressions = selector.match_expressions.iter().flatten();
    let expressions: String = expressions
        .map(|one| {
            format!(
                "LabelSelectorRequirement{{Key:{},Operator:{},Values:[{}],}},",
                one.key,
                one.operator,
                one.values.as_deref().unwrap_or_default().join(" ")
            )
        })
        .collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Upstream: k8s.io/apimachinery/pkg/apis/meta/v1/generated.pb.go.
    #[test]
    fn a_selector_is_written_as_go_does() {
        let check = |value: Value, expected: &str| {
            let value: Option<LabelSelector> = serde_json::from_value(value).expect("a selector");
            assert_eq!(selector(value.as_ref()), expected);
        };
        check(Value::Null, "nil");
        check(
            json!({"matchLabels": {"app": "consul"}}),
            "&LabelSelector{MatchLabels:map[string]string{app: consul,},MatchExpressions:[]LabelSelectorRequirement{},}",
        );
        check(
            json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["x", "y"]}]}),
            "&LabelSelector{MatchLabels:map[string]string{},MatchExpressions:[]LabelSelectorRequirement{LabelSelectorRequirement{Key:a,Operator:In,Values:[x y],},},}",
        );
    }
}
