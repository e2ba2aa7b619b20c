//! Items that left, or wait to: each is kept until the other end has it, so that it can be sent again.

use crate::time::Time;

/// An item's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot(u16);

/// The most items: 6 MB of full packets, half a second at 100 Mbit/s, 20 ms at 2 Gbit/s. Full, the device is not read.
pub const MOST: usize = 4096;
/// Places whose memory is kept while nothing is to be done: a burst begins without asking for any.
const KEPT: usize = 64;

#[derive(Debug, Default)]
struct Place {
    item: Vec<u8>,
    /// When it came from the device.
    born: Time,
    /// By how many paths it is on its way.
    copies: u8,
    urgent: bool,
    used: bool,
    /// By one of those paths it did.
    arrived: bool,
}

/// The items. See the module.
#[derive(Debug, Default)]
pub struct Store {
    places: Vec<Place>,
    free: Vec<u16>,
    /// What the items' memory takes.
    bytes: usize,
}

impl Store {
    /// Whether another item finds room.
    pub fn has_room(&self) -> bool {
        self.used() < MOST
    }

    pub fn used(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Bytes of memory.
    pub fn held(&self) -> usize {
        self.bytes + self.places.capacity() * size_of::<Place>() + self.free.capacity() * size_of::<u16>()
    }

    /// Takes an item, which `write` writes. `None`: there is no room.
    pub fn add(&mut self, urgent: bool, now: Time, write: impl FnOnce(&mut Vec<u8>)) -> Option<Slot> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.places.len() < MOST => {
                self.places.push(Place::default());
                self.places.len() as u16 - 1
            }
            None => return None,
        };
        let place = &mut self.places[slot as usize];
        let before = place.item.capacity();
        place.item.clear();
        write(&mut place.item);
        self.bytes = self.bytes + place.item.capacity() - before;
        (place.born, place.copies, place.urgent, place.used, place.arrived) = (now, 0, urgent, true, false);
        Some(Slot(slot))
    }

    /// Another item takes the place of one of which no copy is on its way.
    pub fn replace(&mut self, slot: Slot, item: &[u8]) {
        let Some(place) = self.places.get_mut(slot.0 as usize).filter(|place| place.used) else { return };
        let before = place.item.capacity();
        place.item.clear();
        place.item.extend_from_slice(item);
        self.bytes = self.bytes + place.item.capacity() - before;
    }

    pub fn item(&self, slot: Slot) -> &[u8] {
        self.place(slot).map_or(&[], |place| &place.item)
    }

    /// Of an item of which no copy is on its way.
    pub fn item_mut(&mut self, slot: Slot) -> &mut [u8] {
        let place = self.places.get_mut(slot.0 as usize).filter(|place| place.used);
        place.map_or(&mut [], |place| &mut place.item)
    }

    pub fn born(&self, slot: Slot) -> Time {
        self.place(slot).map_or(Time(0), |place| place.born)
    }

    pub fn is_urgent(&self, slot: Slot) -> bool {
        self.place(slot).is_some_and(|place| place.urgent)
    }

    /// A copy left.
    pub fn left(&mut self, slot: Slot) {
        if let Some(place) = self.places.get_mut(slot.0 as usize) {
            place.copies = place.copies.saturating_add(1);
        }
    }

    /// A copy is settled. Whether the item must be sent again: this one did not arrive, none did, and no other is on its way.
    /// If not, and this was the last copy, its place is free.
    pub fn settled(&mut self, slot: Slot, arrived: bool) -> bool {
        let Some(place) = self.places.get_mut(slot.0 as usize).filter(|place| place.used) else { return false };
        place.copies = place.copies.saturating_sub(1);
        place.arrived |= arrived;
        if place.copies > 0 {
            return false;
        }
        if !place.arrived {
            return true;
        }
        self.drop(slot);
        false
    }

    /// Whether a copy of it is known to have arrived.
    pub fn has_arrived(&self, slot: Slot) -> bool {
        self.place(slot).is_none_or(|place| place.arrived)
    }

    /// Whether copies of it are on their way.
    pub fn is_flying(&self, slot: Slot) -> bool {
        self.place(slot).is_some_and(|place| place.copies > 0)
    }

    /// Gives the place back. Only for items of which no copy is on its way.
    pub fn drop(&mut self, slot: Slot) {
        let Some(place) = self.places.get_mut(slot.0 as usize).filter(|place| place.used) else { return };
        place.used = false;
        if self.free.len() >= KEPT {
            self.bytes -= std::mem::take(&mut place.item).capacity();
        }
        self.free.push(slot.0);
        // At rest, a burst's memory goes back.
        if self.free.len() == self.places.len() && self.places.len() > KEPT * 4 {
            *self = Store::default();
        }
    }

    fn place(&self, slot: Slot) -> Option<&Place> {
        self.places.get(slot.0 as usize).filter(|place| place.used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(store: &mut Store, byte: u8) -> Option<Slot> {
        store.add(false, Time(1), |item| item.push(byte))
    }

    #[test]
    fn an_item_stays_until_one_copy_has_arrived_and_none_flies() {
        let mut store = Store::default();
        let slot = add(&mut store, 7).unwrap();
        store.left(slot);
        store.left(slot);
        assert!(!store.settled(slot, false), "another flies");
        assert!(store.settled(slot, false), "all are lost");
        assert_eq!(store.item(slot), [7]);
        store.left(slot);
        assert!(!store.settled(slot, true));
        assert_eq!(store.used(), 0);
        assert!(store.item(slot).is_empty());
    }

    #[test]
    fn a_full_store_takes_no_more() {
        let mut store = Store::default();
        let slots: Vec<Slot> = (0..MOST).filter_map(|_| add(&mut store, 0)).collect();
        assert_eq!(slots.len(), MOST);
        assert!(!store.has_room());
        assert_eq!(add(&mut store, 0), None);
        slots.iter().for_each(|slot| store.drop(*slot));
        assert_eq!(store.places.len(), 0, "its memory is given back");
    }
}
