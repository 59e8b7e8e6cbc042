//! The texts of a process's own `/proc` folder: true where the program may know, fixed where the kernel
//! would tell a time, an id or a measure of its own.

use super::Machine;
use super::modules::mappings;
use super::task::Call;
use crate::sys::child::INSIDE_ID;

const PAGE: u64 = 4096;
/// Pages that are said to be resident.
const RESIDENT: u64 = 2048;
/// Fields of `stat` after the name: those that are kept are listed, any other is zero.
const FIELDS: usize = 50;

/// Pages of all mappings together.
fn mapped_pages(tid: i32) -> u64 {
    mappings(tid).iter().map(|m| (m.end - m.start) / PAGE).sum()
}

/// The name that the thread has, as the kernel keeps it.
pub(super) fn name(tid: i32) -> String {
    std::fs::read_to_string(format!("/proc/{tid}/comm")).unwrap_or_else(|_| "witness\n".to_owned())
}

/// The innermost of a namespaced id in a `status` file, such as `NSpgid`.
pub(super) fn inner_of(pid: i32, field: &str) -> Option<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.split_whitespace().last()?.parse().ok()
}

impl Machine<'_> {
    fn parent_inside(&mut self, tgid: i32) -> i32 {
        let parent = self.process(tgid).parent;
        self.processes.get(&parent).map_or(1, |process| process.inner)
    }

    fn thread_count(&self, tgid: i32) -> usize {
        self.tasks.iter().filter(|task| task.tgid == tgid && !task.is_gone()).count()
    }

    /// `/proc/self/stat`: where the stack and the image lie is kept, as `maps` tells it too.
    pub(super) fn stat_text(&mut self, call: Call) -> Vec<u8> {
        let real = std::fs::read_to_string(format!("/proc/{}/stat", call.tid)).unwrap_or_default();
        let rest: Vec<&str> =
            real.rsplit_once(") ").map_or("", |(_, rest)| rest).split_whitespace().collect();
        let mut fields = vec!["0".to_owned(); FIELDS];
        // Numbered as in proc(5) less three: size, code, stack, data, break, arguments, environment.
        for at in [20, 23, 24, 25, 42, 43, 44, 45, 46, 47, 48] {
            if let Some(value) = rest.get(at) {
                fields[at].clone_from(&(*value).to_owned());
            }
        }
        let inner = |field| inner_of(call.tid, field).unwrap_or(0).to_string();
        fields[0] = "R".to_owned();
        fields[1] = self.parent_inside(call.tgid).to_string();
        fields[2] = inner("NSpgid");
        fields[3] = inner("NSsid");
        fields[5] = "-1".to_owned();
        fields[15] = "20".to_owned();
        fields[17] = self.thread_count(call.tgid).to_string();
        fields[21] = RESIDENT.to_string();
        fields[22] = u64::MAX.to_string();
        fields[35] = "17".to_owned();
        let pid = self.process(call.tgid).inner;
        format!("{pid} ({}) {}\n", name(call.tid).trim_end(), fields.join(" ")).into_bytes()
    }

    pub(super) fn statm_text(&self, call: Call) -> Vec<u8> {
        format!("{} {RESIDENT} 512 1 0 1024 0\n", mapped_pages(call.tid)).into_bytes()
    }

    pub(super) fn status_text(&mut self, call: Call) -> Vec<u8> {
        let (pid, parent) = (self.process(call.tgid).inner, self.parent_inside(call.tgid));
        let thread = inner_of(call.tid, "NSpid").unwrap_or(pid);
        let size = mapped_pages(call.tid) * PAGE / 1024;
        let resident = RESIDENT * PAGE / 1024;
        let real = std::fs::read_to_string(format!("/proc/{}/status", call.tid)).unwrap_or_default();
        let masks: String = real
            .lines()
            .filter(|line| {
                ["SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt"].iter().any(|f| line.starts_with(f))
            })
            .map(|line| format!("{line}\n"))
            .collect();
        format!(
            "Name:\t{}Umask:\t0022\nState:\tR (running)\nTgid:\t{pid}\nNgid:\t0\nPid:\t{thread}\n\
             PPid:\t{parent}\nTracerPid:\t0\nUid:\t{id}\t{id}\t{id}\t{id}\nGid:\t{id}\t{id}\t{id}\t{id}\n\
             FDSize:\t64\nGroups:\t \nNStgid:\t{pid}\nNSpid:\t{thread}\nVmPeak:\t{size:8} kB\n\
             VmSize:\t{size:8} kB\nVmLck:\t       0 kB\nVmPin:\t       0 kB\nVmHWM:\t{resident:8} kB\n\
             VmRSS:\t{resident:8} kB\nVmData:\t    4096 kB\nVmStk:\t     132 kB\nVmSwap:\t       0 kB\n\
             Threads:\t{}\nSigQ:\t0/4096\n{masks}CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n\
             CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\n\
             NoNewPrivs:\t1\nSeccomp:\t0\nCpus_allowed:\t1\nCpus_allowed_list:\t0\n\
             Mems_allowed:\t1\nMems_allowed_list:\t0\nvoluntary_ctxt_switches:\t1\n\
             nonvoluntary_ctxt_switches:\t0\n",
            name(call.tid),
            self.thread_count(call.tgid),
            id = INSIDE_ID,
        )
        .into_bytes()
    }

    /// A random id in the kernel's form.
    pub(super) fn uuid_text(&mut self) -> Vec<u8> {
        let mut bytes = self.random.bytes(16);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        format!("{}\n", parts.join("-")).into_bytes()
    }
}

/// The process that a thread belongs to, as this host numbers it.
pub(super) fn outer_group(tid: i32) -> Option<i32> {
    let text = std::fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()
}
