// SPDX-License-Identifier: GPL-2.0

//! A stream through hardware: QEMU's `edu` PCI card. Its DMA engine moves memory into the card and
//! back, and raises an interrupt when it is done.
//!
//! The node has the name `edu`. The data that a process sends come back to it, in order, through
//! the card's memory. `/sys/kernel/debug/iostream_edu` shows what the card did; see `journal.rs`.

mod card;
mod engine;
mod journal;
#[path = "../leak.rs"]
mod leak;

use core::mem::transmute;

use iostream::{Config, Ports, Registration, StreamConfig};
use kernel::{
    debugfs,
    device::Core,
    dma::{DataDirection, Device as _},
    fmt, irq, pci,
    prelude::*,
    sync::{aref::ARef, Arc},
};

use card::{Card, BAR_BYTES};
use engine::{Callbacks, Engine};

/// Number of buffers of the stream, and bytes of data of each.
const BUFFERS: u32 = 16;
const DATA_BYTES: u32 = 65536;

// SAFETY: `Vendor` is a transparent wrapper of the number. The kernel crate has no name for QEMU's.
const QEMU: pci::Vendor = unsafe { transmute::<u16, pci::Vendor>(0x1234) };
const EDU: u32 = 0x11e8;

kernel::module_pci_driver! {
    type: EduDriver,
    name: "iostream_edu",
    authors: ["the iostream authors"],
    description: "A stream through the memory of QEMU's edu card",
    license: "GPL",
    params: {
        leak: u8 {
            default: 0,
            description: "For tests: 1 leaks the registration, 2 leaks buffers and fails to bind",
        },
    },
}

kernel::pci_device_table!(
    CARDS,
    <EduDriver as pci::Driver>::IdInfo,
    [(pci::DeviceId::from_id(QEMU, EDU), ())]
);

struct EduDriver;

/// One card with its driver. Fields drop in order: the node first, which leaves the card idle.
#[pin_data]
struct Edu<'bound> {
    /// `None` if it was leaked.
    _node: Option<Registration<Callbacks>>,
    #[pin]
    _counters: debugfs::File<Arc<Engine>>,
    #[pin]
    _transfers: debugfs::File<Arc<Engine>>,
    #[pin]
    _interrupt: irq::Registration<'bound, Interrupt>,
    vectors: pci::IrqVectorRegistration<'bound>,
}

struct Interrupt(Arc<Engine>);

impl irq::Handler for Interrupt {
    fn handle(&self) -> irq::IrqReturn {
        if self.0.interrupt() {
            irq::IrqReturn::Handled
        } else {
            irq::IrqReturn::None
        }
    }
}

impl pci::Driver for EduDriver {
    type IdInfo = ();
    type Data<'bound> = Edu<'bound>;
    const ID_TABLE: pci::IdTable<Self::IdInfo> = &CARDS;

    fn probe<'bound>(
        device: &'bound pci::Device<Core<'_>>,
        _info: Option<&'bound Self::IdInfo>,
    ) -> impl PinInit<Edu<'bound>, Error> + 'bound {
        pin_init::pin_init_scope(move || {
            device.enable_device_mem()?;
            device.set_master();
            let bar = device.iomap_region_sized::<BAR_BYTES>(0, c"iostream_edu")?;
            let card = Card::new(ARef::from(&**device), bar)?;
            // SAFETY: Nothing is mapped or allocated for the card at the same time.
            let narrow = unsafe { device.dma_set_mask_and_coherent(Card::narrow()) };
            narrow.inspect_err(|_| {
                dev_err!(
                    device,
                    "no memory lies below 256 MiB, which is as far as each card reaches, and there is no IOMMU\n"
                );
            })?;
            let reach = card.reach(device.as_ref())?;
            // SAFETY: Nothing is mapped or allocated for the card at the same time.
            unsafe { device.dma_set_mask_and_coherent(reach)? };
            dev_info!(device, "the card's DMA reaches {:#x}\n", reach.value());

            let stream = StreamConfig::input_output(BUFFERS, DATA_BYTES)?
                .description(c"what is sent, through the card's memory")?
                .dma(device.as_ref(), DataDirection::Bidirectional)?;
            let config = Config::new(c"edu").mode(0o660).parent(device.as_ref());
            let (ports, stream) = iostream::Stream::new(config, stream)?;
            if *module_parameters::leak.value_ref() == 2 {
                stream.control().create_queues()?;
                leak::leak(stream)?;
                return Err(ENXIO);
            }
            let engine = Engine::new(card, stream)?;
            let interrupt = Interrupt(engine.clone());
            let dir = debugfs::Dir::new(c"iostream_edu");
            let types = pci::IrqTypes::default().with(pci::IrqType::Msi);

            Ok(try_pin_init!(Edu {
                vectors: device.alloc_irq_vectors(1, 1, types)?,
                // SAFETY: The vectors stay in place, because `Edu` is pinned, and are dropped after
                // this field. The data of a bound device is never leaked.
                _interrupt <- unsafe {
                    let vectors = &*core::ptr::from_ref(vectors);
                    irq::Registration::new(
                        vectors.index(0)?.into(),
                        irq::Flags::TRIGGER_NONE,
                        c"iostream_edu",
                        Ok(interrupt),
                    )
                },
                _counters <- dir.read_callback_file(c"counters", engine.clone(), &show_counters),
                _transfers <- dir.read_callback_file(c"transfers", engine.clone(), &show_transfers),
                _node: publish(ports, engine)?,
            }))
        })
    }
}

/// Publishes the node, and leaks the registration if the parameter says so.
fn publish(ports: Ports<'_>, engine: Arc<Engine>) -> Result<Option<Registration<Callbacks>>> {
    let node = Registration::new(ports, Callbacks(engine))?;
    if *module_parameters::leak.value_ref() == 0 {
        return Ok(Some(node));
    }
    leak::leak(node)?;
    Ok(None)
}

fn show_counters(engine: &Arc<Engine>, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    engine.show_counters(out)
}

fn show_transfers(engine: &Arc<Engine>, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    engine.show_transfers(out)
}
