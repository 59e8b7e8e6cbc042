//! Looking for a schedule that shows an incident: one run with the turn taken at chosen steps.
//!
//! The scheduler is PCT's (Burckhardt, Kothari, Musuvathi and Nagarakatte, *A Randomized Scheduler with
//! Probabilistic Guarantees of Finding Bugs*, ASPLOS 2010): the threads have an order, the first of them
//! that can run does, and at each of d - 1 steps chosen beforehand the thread that runs falls behind all
//! others, or behind some of those that have fallen behind before it. A step is what threads can be told apart by: a system call, or an instruction that reads or
//! writes memory outside the thread's own stack. While others wait, the thread is single-stepped to count
//! them. Where the turn was taken is written down as a [`Switch`], which every replay meets at full speed.

use std::collections::HashMap;

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

use super::Machine;
use super::modules::mappings;
use crate::error::WitnessError;
use crate::schedule::{InstructionBytes, Switch};
use crate::sys::memory;
use crate::sys::ptrace::{self, Registers};

/// What a leaf function may use below its stack pointer (System V ABI, the red zone).
const RED_ZONE: u64 = 128;
/// Instructions whose decoding is remembered.
const MAX_DECODED: usize = 1 << 20;

/// Where the turn is taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// Steps are counted after this many events.
    pub after: u64,
    /// At which steps, sorted; none, to count only.
    pub points: Vec<Point>,
    /// Most instructions to single-step.
    pub most: u64,
}

/// One step at which the turn is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    /// The step's number, the first being 1.
    pub step: u64,
    /// How many of those that have fallen behind stay behind the thread that runs.
    pub ahead_of: u32,
}

/// What exploring found out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Explored {
    /// How many steps there were, as far as they were counted.
    pub steps: u64,
    /// Whether the counting came to the end of the run or of the points.
    pub complete: bool,
    /// Whether a thread lost its place in the order at no chosen step: it yielded, or had had its share. The
    /// run is then not one of PCT's.
    pub is_forced: bool,
    /// The first and the last event at which one thread ran while another waited.
    pub events: Option<(u64, u64)>,
    /// Where the turn was taken.
    pub switches: Vec<Switch>,
    /// How many instructions were stepped.
    pub instructions: u64,
    /// For each stretch of one thread's work: after how many events it began, and after how many steps.
    pub stretches: Vec<(u64, u64)>,
    /// The steps at which a thread touched what another touched too, one of the two writing.
    pub contested: Vec<u64>,
}

/// How far exploring has come.
#[derive(Default)]
pub(crate) struct Exploring {
    found: Explored,
    /// By 8-byte word: the first thread that touched it, whether any wrote, whether another touched it too.
    words: HashMap<u64, Word>,
    touches: Vec<(u64, u64)>,
    next: usize,
    stepping: bool,
    /// Since which event and which switch the hits are counted.
    segment: (u64, usize),
    hits: HashMap<u64, u64>,
    decoded: HashMap<(i32, u64), Option<Instruction>>,
    stacks: HashMap<u32, std::ops::Range<u64>>,
}

/// Who touched a word of memory.
#[derive(Clone, Copy)]
struct Word {
    thread: u32,
    written: bool,
    shared: bool,
}

impl Exploring {
    pub(super) fn finish(mut self) -> Explored {
        let contested = |word: &u64| self.words.get(word).is_some_and(|w| w.written && w.shared);
        let steps = self.touches.iter().filter(|(_, word)| contested(word)).map(|(step, _)| *step);
        self.found.contested = steps.collect();
        self.found
    }

    /// Whether an instruction is stepped now.
    pub(super) fn is_stepping(&self) -> bool {
        self.stepping
    }

    pub(super) fn note_forced(&mut self) {
        self.found.is_forced = true;
    }

    /// A fresh image has other code at the same addresses, and another stack.
    pub(super) fn forget(&mut self, tgid: i32, thread: u32) {
        self.decoded.retain(|(process, _), _| *process != tgid);
        self.stacks.remove(&thread);
    }

    fn note_touch(&mut self, thread: u32, address: u64, writes: bool) {
        let word = address & !7;
        let known = self.words.entry(word).or_insert(Word { thread, written: false, shared: false });
        known.written |= writes;
        known.shared |= known.thread != thread;
        // The step is counted by whoever asked.
        self.touches.push((self.found.steps + 1, word));
    }
}

