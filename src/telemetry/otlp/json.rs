//! An ExportTraceServiceRequest as JSON: ids in hex, 64-bit numbers as texts, enums as numbers.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{Attribute, Ids, Part, Span};

/// SPAN_KIND_INTERNAL, SPAN_KIND_SERVER.
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;
/// STATUS_CODE_ERROR.
const ERROR: u8 = 2;

/// The request's body.
pub(super) fn request(spans: &[Span], ids: &Ids) -> Vec<u8> {
    let spans: Vec<Value> = spans.iter().flat_map(|span| of_span(span, ids)).collect();
    let resource = [
        attribute("service.name", &Attribute::Word("highwater")),
        attribute(
            "service.version",
            &Attribute::Word(env!("CARGO_PKG_VERSION")),
        ),
    ];
    let request = json!({"resourceSpans": [{
        "resource": {"attributes": resource},
        "scopeSpans": [{"scope": {"name": "highwater"}, "spans": spans}],
    }]});
    request.to_string().into_bytes()
}

/// A statement, and the parts of its time under it.
fn of_span(span: &Span, ids: &Ids) -> Vec<Value> {
    let own = ids.next();
    let began = span.ended.checked_sub(span.took).unwrap_or(span.ended);
    let attributes = span.attributes.iter();
    let attributes: Vec<_> = attributes
        .map(|(key, value)| attribute(key, value))
        .collect();
    let status = match span.failed {
        true => json!({"code": ERROR}),
        false => json!({}),
    };
    let mut all = vec![json!({
        "traceId": trace_id(span),
        "spanId": span_id(own),
        "parentSpanId": span_id(span.parent),
        "name": span.name,
        "kind": SERVER,
        "startTimeUnixNano": nanos(began),
        "endTimeUnixNano": nanos(span.ended),
        "attributes": attributes,
        "status": status,
    })];
    all.extend(
        span.parts
            .iter()
            .map(|part| of_part(span, part, began, own, ids)),
    );
    all
}

fn of_part(span: &Span, part: &Part, began: SystemTime, own: u64, ids: &Ids) -> Value {
    let from = began + part.after;
    json!({
        "traceId": trace_id(span),
        "spanId": span_id(ids.next()),
        "parentSpanId": span_id(own),
        "name": part.name,
        "kind": INTERNAL,
        "startTimeUnixNano": nanos(from),
        "endTimeUnixNano": nanos((from + part.took).min(span.ended)),
    })
}

fn trace_id(span: &Span) -> String {
    format!("{:032x}", span.trace)
}

fn span_id(id: u64) -> String {
    format!("{id:016x}")
}

fn nanos(time: SystemTime) -> String {
    let since: Duration = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    since.as_nanos().to_string()
}

fn attribute(key: &str, value: &Attribute) -> Value {
    let value = match value {
        Attribute::Text(text) => json!({"stringValue": text}),
        Attribute::Word(word) => json!({"stringValue": word}),
        Attribute::Int(number) => json!({"intValue": number.to_string()}),
        Attribute::Float(number) => json!({"doubleValue": number}),
        Attribute::Bool(yes) => json!({"boolValue": yes}),
    };
    json!({"key": key, "value": value})
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_span_and_its_parts_are_one_tree() {
        let span = Span {
            trace: 0xab,
            parent: 0xcd,
            name: "read",
            ended: SystemTime::UNIX_EPOCH + Duration::from_nanos(5_000),
            took: Duration::from_nanos(4_000),
            failed: true,
            attributes: vec![
                ("a", Attribute::Word("w")),
                ("b", Attribute::Int(7)),
                ("c", Attribute::Bool(true)),
            ],
            parts: vec![Part {
                name: "wait",
                after: Duration::from_nanos(500),
                took: Duration::from_nanos(9_000),
            }],
        };
        let body: Value = serde_json::from_slice(&request(&[span], &Ids::default())).unwrap();
        let spans = &body["resourceSpans"][0]["scopeSpans"][0]["spans"];
        let [own, part] = [&spans[0], &spans[1]];
        assert_eq!(own["traceId"], format!("{:032x}", 0xab));
        assert_eq!(own["parentSpanId"], "00000000000000cd");
        assert_eq!(own["startTimeUnixNano"], "1000");
        assert_eq!(own["endTimeUnixNano"], "5000");
        assert_eq!(own["status"]["code"], 2);
        assert_eq!(own["attributes"][1]["value"]["intValue"], "7");
        assert_eq!(part["traceId"], own["traceId"]);
        assert_eq!(part["parentSpanId"], own["spanId"]);
        assert_ne!(part["spanId"], own["spanId"]);
        assert_eq!(part["startTimeUnixNano"], "1500");
        assert_eq!(
            part["endTimeUnixNano"], "5000",
            "no part outlasts its whole"
        );
    }
}
