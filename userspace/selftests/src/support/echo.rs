// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sessions of the built-in echo.

use iostream_raw::{echo, page, Input, Output, Session};

/// An echo that is stuck: both queues of a page are full of entries of 24 bytes. Each one that is
/// taken out with a notification makes room for one.
pub fn stuck_echo() -> (Session, Input, Output) {
    let session = Session::new(echo(4096));
    let (mut input, output) = (Input::new(&session), Output::new(&session));
    for _ in 0..2 * page() / 32 {
        assert!(input.push(&session, &[7; 24]));
    }
    assert_eq!((input.room(), output.available()), (0, page()));
    (session, input, output)
}
