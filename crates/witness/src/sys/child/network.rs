//! The loopback interface of the run's own network namespace; there is no other in it.
#![allow(unsafe_code, reason = "raw socket and ioctl calls between fork and exec")]

use super::step::{Outcome, Step, done};

/// Turns the loopback interface on.
pub(super) fn raise_loopback() -> Outcome<()> {
    // SAFETY: the request is plain numbers, for which zero is a value, and lives through the calls; the
    // descriptor is this function's own.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        done(Step::Loopback, socket.into())?;
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
            *to = *from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        let raised = libc::ioctl(socket, libc::SIOCSIFFLAGS, &raw const request);
        done(Step::Loopback, raised.into())?;
        libc::close(socket);
    }
    Ok(())
}
