//! State documents: what the daemon tells of itself, before it becomes JSON, a ubus message or a view.

/// The shapes that JSON has, without fractions: amounts are integers whose key names the unit (`rtt_us`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
    List(Vec<Value>),
    /// In the order to be shown.
    Map(Vec<(&'static str, Value)>),
}

/// Readers for the views: what is absent or of another shape reads as nothing, so that a view never fails.
impl Value {
    pub fn get(&self, key: &str) -> &Value {
        static NULL: Value = Value::Null;
        let Value::Map(entries) = self else { return &NULL };
        entries.iter().find(|(name, _)| *name == key).map_or(&NULL, |(_, value)| value)
    }

    pub fn text(&self, key: &str) -> &str {
        match self.get(key) {
            Value::Text(text) => text,
            _ => "",
        }
    }

    pub fn int(&self, key: &str) -> Option<i64> {
        match self.get(key) {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// As [`int`](Value::int), 0 without one.
    pub fn count(&self, key: &str) -> i64 {
        self.int(key).unwrap_or(0)
    }

    pub fn is(&self, key: &str) -> bool {
        *self.get(key) == Value::Bool(true)
    }

    pub fn list(&self, key: &str) -> &[Value] {
        match self.get(key) {
            Value::List(items) => items,
            _ => &[],
        }
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Value::Bool(flag)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Int(number)
    }
}

impl From<u64> for Value {
    #[inline(never)]
    fn from(number: u64) -> Self {
        Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Value::Int(number.into())
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Value::Int(number.into())
    }
}

impl From<u8> for Value {
    fn from(number: u8) -> Self {
        Value::Int(number.into())
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Value::from(number as u64)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Value::List(items)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_take_what_is_there() {
        let value = Value::Map(vec![("a", 7u32.into()), ("b", "x".into()), ("c", true.into()), ("d", vec![].into())]);
        assert_eq!((value.int("a"), value.text("b"), value.is("c"), value.list("d")), (Some(7), "x", true, &[][..]));
        assert_eq!((value.int("b"), value.text("a"), value.is("a"), value.list("a")), (None, "", false, &[][..]));
        assert_eq!((value.count("no"), Value::Null.get("a")), (0, &Value::Null));
    }

    #[test]
    fn large_counts_saturate() {
        assert_eq!(Value::from(u64::MAX), Value::Int(i64::MAX));
        assert_eq!(Value::from(None::<u32>), Value::Null);
    }
}
