//! The program's own clock: an image in place of the kernel's vDSO, and the page that it shares with the
//! tracer.
//!
//! A read of a clock changes nothing but virtual time, so the image answers it without a stop as long as
//! the tracer would do nothing else either: the tracer says in the page how many reads may be answered so,
//! and takes each of them down at the next stop as if it had stopped there. Whatever is beyond makes the
//! call.
#![allow(unsafe_code, reason = "shared memory, and assembled bytes behind external symbols")]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::check;

/// Virtual nanoseconds that one event takes.
pub(crate) const EVENT_NANOS: u64 = 1000;
/// Bytes of the shared page.
pub(crate) const PAGE_BYTES: usize = 4096;
/// Most reads that the page has room for.
pub(crate) const MAX_READS: u64 = 128;
/// Clock ids from 0 on that the image answers.
pub(crate) const CLOCKS: usize = 12;
/// The number of the call with which the set-up ends; there is none such.
pub(crate) const SET_UP: u64 = 0xfff;
/// What the page's nameless file is called in the list of mappings.
pub(crate) const NAME: &str = "/memfd:assay-clock";
const NOW: usize = 16;
const ALLOWED: usize = 8;
const BASES: usize = 32;
const READS: usize = 128;
const _: () = assert!(BASES + 8 * CLOCKS <= READS && READS + MAX_READS as usize <= PAGE_BYTES);

// An ELF image of one page with a single symbol, as a C library expects it behind AT_SYSINFO_EHDR, and
// the few calls that map the shared page, which run once before the program's first instruction.
std::arch::global_asm!(
    r#"
    .pushsection .rodata.assay_clock, "a", @progbits
    .balign 16
assay_clock_image:
    .byte 0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0
    .zero 8
    .short 3, 62
    .long 1
    .quad 0, .Lclock_headers - assay_clock_image, 0
    .long 0
    .short 64, 56, 2, 64, 0, 0
.Lclock_headers:
    .long 1, 5
    .quad 0, 0, 0, assay_clock_end - assay_clock_image, assay_clock_end - assay_clock_image, 4096
    .long 2, 4
    .quad .Lclock_dynamic - assay_clock_image, .Lclock_dynamic - assay_clock_image
    .quad .Lclock_dynamic - assay_clock_image
    .quad .Lclock_hash - .Lclock_dynamic, .Lclock_hash - .Lclock_dynamic, 8
.Lclock_dynamic:
    .quad 14, .Lclock_soname - .Lclock_strings
    .quad 4, .Lclock_hash - assay_clock_image
    .quad 5, .Lclock_strings - assay_clock_image
    .quad 6, .Lclock_symbols - assay_clock_image
    .quad 10, .Lclock_strings_end - .Lclock_strings
    .quad 11, 24
    .quad 0x6ffffff0, .Lclock_versions - assay_clock_image
    .quad 0x6ffffffc, .Lclock_definitions - assay_clock_image
    .quad 0x6ffffffd, 2
    .quad 0, 0
.Lclock_hash:
    .long 1, 2, 1, 0, 0
    .balign 8
.Lclock_symbols:
    .zero 24
    .long .Lclock_name - .Lclock_strings
    .byte 0x12, 0
    .short 1
    .quad .Lclock_gettime - assay_clock_image, .Lclock_gettime_end - .Lclock_gettime
.Lclock_versions:
    .short 0, 2
    .balign 8
.Lclock_definitions:
    .short 1, 1, 1, 1
    .long 0x0deebfa1, 20, 28
    .long .Lclock_soname - .Lclock_strings, 0
    .short 1, 0, 2, 1
    .long 0x03ae75f6, 20, 0
    .long .Lclock_version - .Lclock_strings, 0
.Lclock_strings:
    .byte 0
.Lclock_soname:
    .asciz "linux-vdso.so.1"
.Lclock_version:
    .asciz "LINUX_2.6"
.Lclock_name:
    .asciz "__vdso_clock_gettime"
.Lclock_strings_end:
    .balign 16
.Lclock_gettime:
    .byte 0x49, 0xb8            # mov r8, the page's address
assay_clock_page_first:
    .quad 0
    cmp edi, {clocks}
    jae 2f
    test rsi, rsi
    jz 2f
    xor eax, eax                # a fault here, which a handler may mend, comes before anything is counted
    mov [rsi], rax
    mov [rsi + 8], rax
    mov rcx, [r8]
    cmp rcx, [r8 + {allowed}]
    jae 2f
    mov eax, edi
    mov rax, [r8 + rax * 8 + {bases}]
    add rax, [r8 + {now}]
    imul rdx, rcx, {event}
    lea rax, [rax + rdx + {event}]
    xor edx, edx
    mov r9d, 1000000000
    div r9
    mov [rsi], rax
    mov [rsi + 8], rdx
    mov [r8 + rcx + {reads}], dil
    inc rcx
    mov [r8], rcx
    xor eax, eax
    ret
2:
    mov eax, 228
    syscall
    ret
.Lclock_gettime_end:
    .balign 16
assay_clock_set_up:
    mov rdi, r12                # in place of the kernel's pages that show real time, pages of nothing
    mov rsi, r13
    xor edx, edx
    mov r10d, 0x32
    mov r8, -1
    xor r9d, r9d
    mov eax, 9
    syscall
    mov eax, 319
    lea rdi, [rip + .Lclock_file]
    xor esi, esi
    syscall
    mov rbx, rax
    .byte 0x48, 0xbf            # mov rdi, the page's address
assay_clock_page_second:
    .quad 0
    mov esi, {page}
    mov edx, 3
    mov r10d, 0x100001
    mov r8, rbx
    xor r9d, r9d
    mov eax, 9
    syscall
    mov rbp, rax
    mov rdi, rbx
    mov eax, 3
    syscall
    mov eax, {set_up}
    syscall
    ud2
.Lclock_file:
    .asciz "assay-clock"
assay_clock_end:
    .popsection
"#,
    clocks = const CLOCKS,
    allowed = const ALLOWED,
    now = const NOW,
    bases = const BASES,
    reads = const READS,
    event = const EVENT_NANOS,
    page = const PAGE_BYTES,
    set_up = const SET_UP,
);

