// SPDX-License-Identifier: MIT OR Apache-2.0

//! The mapped areas of one queue.

use std::sync::Arc;

use iostream_ring::{uapi, Geometry, Mapped};
use rustix::io::Errno;

use super::info_page::InfoPage;
use super::lent::LentRange;
use super::owner::Owner;
use super::region::Region;
use super::Device;
use crate::{Direction, Error};

/// The role of this process on a queue, which decides what it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Writes the producer's page and the data of an input queue.
    Producer,
    /// Writes the consumer's page of an output queue.
    Consumer,
}

impl Role {
    pub(crate) const fn direction(self) -> Direction {
        match self {
            Self::Producer => Direction::Input,
            Self::Consumer => Direction::Output,
        }
    }
}

/// What a queue contains, and what happens when it is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueKind {
    /// Entries with headers. A full queue refuses new entries.
    Lossless,
    /// Entries with headers. A full queue overwrites the oldest.
    Overwriting,
    /// Entries of one length without headers: a stream's descriptors.
    Slots,
}

impl QueueKind {
    fn of(queue: &uapi::iostream_queue) -> Self {
        if queue.flags & uapi::IOSTREAM_QUEUE_SLOTS != 0 {
            Self::Slots
        } else if queue.flags & uapi::IOSTREAM_QUEUE_OVERWRITE != 0 {
            Self::Overwriting
        } else {
            Self::Lossless
        }
    }
}

/// All areas of one queue, mapped with the rights of one role.
///
/// # Invariants
///
/// The areas are those of one queue with this geometry, and those that `role` writes are writable.
/// There is no other value with the same role on the same queue: the kernel allows one mapping of
/// the writable areas.
pub(crate) struct QueueMemory {
    info: InfoPage,
    producer: Region,
    consumer: Region,
    data: Region,
    /// The bytes of the data that the end has lent.
    lent: Arc<LentRange>,
    geometry: Geometry,
    overwrite: bool,
    /// The length of all entries, if they have no headers.
    slots: Option<u32>,
    role: Role,
}

impl QueueMemory {
    /// Asks the kernel for the geometry of the role's queue, and maps it if it is of this kind.
    pub(crate) fn map(device: &Device, role: Role, kind: QueueKind) -> Result<Self, Error> {
        let queue = device.queue(role.direction())?;
        // Checked before anything is mapped, since mapping is possible only once.
        let is = QueueKind::of(&queue);
        if is != kind {
            return Err(Error::InvalidArgument(match is {
                QueueKind::Lossless => {
                    "this queue does not overwrite: take it with Session::consumer"
                }
                QueueKind::Overwriting => {
                    "this queue overwrites: take it with Session::overwrite_reader"
                }
                QueueKind::Slots => "this queue is a stream's: take it with Stream::from_session",
            }));
        }
        let overwrite = kind == QueueKind::Overwriting;
        let slots = (kind == QueueKind::Slots).then_some(queue.max_entry_bytes);
        let geometry = check_description(&queue, rustix::param::page_size())?;
        let page = rustix::param::page_size();
        let explain = |errno| match errno {
            Errno::BUSY => Error::Busy(
                "this end of the queue was taken before: it can be taken once in a session",
            ),
            errno => Error::of_queue_call("mmap", errno, role.direction()),
        };
        let map =
            |offset, bytes, writable| Region::map(device, offset, bytes, writable).map_err(explain);
        let lent = Arc::new(LentRange::default());
        let map_data = |bytes, writable| {
            let lent = Some(lent.clone() as Arc<_>);
            Region::map_lending(device, queue.data_offset, bytes, writable, lent).map_err(explain)
        };
        // The writable areas come last: if a step before them fails, they can still be mapped.
        let info = map(queue.info_offset, page, false)?;
        // SAFETY: A page is larger than `iostream_info`, and it was just mapped for reading.
        let info = unsafe { InfoPage::new(info) };
        info.check(role.direction(), &queue)?;
        // Does not overflow: `check_description` has bounded it.
        let twice = usize::try_from(2 * geometry.data_bytes())
            .map_err(|_| Error::Mismatch("the queue is larger than this process can map"))?;
        let (producer, consumer, data);
        match role {
            Role::Producer => {
                consumer = map(queue.consumer_offset, page, false)?;
                data = map_data(twice, true)?;
                producer = map(queue.producer_offset, page, true)?;
            }
            Role::Consumer => {
                producer = map(queue.producer_offset, page, false)?;
                data = map_data(twice, false)?;
                consumer = map(queue.consumer_offset, page, true)?;
            }
        }
        // INVARIANT: Mapped at one queue's offsets with the role's rights. The kernel allows one
        // mapping of the writable areas.
        Ok(Self {
            info,
            producer,
            consumer,
            data,
            lent,
            geometry,
            overwrite,
            slots,
            role,
        })
    }

