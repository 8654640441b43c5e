//! A thread's flows by number. A number that has become free is given again only when the events
//! at hand are done with: one of those may still be of the flow that had it.

/// Which flow: its number, and how often the number had been given before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Id {
    pub(super) number: u32,
    generation: u32,
}

/// Things by number.
pub(super) struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    /// Free when the events at hand are done with.
    resting: Vec<u32>,
}

struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Slots<T> {
    pub(super) fn new() -> Slots<T> {
        Slots {
            slots: Vec::new(),
            free: Vec::new(),
            resting: Vec::new(),
        }
    }

    /// Keeps a thing; gives its number.
    pub(super) fn insert(&mut self, value: T) -> Id {
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                value: None,
            });
            // Each flow has a descriptor, of which there are fewer.
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 flows")
        });
        let slot = &mut self.slots[number as usize];
        slot.value = Some(value);
        Id {
            number,
            generation: slot.generation,
        }
    }

    /// The thing with that number, whenever it was given.
    pub(super) fn at(&mut self, number: u32) -> Option<&mut T> {
        self.slots.get_mut(number as usize)?.value.as_mut()
    }

    /// Who has that number now.
    pub(super) fn id(&self, number: u32) -> Option<Id> {
        let slot = self.slots.get(number as usize)?;
        slot.value.as_ref()?;
        Some(Id {
            number,
            generation: slot.generation,
        })
    }

    /// The very thing that was kept under this.
    pub(super) fn get(&mut self, id: Id) -> Option<&mut T> {
        let slot = self.slots.get_mut(id.number as usize)?;
        (slot.generation == id.generation).then_some(slot.value.as_mut())?
    }

    /// Takes a thing out.
    pub(super) fn remove(&mut self, number: u32) -> Option<T> {
        let slot = self.slots.get_mut(number as usize)?;
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.resting.push(number);
        Some(value)
    }

    /// The events at hand are done with.
    pub(super) fn rest(&mut self) {
        self.free.append(&mut self.resting);
    }

    /// How many numbers there are, free ones included.
    pub(super) fn numbers(&self) -> u32 {
        self.slots.len() as u32
    }

    /// Is nothing kept?
    pub(super) fn is_empty(&self) -> bool {
        self.slots.len() == self.free.len() + self.resting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_given_again_after_a_rest_and_to_another() {
        let mut slots = Slots::new();
        let first = slots.insert('a');
        assert_eq!(slots.remove(first.number), Some('a'));
        assert!(slots.is_empty());
        let second = slots.insert('b');
        assert_ne!(first.number, second.number);
        slots.rest();
        let third = slots.insert('c');
        assert_eq!(first.number, third.number);
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.get(third), Some(&mut 'c'));
        assert_eq!(slots.at(first.number), Some(&mut 'c'));
        assert_eq!(slots.id(first.number), Some(third));
        assert!(!slots.is_empty());
    }
}
