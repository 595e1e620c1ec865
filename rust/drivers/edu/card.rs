// SPDX-License-Identifier: GPL-2.0

//! The card: its registers, and one transfer of its DMA engine. QEMU's `docs/specs/edu` describes
//! them.

use kernel::{
    device::{Bound, Device},
    dma::{Coherent, DmaAddress, DmaMask},
    io::{io_read, io_write, Io},
    pci,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{Atomic, Full, Relaxed},
    },
    time::{delay::fsleep, Delta, Instant, Monotonic},
};

/// The size of the card's memory, and the most that one transfer moves.
pub(crate) const CARD_BYTES: usize = 4096;
/// The address of the card's memory in its DMA engine.
const CARD_MEMORY: u64 = 0x40000;

/// Bytes of registers that the driver uses.
pub(crate) const BAR_BYTES: usize = 0xa0;

/// Identification and revision of the card.
const ID: usize = 0x00;
/// Reads as the complement of what was written.
const LIVENESS: usize = 0x04;
const IRQ_STATUS: usize = 0x24;
const IRQ_ACKNOWLEDGE: usize = 0x64;
const DMA_SOURCE: usize = 0x80;
const DMA_DESTINATION: usize = 0x88;
const DMA_COUNT: usize = 0x90;
const DMA_COMMAND: usize = 0x98;

/// The low half of `ID`; the high half is the revision.
const ID_EDU: u32 = 0x00ed;
/// Bits of `DMA_COMMAND`. The engine clears the first when it is done.
const RUN: u64 = 1 << 0;
const FROM_CARD: u64 = 1 << 1;
const INTERRUPT: u64 = 1 << 2;

/// The addresses that every card's engine reaches.
const NARROW: DmaMask = DmaMask::new::<28>();
/// The addresses that the engine reaches if QEMU was told so, as far as the driver can find out.
const WIDE: DmaMask = DmaMask::new::<40>();
/// The highest bit of `WIDE`.
const WIDE_BIT: u64 = 1 << 39;

/// The direction of a transfer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    ToCard,
    FromCard,
}

/// One transfer between memory and the start of the card's memory.
#[derive(Clone, Copy)]
pub(crate) struct Transfer {
    pub(crate) way: Way,
    /// The address in memory, as the card sees it.
    pub(crate) address: DmaAddress,
    /// At most `CARD_BYTES`.
    pub(crate) len: usize,
}

/// The longest time that a transfer takes: many times as long as QEMU's card needs. After that the
/// engine counts as wedged.
pub(crate) const PATIENCE: Delta = Delta::from_secs(5);

/// The card. Its registers cannot be accessed once the device is unbound.
pub(crate) struct Card {
    bar: pci::DevresBar<BAR_BYTES>,
    device: ARef<pci::Device>,
    /// Set once a transfer did not end.
    wedged: Atomic<u32>,
}

impl Card {
    /// The card of `device`, behind `bar`.
    ///
    /// # Errors
    ///
    /// `ENODEV`: it is not an edu card, or does not answer.
    pub(crate) fn new(device: ARef<pci::Device>, bar: pci::Bar<'_, BAR_BYTES>) -> Result<Self> {
        const WORD: u32 = 0x1057_2ea3;
        bar.write32(WORD, LIVENESS);
        let answers = bar.read32(LIVENESS) == !WORD;
        let card = Self {
            bar: bar.into_devres()?,
            device,
            wedged: Atomic::new(0),
        };
        if answers && card.is_present() {
            Ok(card)
        } else {
            Err(ENODEV)
        }
    }

    /// Starts a transfer, which ends with an interrupt. The engine must not be busy.
    pub(crate) fn start(&self, transfer: Transfer) {
        self.command(transfer, INTERRUPT);
    }