    pub(crate) fn info(&self) -> &InfoPage {
        &self.info
    }

    /// The process that mapped the areas.
    #[inline]
    pub(crate) fn owner(&self) -> Owner {
        self.info.owner()
    }

    /// What the end has lent of the data. The end sets it before it returns a slice.
    #[inline]
    pub(super) fn lent(&self) -> &LentRange {
        &self.lent
    }

    pub(crate) fn geometry(&self) -> Geometry {
        self.geometry
    }

    pub(crate) fn overwrite(&self) -> bool {
        self.overwrite
    }

    /// The length of all entries, if they have no headers.
    pub(crate) fn slots(&self) -> Option<u32> {
        self.slots
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// The memory in the form that the ring uses.
    ///
    /// # Safety
    ///
    /// The result is used in the role of `self` only, by one owner at a time, and not after `self`
    /// is dropped.
    pub(super) unsafe fn mapped(&self) -> Mapped {
        // SAFETY: By the invariant the areas are one queue's, with the role's rights. The caller
        // uses them in this role, by one owner at a time, and not after `self` is dropped.
        unsafe {
            Mapped::new(
                self.producer.start(),
                self.consumer.start(),
                self.data.start(),
            )
        }
    }
}

/// Checks the geometry that the device describes.
fn check_description(queue: &uapi::iostream_queue, page_bytes: usize) -> Result<Geometry, Error> {
    let page = page_bytes as u64;
    if u64::from(queue.page_bytes) != page {
        return Err(Error::Mismatch("the device has pages of another size"));
    }
    let offsets = [
        queue.info_offset,
        queue.producer_offset,
        queue.consumer_offset,
        queue.data_offset,
    ];
    if offsets.iter().any(|offset| offset % page != 0) || queue.data_bytes % page != 0 {
        return Err(Error::Mismatch(
            "the device describes areas that are not whole pages",
        ));
    }
    let geometry = match QueueKind::of(queue) {
        QueueKind::Slots => Geometry::from_slots(queue.data_bytes, queue.max_entry_bytes),
        _ => Geometry::from_description(queue.data_bytes, queue.max_entry_bytes),
    };
    geometry.ok_or(Error::Mismatch(
        "the device describes a queue with an invalid geometry",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description() -> uapi::iostream_queue {
        uapi::iostream_queue {
            data_bytes: 8192,
            max_entry_bytes: 8184,
            page_bytes: 4096,
            info_offset: 0,
            producer_offset: 4096,
            consumer_offset: 8192,
            data_offset: 12288,
            ..Default::default()
        }
    }

    #[test]
    fn a_right_description_is_taken() {
        let geometry = check_description(&description(), 4096).unwrap();
        assert_eq!(geometry.data_bytes(), 8192);
        assert_eq!(geometry.max_entry_bytes(), 8184);
    }

    #[test]
    fn wrong_descriptions_are_refused() {
        let wrong: [fn(&mut uapi::iostream_queue); 8] = [
            |q| q.page_bytes = 16384,
            |q| q.data_bytes = 0,
            |q| q.data_bytes = 8200,
            |q| q.data_bytes = 1 << 32,
            |q| q.data_bytes = u64::MAX - 4095,
            |q| q.max_entry_bytes = 8185,
            |q| q.max_entry_bytes = u32::MAX,
            |q| q.data_offset = 12289,
        ];
        for (i, spoil) in wrong.iter().enumerate() {
            let mut queue = description();
            spoil(&mut queue);
            let result = check_description(&queue, 4096);
            assert!(matches!(result, Err(Error::Mismatch(_))), "case {i}");
        }
    }
}
