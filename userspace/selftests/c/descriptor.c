// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * The layout of a stream's descriptor, field by field, as a program in C sees it. Ends with status
 * 0 if each field lies where every program expects it, and there is nothing between the fields.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "iostream.h"

#define FIELD(name) { #name, offsetof(struct iostream_descriptor, name), \
		      sizeof(((struct iostream_descriptor *)0)->name) }

static const struct {
	const char *name;
	size_t offset;
	size_t size;
} fields[] = {
	FIELD(buffer), FIELD(flags), FIELD(data_offset), FIELD(data_len), FIELD(control_offset),
	FIELD(control_len), FIELD(frame), FIELD(timestamp_ns), FIELD(lost), FIELD(status),
	FIELD(reserved),
};

static const size_t offsets[] = { 0, 4, 8, 12, 16, 20, 24, 32, 40, 48, 52, 64 };

/* Bits of flags, in the order in which a bit of each must be set. */
static const unsigned int flags[] = {
	IOSTREAM_DESCRIPTOR_UNUSED, IOSTREAM_DESCRIPTOR_DISCARDED,
	IOSTREAM_DESCRIPTOR_DISCONTINUITY, IOSTREAM_DESCRIPTOR_ERROR, IOSTREAM_DESCRIPTOR_END,
	IOSTREAM_DESCRIPTOR_DRIVER,
};

static const unsigned int bits[] = { 0x1, 0x2, 0x4, 0x8, 0x10, 0xff0000 };

/* The numbers that clock_gettime(2) takes. */
_Static_assert(IOSTREAM_CLOCK_REALTIME == 0 && IOSTREAM_CLOCK_MONOTONIC == 1, "clocks");
_Static_assert(IOSTREAM_CLOCK_BOOTTIME == 7 && IOSTREAM_CLOCK_TAI == 11, "clocks");
_Static_assert(sizeof(fields) / sizeof(*fields) + 1 == sizeof(offsets) / sizeof(*offsets), "all");

int main(void)
{
	struct iostream_descriptor descriptor;
	unsigned int all = 0;
	int wrong = 0;

	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		if (fields[i].offset == offsets[i] &&
		    fields[i].offset + fields[i].size == offsets[i + 1])
			continue;
		printf("%s: %zu bytes at %zu\n", fields[i].name, fields[i].size, fields[i].offset);
		wrong = 1;
	}
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		all |= flags[i];
		if (flags[i] == bits[i])
			continue;
		printf("flag %zu is %#x\n", i, flags[i]);
		wrong = 1;
	}
	if (all != IOSTREAM_DESCRIPTOR_FLAGS || sizeof(descriptor) != 64) {
		puts("other flags, or another size");
		wrong = 1;
	}
	/* A negative number for errors, and unsigned ones elsewhere. */
	memset(&descriptor, 0xff, sizeof(descriptor));
	if (descriptor.status >= 0 || descriptor.frame < 1 || descriptor.lost < 1) {
		puts("a field has another sign");
		wrong = 1;
	}
	return wrong;
}