unsafe extern "C" {
    static assay_clock_image: u8;
    static assay_clock_end: u8;
    static assay_clock_set_up: u8;
    static assay_clock_page_first: u8;
    static assay_clock_page_second: u8;
}

fn offset(symbol: *const u8) -> usize {
    symbol.addr() - (&raw const assay_clock_image).addr()
}

/// The image for a page that will lie at `page`, and where in it the set-up begins.
pub(crate) fn image(page: u64) -> (Vec<u8>, u64) {
    let length = offset(&raw const assay_clock_end);
    // SAFETY: both symbols bound the one section above, which is never written.
    let assembled = unsafe { std::slice::from_raw_parts(&raw const assay_clock_image, length) };
    let mut bytes = assembled.to_vec();
    for place in [&raw const assay_clock_page_first, &raw const assay_clock_page_second] {
        let at = offset(place);
        bytes[at..at + 8].copy_from_slice(&page.to_le_bytes());
    }
    (bytes, offset(&raw const assay_clock_set_up) as u64)
}

/// The tracer's view of a shared page. The program may write anything into it, so what is read from it is
/// a claim about the program's own doing and never an index or a size unchecked.
#[derive(Debug)]
pub(crate) struct ClockPage(usize);

impl ClockPage {
    /// Gives the file its size and maps it.
    pub(crate) fn map(file: &OwnedFd) -> io::Result<Self> {
        // SAFETY: no pointers; the mapping's place is the kernel's choice.
        unsafe {
            check(libc::ftruncate(file.as_raw_fd(), PAGE_BYTES as i64).into())?;
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let at =
                libc::mmap(std::ptr::null_mut(), PAGE_BYTES, access, libc::MAP_SHARED, file.as_raw_fd(), 0);
            if at == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Self(at.addr())) }
        }
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        let place = std::ptr::with_exposed_provenance_mut::<u64>(self.0 + at);
        // SAFETY: the word lies in this live mapping, aligned; every access to it is atomic.
        unsafe { AtomicU64::from_ptr(place) }
    }

    fn byte(&self, at: usize) -> &AtomicU8 {
        let place = std::ptr::with_exposed_provenance_mut::<u8>(self.0 + at);
        // SAFETY: the byte lies in this live mapping; every access to it is atomic.
        unsafe { AtomicU8::from_ptr(place) }
    }

    /// Says what each clock adds to virtual time, which time it is, and how many reads may be answered.
    pub(crate) fn arm(&self, bases: &[u64; CLOCKS], now: u64, allowed: u64) {
        for (at, base) in bases.iter().enumerate() {
            self.word(BASES + at * 8).store(*base, Ordering::Relaxed);
        }
        self.word(NOW).store(now, Ordering::Relaxed);
        self.word(0).store(0, Ordering::Relaxed);
        self.word(ALLOWED).store(allowed.min(MAX_READS), Ordering::Release);
    }

    /// How many reads were answered since, as the page says.
    pub(crate) fn answered(&self) -> u64 {
        self.word(0).load(Ordering::Acquire)
    }

    /// Which clock a read was of.
    pub(crate) fn clock(&self, read: u64) -> u8 {
        self.byte(READS + (read % MAX_READS) as usize).load(Ordering::Relaxed)
    }
}

impl Drop for ClockPage {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and nothing refers to it any more.
        unsafe { libc::munmap(std::ptr::with_exposed_provenance_mut(self.0), PAGE_BYTES) };
    }
}
