//! Messages between a client and ubusd (`ubusmsg.h`): eight bytes of header, then one blob that holds the attributes.
//!
//! A client sends LOOKUP, INVOKE, ADD_OBJECT and SUBSCRIBE; ubusd sends HELLO first of all, and answers with DATA, which
//! may be absent, and STATUS. What an object notifies of (NOTIFY) comes to its subscribers as INVOKE, and UNSUBSCRIBE when
//! the object is gone.

use ::ubus::MsgType;
use ::ubus::envelope::{EnvAttr, EnvBuilder, UbusAttr, find};
use ::ubus::wire::{Codec, Header};

use super::blob::{MAX_BYTES, Malformed, Table};

/// The header, and the first word of the blob, which has the length.
const HEAD: usize = 12;

/// A message that arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    pub kind: MsgType,
    /// An answer has that of its request.
    pub sequence: u16,
    /// Of requests: the object called, or 0 for ubusd itself; answers have the same. To an object: the caller.
    pub peer: u32,
    attributes: Vec<u8>,
}

impl Message {
    /// The first message in a stream, and its length; `None` if more bytes have to arrive.
    pub fn split(bytes: &[u8]) -> Result<Option<(Self, usize)>, Malformed> {
        // ubus-zero takes a lone header for a whole message, and a read may well end behind one.
        if bytes.len() < HEAD {
            return Ok(None);
        }
        match Codec::read_frame_borrowed(bytes) {
            Ok((frame, length)) => {
                let Header { ty: kind, seq: sequence, peer, .. } = frame.hdr;
                Ok(Some((Message { kind, sequence, peer, attributes: frame.payload.to_vec() }, length)))
            }
            Err(::ubus::UbusError::Short { .. }) => Ok(None),
            Err(_) => Err(Malformed),
        }
    }

    pub fn number(&self, key: UbusAttr) -> Option<u32> {
        self.get(key)?.as_u32()
    }

    pub fn text(&self, key: UbusAttr) -> Option<&str> {
        self.get(key)?.as_str()
    }

    pub fn flag(&self, key: UbusAttr) -> bool {
        self.get(key).is_some_and(|attribute| attribute.as_bool_int8())
    }

    /// Empty if there is none.
    pub fn table(&self, key: UbusAttr) -> Result<Table, Malformed> {
        Table::parse(self.get(key).map(|attribute| attribute.payload).unwrap_or_default())
    }

    fn get(&self, key: UbusAttr) -> Option<EnvAttr<'_>> {
        find(&self.attributes, key)
    }
}

/// A message to be sent; `peer` as in [`Message::peer`]. Fails if it is longer than ubusd takes.
pub fn compose(kind: MsgType, sequence: u16, peer: u32, attributes: EnvBuilder) -> Result<Vec<u8>, Malformed> {
    let attributes = attributes.finish();
    if attributes.len() > MAX_BYTES {
        return Err(Malformed);
    }
    let mut bytes = Header { version: 0, ty: kind, seq: sequence, peer }.encode().to_vec();
    bytes.extend(attributes);
    Ok(bytes)
}
