// SPDX-License-Identifier: GPL-2.0
/*
 * Exports the framework's Rust symbols to drivers. Their names contain a hash of the framework's
 * sources (see Kbuild), so a driver that was built against other sources finds none of them and
 * is refused.
 */
#include <linux/export.h>

#define EXPORT_SYMBOL_RUST_GPL(sym) extern int sym; EXPORT_SYMBOL_GPL(sym)

#include "exports_generated.h"
