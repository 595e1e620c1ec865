// SPDX-License-Identifier: GPL-2.0

//! The end of a device's mappings with its binding.
//!
//! A driver drops its registration before its device is unbound, and that unmaps everything. A
//! driver that leaks it, or that fails in its probe while it has buffers, cannot prevent it either:
//! the device's own list of resources (devres) closes the [`DmaDevice`], in the thread that
//! unbinds.

use kernel::{
    device::{Bound, Device},
    devres::Devres,
    dma::DataDirection,
    prelude::*,
    sync::Arc,
};

use super::DmaDevice;

/// A device for which a stream's buffers are mapped, with its binding.
pub(crate) struct DmaBinding {
    device: Arc<DmaDevice>,
    /// Dropped with the last stream that names the device, so that nothing is left to close.
    _end: Devres<End>,
}

impl DmaBinding {
    /// Prepares for mapping buffers for `device`, for as long as it is bound.
    ///
    /// # Errors
    ///
    /// `EIO`: the device cannot address all memory; `ENOMEM`.
    pub(crate) fn new(device: &Device<Bound>, direction: DataDirection) -> Result<Arc<Self>> {
        let dma = DmaDevice::new(device, direction)?;
        let end = Devres::new(device, End(dma.clone()))?;
        Ok(Arc::new(
            Self {
                device: dma,
                _end: end,
            },
            GFP_KERNEL,
        )?)
    }

    /// The device.
    pub(crate) fn device(&self) -> &Arc<DmaDevice> {
        &self.device
    }
}

/// Ends what uses the device. Its drop is called when the device is unbound.
struct End(Arc<DmaDevice>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.unbound();
    }
}