impl Machine<'_> {
    /// Whether threads run in a chosen order.
    pub(super) fn has_order(&self) -> bool {
        !self.setup.conditions.order.is_empty()
    }

    /// A thread's place: the greater, the sooner it runs.
    pub(super) fn rank(&self, thread: u32) -> i64 {
        const LISTED: i64 = 1 << 40;
        const BELOW: i64 = -(1 << 40);
        if let Some(place) = self.lowered.iter().position(|other| *other == thread) {
            return BELOW - place as i64;
        }
        let listed = self.setup.conditions.order.iter().position(|other| *other == thread);
        listed.map_or(-i64::from(thread), |place| LISTED - place as i64)
    }

    /// Lets a thread fall behind all others, but for so many of those that have fallen behind.
    pub(super) fn lower(&mut self, at: usize, ahead_of: u32) {
        if self.has_order() {
            let index = self.tasks[at].index;
            self.lowered.retain(|other| *other != index);
            let place = self.lowered.len().saturating_sub(ahead_of as usize);
            self.lowered.insert(place, index);
        }
    }

    /// Whether the thread about to run is single-stepped.
    pub(super) fn explores(&mut self, at: usize) -> bool {
        let Some(plan) = self.setup.explore else { return false };
        if !self.anybody_waits_beside(at) || self.tasks.iter().filter(|task| !task.is_gone()).count() < 2 {
            return false;
        }
        let events = self.events;
        let seen = self.exploring.found.events.get_or_insert((events, events));
        seen.1 = events;
        let done = !plan.points.is_empty() && self.exploring.next >= plan.points.len();
        let left = self.exploring.found.instructions < plan.most;
        self.exploring.found.complete = left;
        events >= plan.after && left && !done
    }

    /// One instruction of a thread while others wait, or its turn taken before it.
    pub(super) fn explore(&mut self, at: usize, signal: i32) -> Result<(), WitnessError> {
        if self.setup.patience.is_some() {
            // Single steps take long, which says nothing about the program.
            self.watched.note_running(None);
        }
        let tid = self.tasks[at].tid;
        let registers = ptrace::registers(tid).map_err(WitnessError::sandbox("reading registers"))?;
        if signal == 0 && !self.is_clock_code(self.tasks[at].tgid, registers.rip) {
            if self.meets_switch(at, registers.rip) {
                return Ok(());
            }
            if let Some(ahead_of) = self.is_point(at, &registers) {
                let (event, thread, hits) = (self.events, self.tasks[at].index, self.hits_of(registers.rip));
                let place = self.place_of(at, registers.rip);
                self.exploring.found.switches.push(Switch { event, thread, place, hits, ahead_of });
                self.exploring.next += 1;
                // The instruction is still to come, and is counted then.
                self.exploring.found.steps -= 1;
                self.take_turn(at, ahead_of);
                return Ok(());
            }
        }
        self.exploring.found.instructions += 1;
        self.exploring.stepping = true;
        self.arm_clock(at);
        // A thread that was killed meanwhile cannot be resumed; its end is reported by itself.
        let _ = ptrace::step(tid, signal);
        let outcome = self.wait_for_stop(at);
        self.exploring.stepping = false;
        outcome
    }

    fn hits_of(&self, address: u64) -> u64 {
        self.exploring.hits.get(&address).copied().unwrap_or(1)
    }

    /// Counts the instruction that comes next; where the turn is to be taken before it, how many of those that
    /// have fallen behind stay behind.
    fn is_point(&mut self, at: usize, registers: &Registers) -> Option<u32> {
        let segment = (self.events, self.exploring.found.switches.len() + self.following.switches_met());
        if self.exploring.segment != segment {
            self.exploring.segment = segment;
            let steps = self.exploring.found.steps;
            self.exploring.found.stretches.push((self.events, steps));
            self.exploring.hits.clear();
        }
        *self.exploring.hits.entry(registers.rip).or_default() += 1;
        if !self.is_step(at, registers) {
            return None;
        }
        self.exploring.found.steps += 1;
        let points = self.setup.explore.map_or(&[][..], |plan| &plan.points);
        let point = points.get(self.exploring.next)?;
        (point.step <= self.exploring.found.steps).then_some(point.ahead_of)
    }

    /// Whether another thread could tell when the instruction is executed.
    fn is_step(&mut self, at: usize, registers: &Registers) -> bool {
        let (tid, tgid, index) = (self.tasks[at].tid, self.tasks[at].tgid, self.tasks[at].index);
        if self.exploring.decoded.len() > MAX_DECODED {
            self.exploring.decoded.clear();
        }
        let found = self.exploring.decoded.entry((tgid, registers.rip));
        let Some(instruction) = *found.or_insert_with(|| decode(tid, registers.rip)) else { return false };
        if instruction.mnemonic() == Mnemonic::Syscall {
            return true;
        }
        let Some(address) = address(&instruction, registers) else { return true };
        let stack = self.exploring.stacks.entry(index).or_default();
        if !stack.contains(&registers.rsp) {
            *stack = mapping_of(tid, registers.rsp);
        }
        let seen_by_others = !(registers.rsp.saturating_sub(RED_ZONE)..stack.end).contains(&address);
        if seen_by_others && self.setup.explore.is_some_and(|plan| plan.points.is_empty()) {
            self.exploring.note_touch(index, address, writes(&instruction));
        }
        seen_by_others
    }

    /// Whether a trap is that of a step made here.
    pub(super) fn is_explored_step(&self, at: usize) -> bool {
        const TRAP_BREAKPOINT: i32 = 1;
        let stepped = |code| code == libc::TRAP_TRACE || code == TRAP_BREAKPOINT;
        self.exploring.stepping
            && ptrace::signal_info(self.tasks[at].tid).is_ok_and(|(code, _)| stepped(code))
    }
}

