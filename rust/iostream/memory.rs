// SPDX-License-Identifier: GPL-2.0

//! Pages: how they are allocated, mapped, charged, and given to devices; tables of the counters on
//! info pages.

pub(crate) mod account;
pub(crate) mod counters;
pub(crate) mod dma;
pub(crate) mod limits;
pub(crate) mod mapper;
pub(crate) mod pages;
pub(crate) mod region;
