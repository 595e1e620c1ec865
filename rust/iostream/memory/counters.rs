// SPDX-License-Identifier: GPL-2.0

//! Tables of counters: what an info page counts, each counter with its name and its place.
//!
//! A table is the only list of its counters in the kernel. `IOSTREAM_IOC_COUNTERS`, sysfs and
//! fdinfo show what it lists.

/// Defines an enum of counters from the fields of a struct of `iostream.h`, which has counters of
/// 64 bits only. The value of a counter is its offset in the struct.
///
/// The build fails unless all fields are listed, in their order.
macro_rules! counters {
    (
        $(#[$doc:meta])*
        $enum:ident of $struct:ident { $($counter:ident = $field:ident,)+ }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(crate) enum $enum {
            $($counter = ::core::mem::offset_of!($crate::ring::uapi::$struct, $field) as isize,)+
        }

        impl $enum {
            /// All counters, in the order of the struct.
            pub(crate) const ALL: [Self; [$(stringify!($field)),+].len()] =
                [$(Self::$counter),+];

            /// The name of the file in sysfs.
            pub(crate) const fn file_name(self) -> &'static ::kernel::str::CStr {
                match self {
                    $(Self::$counter => ::kernel::c_str!(stringify!($field)),)+
                }
            }

            /// The name in fdinfo.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$counter => stringify!($field),)+
                }
            }
        }

        const _: () = {
            assert!(size_of::<$crate::ring::uapi::$struct>() == 8 * $enum::ALL.len());
            let mut i = 0;
            while i < $enum::ALL.len() {
                assert!($enum::ALL[i] as usize == 8 * i);
                i += 1;
            }
        };
    };
}
pub(crate) use counters;