/// The instruction at an address, if it is a call of the system or may touch memory that others see.
fn decode(tid: i32, address: u64) -> Option<Instruction> {
    let mut bytes = [0; InstructionBytes::MAX];
    let got = memory::read_some(tid, address, &mut bytes).ok()?;
    let instruction = Decoder::with_ip(64, &bytes[..got], address, DecoderOptions::NONE).decode();
    let touches = (0..instruction.op_count()).any(|operand| is_memory(instruction.op_kind(operand)));
    let thread_local = matches!(instruction.memory_segment(), Register::FS | Register::GS);
    let empty = matches!(instruction.mnemonic(), Mnemonic::Lea | Mnemonic::Nop | Mnemonic::INVALID);
    let counts = touches && !thread_local && !empty;
    (counts || instruction.mnemonic() == Mnemonic::Syscall).then_some(instruction)
}

/// Whether the memory that an instruction touches may be written: it is the target, and not only compared.
fn writes(instruction: &Instruction) -> bool {
    instruction.op_kind(0) == OpKind::Memory
        && !matches!(instruction.mnemonic(), Mnemonic::Cmp | Mnemonic::Test)
}

fn is_memory(kind: OpKind) -> bool {
    !matches!(
        kind,
        OpKind::Register
            | OpKind::NearBranch16
            | OpKind::NearBranch32
            | OpKind::NearBranch64
            | OpKind::FarBranch16
            | OpKind::FarBranch32
            | OpKind::Immediate8
            | OpKind::Immediate8_2nd
            | OpKind::Immediate16
            | OpKind::Immediate32
            | OpKind::Immediate64
            | OpKind::Immediate8to16
            | OpKind::Immediate8to32
            | OpKind::Immediate8to64
            | OpKind::Immediate32to64
    )
}

/// The address that an instruction touches, where it is one that can be said beforehand.
fn address(instruction: &Instruction, registers: &Registers) -> Option<u64> {
    let operand = (0..instruction.op_count()).find(|at| instruction.op_kind(*at) == OpKind::Memory)?;
    instruction.virtual_address(operand, 0, |register, _, _| {
        Some(match register.full_register() {
            Register::RAX => registers.rax,
            Register::RBX => registers.rbx,
            Register::RCX => registers.rcx,
            Register::RDX => registers.rdx,
            Register::RSI => registers.rsi,
            Register::RDI => registers.rdi,
            Register::RBP => registers.rbp,
            Register::RSP => registers.rsp,
            Register::R8 => registers.r8,
            Register::R9 => registers.r9,
            Register::R10 => registers.r10,
            Register::R11 => registers.r11,
            Register::R12 => registers.r12,
            Register::R13 => registers.r13,
            Register::R14 => registers.r14,
            Register::R15 => registers.r15,
            Register::CS | Register::DS | Register::ES | Register::SS => 0,
            _ => return None,
        })
    })
}

fn mapping_of(tid: i32, address: u64) -> std::ops::Range<u64> {
    let found = mappings(tid).into_iter().find(|m| m.start <= address && address < m.end);
    found.map_or(address..address + 1, |m| m.start..m.end)
}
