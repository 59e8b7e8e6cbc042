//! Tests of the reader against real binaries, an independent tool and hostile bytes.
mod basics;
mod hostile;
