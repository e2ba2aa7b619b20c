//! rpcd's `uci` for one configuration: changes are staged, and put in force by `apply`.

use std::fs;
use std::path::PathBuf;

use cheaproute::config::uci::{parse, quote};
use serde_json::{Map, Value, json};

/// `UBUS_STATUS_NOT_FOUND` and `UBUS_STATUS_INVALID_ARGUMENT`.
const NOT_FOUND: u32 = 4;
const INVALID: u32 = 2;

struct Section {
    kind: String,
    name: String,
    anonymous: bool,
    options: Map<String, Value>,
}

pub struct Stage {
    file: PathBuf,
    sections: Vec<Section>,
    changed: bool,
    /// What procd does for a service that asked to hear of its configuration.
    reload: Box<dyn Fn() + Send>,
    added: usize,
}

impl Stage {
    pub fn new(file: PathBuf, reload: impl Fn() + Send + 'static) -> Self {
        let (parsed, errors) = parse(&fs::read_to_string(&file).unwrap());
        assert!(errors.is_empty(), "{errors:?}");
        let sections = parsed.into_iter().enumerate().map(|(index, section)| {
            let options = section.entries.into_iter().map(|entry| {
                let values: Vec<Value> = entry.values.into_iter().map(|word| word.text.into()).collect();
                (entry.name, if entry.list { values.into() } else { values.into_iter().next().unwrap() })
            });
            Section {
                kind: section.kind,
                anonymous: section.name.is_none(),
                name: section.name.unwrap_or_else(|| format!("cfg{index:06x}")),
                options: options.collect(),
            }
        });
        Stage { file, sections: sections.collect(), changed: false, reload: Box::new(reload), added: 0 }
    }

    pub fn call(&mut self, method: &str, arguments: &Value) -> Value {
        let text = |name: &str| arguments[name].as_str().unwrap_or_default().to_owned();
        let wanted = text("section");
        let at = self.sections.iter().position(|section| section.name == wanted);
        match (method, at) {
            ("get", _) => return json!([0, { "values": self.values() }]),
            ("changes", _) => return json!([0, { "changes": {} }]),
            ("apply", _) => self.apply(),
            ("confirm", _) => {}
            ("add", _) => {
                self.added += 1;
                let anonymous = arguments["name"].is_null();
                let name = if anonymous { format!("cfg{:06x}", 0x100 + self.added) } else { text("name") };
                let options = arguments["values"].as_object().cloned().unwrap_or_default();
                self.sections.push(Section { kind: text("type"), name: name.clone(), anonymous, options });
                self.changed = true;
                return json!([0, { "section": name }]);
            }
            ("set", Some(at)) => {
                let values = arguments["values"].as_object().cloned().unwrap_or_default();
                self.sections[at].options.extend(values);
                self.changed = true;
            }
            ("delete", Some(at)) => {
                match (arguments["option"].as_str(), arguments["options"].as_array()) {
                    (None, None) => drop(self.sections.remove(at)),
                    (Some(name), _) => drop(self.sections[at].options.remove(name)),
                    (None, Some(names)) => {
                        self.sections[at].options.retain(|name, _| !names.iter().any(|gone| gone == name));
                    }
                }
                self.changed = true;
            }
            ("order", _) => {
                let order: Vec<&str> =
                    arguments["sections"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                self.sections.sort_by_key(|section| order.iter().position(|name| *name == section.name));
                self.changed = true;
            }
            ("set" | "delete", None) => return json!([NOT_FOUND]),
            _ => return json!([INVALID]),
        }
        json!([0])
    }

    fn values(&self) -> Value {
        let section = |(index, section): (usize, &Section)| {
            let mut fields = section.options.clone();
            fields.insert(".name".into(), section.name.clone().into());
            fields.insert(".type".into(), section.kind.clone().into());
            fields.insert(".anonymous".into(), section.anonymous.into());
            fields.insert(".index".into(), index.into());
            (section.name.clone(), Value::Object(fields))
        };
        Value::Object(self.sections.iter().enumerate().map(section).collect())
    }

    pub fn apply(&mut self) {
        if !core::mem::take(&mut self.changed) {
            return;
        }
        let mut text = String::new();
        for section in &self.sections {
            let name = if section.anonymous { String::new() } else { quote(&section.name) };
            text += &format!("\nconfig {} {name}\n", section.kind);
            for (option, value) in &section.options {
                let word = |value: &Value| quote(value.as_str().expect("UCI knows text alone"));
                match value {
                    Value::Array(items) => {
                        items.iter().for_each(|item| text += &format!("\tlist {option} {}\n", word(item)))
                    }
                    value => text += &format!("\toption {option} {}\n", word(value)),
                }
            }
        }
        fs::write(&self.file, text).unwrap();
        (self.reload)();
    }
}
