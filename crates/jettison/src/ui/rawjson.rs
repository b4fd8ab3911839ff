//! `--progress=rawjson`: what happens, as the objects that buildx writes, one a line (BuildKit, `client.SolveStatus`).

use std::collections::BTreeMap;
use std::sync::Mutex;

use jettison_engine::events::Event;
use jettison_engine::graph::StepId;
use jettison_tree::Digest;
use serde_json::{Value, json};

use crate::environment::timestamp;

/// Turns events into lines.
#[derive(Default)]
pub struct RawJson {
    /// Name and start of what runs.
    running: Mutex<BTreeMap<StepId, (String, String)>>,
}

impl RawJson {
    /// The line for an event; `None` where buildx has nothing like it.
    pub fn line(&self, event: Event) -> Option<String> {
        let now = timestamp();
        let mut running = self.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let known = |id: &StepId| running.get(id).cloned().unwrap_or_default();
        let object = match event {
            Event::StepStarted { id, name } => {
                running.insert(id, (name.to_string(), now.clone()));
                json!({ "vertexes": [{ "digest": vertex(id, &name), "name": &*name, "started": now }] })
            }
            Event::StepCached { id, name } => json!({
                "vertexes": [{ "digest": vertex(id, &name), "name": &*name, "started": now, "completed": now, "cached": true }]
            }),
            Event::StepDone { id } => {
                let (name, started) = running.remove(&id)?;
                json!({ "vertexes": [{ "digest": vertex(id, &name), "name": name, "started": started, "completed": now }] })
            }
            Event::StepFailed { id, message } => {
                let (name, started) = running.remove(&id)?;
                let digest = vertex(id, &name);
                json!({ "vertexes": [{ "digest": digest, "name": name, "started": started, "completed": now, "error": message }] })
            }
            Event::StepProgress { id, done, total, .. } => {
                let (name, started) = known(&id);
                let mut status = json!({
                    "id": name, "vertex": vertex(id, &name), "current": done, "timestamp": now, "started": started
                });
                status["total"] = total.map_or(json!(0), Value::from);
                json!({ "statuses": [status] })
            }
            Event::Log { id, line } => {
                let digest = vertex(id, &known(&id).0);
                json!({ "logs": [{ "vertex": digest, "stream": 1, "data": base64(format!("{line}\n").as_bytes()), "timestamp": now }] })
            }
            Event::Warning { message, hint } => {
                let detail: Vec<String> = hint.iter().map(|hint| base64(hint.as_bytes())).collect();
                json!({ "warnings": [{ "level": 1, "short": base64(message.as_bytes()), "detail": detail }] })
            }
            _ => return None,
        };
        Some(object.to_string())
    }
}

/// What a step is called in all lines about it.
fn vertex(id: StepId, name: &str) -> String {
    Digest::of(format!("{} {name}", id.index()).as_bytes()).to_string()
}

/// Bytes as Go's JSON has them: base64 with padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = ALPHABET[(word >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_base64() {
        // The vectors of RFC 4648, section 10.
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy"), ("\u{ff}?", "w78/")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn a_step_is_one_vertex_from_start_to_end() {
        let raw = RawJson::default();
        let id = StepId::outside(1);
        let line = |event| -> Value { serde_json::from_str(&raw.line(event).unwrap()).unwrap() };
        let started = line(Event::StepStarted { id, name: "RUN x".into() });
        let log = line(Event::Log { id, line: "out".into() });
        let done = line(Event::StepDone { id });
        let vertex = &started["vertexes"][0]["digest"];
        assert!(vertex.as_str().unwrap().starts_with("sha256:"));
        assert_eq!((&log["logs"][0]["vertex"], &done["vertexes"][0]["digest"]), (vertex, vertex));
        assert_eq!(log["logs"][0]["data"], base64(b"out\n"));
        assert_eq!(done["vertexes"][0]["started"], started["vertexes"][0]["started"]);
        assert!(done["vertexes"][0]["completed"].is_string());
    }
}