    fn command(&self, transfer: Transfer, flags: u64) {
        let (source, destination, way) = match transfer.way {
            Way::ToCard => (transfer.address, CARD_MEMORY, 0),
            Way::FromCard => (CARD_MEMORY, transfer.address, FROM_CARD),
        };
        // Checked at run time, because the type of a BAR ensures an alignment of 4 bytes only.
        let _ = self.bar.try_access_with(|bar| {
            bar.try_write64(source, DMA_SOURCE)?;
            bar.try_write64(destination, DMA_DESTINATION)?;
            bar.try_write64(transfer.len as u64, DMA_COUNT)?;
            bar.try_write64(RUN | way | flags, DMA_COMMAND)
        });
    }

    /// Whether the engine is busy. A card that was removed is not.
    pub(crate) fn is_busy(&self) -> bool {
        // A test makes the engine seem wedged.
        #[cfg(iostream_races)]
        if iostream::race::is_set("edu-wedged") {
            return true;
        }
        let command = self.bar.try_access_with(|bar| bar.try_read64(DMA_COMMAND));
        matches!(command, Some(Ok(command)) if command & RUN != 0) && self.is_present()
    }

    /// Whether the card answers.
    pub(crate) fn is_present(&self) -> bool {
        let id = self.bar.try_access_with(|bar| bar.read32(ID));
        id.is_some_and(|id| id & 0xffff == ID_EDU)
    }

    /// Acknowledges the card's interrupt. Returns whether there was one.
    pub(crate) fn acknowledge(&self) -> bool {
        let acknowledged = self.bar.try_access_with(|bar| {
            let status = bar.read32(IRQ_STATUS);
            bar.write32(status, IRQ_ACKNOWLEDGE);
            status != 0
        });
        acknowledged.unwrap_or(false)
    }

    /// Whether a transfer did not end. The card is of no use then.
    pub(crate) fn is_wedged(&self) -> bool {
        self.wedged.load(Relaxed) != 0
    }

    /// Waits until the engine is idle. It cannot be stopped, but is soon done. If it is not done in
    /// time, it is cut off from memory, so that the caller can rely on it in any case. Sleeps.
    pub(crate) fn wait_idle(&self) {
        let start = Instant::<Monotonic>::now();
        while !self.is_wedged() && self.is_busy() {
            if start.elapsed() > PATIENCE {
                self.cut_off();
            }
            fsleep(Delta::from_millis(1));
        }
    }

    /// Takes the card's access to memory away, because a transfer did not end.
    pub(crate) fn cut_off(&self) {
        if self.wedged.xchg(1, Full) != 0 {
            return;
        }
        dev_err!(
            &*self.device,
            "a transfer does not end: the card may not use memory any more\n"
        );
        // SAFETY: The device is valid: `device` is a reference to it. `pci::Device` is a
        // transparent wrapper of `pci_dev`.
        unsafe {
            let device = core::ptr::from_ref::<pci::Device>(&self.device).cast_mut();
            kernel::bindings::pci_clear_master(device.cast());
        }
    }

    /// Finds out how far the engine reaches. The device's mask must be [`narrow`](Self::narrow).
    ///
    /// The card ignores address bits that it does not have. If it finds a page also 512 GiB beyond
    /// its address, it has only the bits of QEMU's default. Only the page is written; behind an
    /// IOMMU nothing else can be read either.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn reach(&self, device: &Device<Bound>) -> Result<DmaMask> {
        const MARK: u64 = 0x6564_7564_6d61_3f21;
        let page = Coherent::<u64>::zeroed_slice(device, 1, GFP_KERNEL)?;
        let address = page.dma_address();
        let run = |way, address| {
            let len = size_of::<u64>();
            self.command(Transfer { way, address, len }, 0);
            self.wait_idle();
        };
        run(Way::ToCard, address);
        io_write!(page, [panic: 0], MARK);
        run(Way::ToCard, address | WIDE_BIT);
        io_write!(page, [panic: 0], 0);
        run(Way::FromCard, address);
        Ok(if io_read!(page, [panic: 0]) == MARK {
            NARROW
        } else {
            WIDE
        })
    }

    /// The addresses that every card reaches.
    pub(crate) const fn narrow() -> DmaMask {
        NARROW
    }
}
