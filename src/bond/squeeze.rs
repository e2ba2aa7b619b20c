//! x
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Name(u16);
impl Name {
    pub fn from_bytes(bytes: [u8; 2]) -> Self {
        Name(u16::from_be_bytes(bytes))
    }
    pub fn to_bytes(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }
}
