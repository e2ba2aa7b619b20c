//! blobmsg, ubus's tables of named and typed values: checked reading over the codec of crate `ubus-zero`.

use core::fmt;

use ::ubus::blobmsg::{BlobBuilder, BlobIter, BlobMsgTable, BlobType, BlobValue, lookup};

/// `UBUS_MAX_MSGLEN` of libubus.
pub const MAX_BYTES: usize = ::ubus::wire::MAX_MSG_LEN;

/// Tables in tables. netifd's dump is six deep; every level costs stack here.
pub const MAX_DEPTH: u32 = 32;

/// Named values. They were checked to the last byte when the table was made: reading it cannot fail half-way, and lose
/// what comes after.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Table {
    bytes: Vec<u8>,
}

impl Table {
    /// `bytes`: a table's content, without a header of its own, as messages carry it.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_BYTES || !sound(bytes, MAX_DEPTH) {
            return Err(Malformed);
        }
        Ok(Table { bytes: bytes.to_vec() })
    }

    /// For tables of our own. The codec takes 16 MiB and then panics; what is above [`MAX_BYTES`] cannot be sent.
    pub fn build(fill: impl FnOnce(&mut BlobBuilder)) -> Self {
        Table { bytes: BlobMsgTable::build(fill).contents().to_vec() }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn fields(&self) -> Fields<'_> {
        Fields(&self.bytes)
    }
}

/// What is not a message or a table, or nested too deep, or too large.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed ubus message")
    }
}

impl core::error::Error for Malformed {}

/// The values of a table, or those of an array, which have no names. What has another type than asked for counts as
/// absent. Of several values of one name the first counts, as in libubox.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub fn text(self, name: &str) -> Option<&'a str> {
        lookup(self.0, name)?.as_str()
    }

    /// blobmsg has no unsigned types: the high half of the numbers of 32 bits arrives as negative ones.
    pub fn number(self, name: &str) -> Option<u32> {
        lookup(self.0, name)?.as_i32().map(|int| int as u32)
    }

    /// Whether there is a value of this name, of any type but null.
    pub fn has(self, name: &str) -> bool {
        lookup(self.0, name).is_some_and(|field| field.ty != BlobType::Unspec)
    }

    pub fn flag(self, name: &str) -> Option<bool> {
        lookup(self.0, name)?.as_bool()
    }

    /// What the array or table of this name holds: nothing, if there is none.
    pub fn nested(self, name: &str) -> Fields<'a> {
        lookup(self.0, name).and_then(|field| field.value().ok()).and_then(Fields::of).unwrap_or_default()
    }

    /// The tables in the array of this name.
    pub fn tables(self, name: &str) -> impl Iterator<Item = Fields<'a>> {
        BlobIter::new(self.nested(name).0).filter_map(|field| Fields::of(field.value().ok()?))
    }

    fn of(value: BlobValue<'a>) -> Option<Self> {
        match value {
            BlobValue::Table(bytes) | BlobValue::Array(bytes) => Some(Fields(bytes)),
            _ => None,
        }
    }
}

/// Whether values fill `bytes` to the end, and so on within tables and arrays. A string that is none, or a number that is
/// cut short, harms only itself.
fn sound(bytes: &[u8], depth: u32) -> bool {
    let mut fields = BlobIter::new(bytes);
    loop {
        match fields.try_next() {
            Ok(None) => return true,
            Ok(Some(field)) => {
                if let Some(Fields(inner)) = field.value().ok().and_then(Fields::of)
                    && (depth == 0 || !sound(inner, depth - 1))
                {
                    return false;
                }
            }
            Err(_) => return false,
        }
    }
}
