//! What stands below an accelerator, found to be changed; missing, it is the service's error.

use crate::error::AcceleratorError;
use crate::model::{Accelerator, EndpointGroup, EndpointGroupId, Listener, ListenerId};

impl Accelerator {
    /// The listener of that id.
    pub(crate) fn find_listener(
        &mut self,
        id: &ListenerId,
    ) -> Result<&mut Listener, AcceleratorError> {
        let mut listeners = self.listeners.iter_mut();
        let found = listeners.find(|listener| listener.id == *id);
        found.ok_or(AcceleratorError::NoListener)
    }

    /// The endpoint group of those ids.
    pub(crate) fn find_group(
        &mut self,
        listener: &ListenerId,
        id: &EndpointGroupId,
    ) -> Result<&mut EndpointGroup, AcceleratorError> {
        let missing = |_| AcceleratorError::NoGroup;
        let listener = self.find_listener(listener).map_err(missing)?;
        let mut groups = listener.groups.iter_mut();
        let found = groups.find(|group| group.id == *id);
        found.ok_or(AcceleratorError::NoGroup)
    }

    /// Every endpoint group, of whichever listener.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &EndpointGroup> {
        let listeners = self.listeners.iter();
        listeners.flat_map(|listener| &listener.groups)
    }
}
