//! The constant pool (JVMS 4.4), looked through to names and contents.

use crate::bytes::Bytes;
use crate::{BinaryError, BytecodeOperand};

#[derive(Clone, Copy)]
pub(super) enum Constant<'data> {
    /// Index zero, and the second half of a long or double.
    Unusable,
    Text(&'data [u8]),
    Integer(u32),
    Long(u64),
    Class(u16),
    String(u16),
    /// A field, method or interface method: class, name and type.
    Member(u16, u16),
    NameAndType(u16, u16),
    MethodHandle(u8, u16),
    MethodType(u16),
    /// A dynamic constant or call: bootstrap method, name and type.
    Dynamic(u16, u16),
    /// A module or package.
    Named(u16),
}

pub(super) struct Pool<'data> {
    constants: Vec<Constant<'data>>,
}

/// A member's owner, name and descriptor.
pub(super) struct MemberName {
    pub owner: String,
    pub name: String,
    pub descriptor: String,
}

impl MemberName {
    pub(super) fn text(&self) -> String {
        format!("{}.{}{}", self.owner, self.name, typed(&self.descriptor))
    }
}

/// A method's descriptor stands for itself, a field's needs a colon.
pub(super) fn typed(descriptor: &str) -> String {
    if descriptor.starts_with('(') { descriptor.to_owned() } else { format!(":{descriptor}") }
}

impl<'data> Pool<'data> {
    /// Reads the pool at `at`, and says where it ends.
    pub(super) fn read(bytes: Bytes<'data>, at: u64) -> Result<(Self, u64), BinaryError> {
        let bad = || BinaryError::malformed("constant pool", "it does not end");
        let count = bytes.u16(at).ok_or_else(bad)?;
        let mut constants = vec![Constant::Unusable];
        let mut at = at + 2;
        while constants.len() < usize::from(count) {
            let (constant, length) = constant(bytes, at).ok_or_else(bad)?;
            at += length;
            constants.push(constant);
            if matches!(constant, Constant::Long(_)) {
                constants.push(Constant::Unusable);
            }
        }
        Ok((Self { constants }, at))
    }

    fn get(&self, index: u16) -> Constant<'data> {
        self.constants.get(usize::from(index)).copied().unwrap_or(Constant::Unusable)
    }

    pub(super) fn bytes(&self, index: u16) -> &'data [u8] {
        match self.get(index) {
            Constant::Text(text) => text,
            _ => &[],
        }
    }

    pub(super) fn text(&self, index: u16) -> String {
        String::from_utf8_lossy(self.bytes(index)).into_owned()
    }

    /// The name of a class, or of a module or package.
    pub(super) fn class(&self, index: u16) -> String {
        match self.get(index) {
            Constant::Class(name) | Constant::Named(name) => self.text(name),
            _ => String::new(),
        }
    }

    pub(super) fn name_and_type(&self, index: u16) -> (String, String) {
        match self.get(index) {
            Constant::NameAndType(name, descriptor) => (self.text(name), self.text(descriptor)),
            _ => Default::default(),
        }
    }

    pub(super) fn member(&self, index: u16) -> Option<MemberName> {
        let Constant::Member(class, name_and_type) = self.get(index) else { return None };
        let (name, descriptor) = self.name_and_type(name_and_type);
        Some(MemberName { owner: self.class(class), name, descriptor })
    }

    /// The bootstrap method's number, the name and the descriptor of a dynamic constant or call.
    pub(super) fn dynamic(&self, index: u16) -> Option<(u16, String, String)> {
        let Constant::Dynamic(bootstrap, name_and_type) = self.get(index) else { return None };
        let (name, descriptor) = self.name_and_type(name_and_type);
        Some((bootstrap, name, descriptor))
    }

    /// The member that a method handle refers to, with its kind (JVMS table 5.4.3.5-A).
    pub(super) fn handle(&self, index: u16) -> Option<(&'static str, MemberName)> {
        let Constant::MethodHandle(kind, member) = self.get(index) else { return None };
        let kind = match kind {
            1 => "getField",
            2 => "getStatic",
            3 => "putField",
            4 => "putStatic",
            5 => "invokeVirtual",
            6 => "invokeStatic",
            7 => "invokeSpecial",
            8 => "newInvokeSpecial",
            _ => "invokeInterface",
        };
        Some((kind, self.member(member)?))
    }

    /// What a constant says, for an operand that loads it or refers to it.
    pub(super) fn operand(&self, index: u16) -> BytecodeOperand {
        match self.get(index) {
            Constant::Integer(bits) => BytecodeOperand::Number(i64::from(bits as i32)),
            Constant::Long(bits) => BytecodeOperand::Number(bits as i64),
            Constant::String(text) => BytecodeOperand::Text(self.bytes(text).to_vec()),
            Constant::Text(text) => BytecodeOperand::Text(text.to_vec()),
            Constant::Class(name) | Constant::Named(name) => BytecodeOperand::Member(self.text(name)),
            Constant::MethodType(name) => BytecodeOperand::Member(self.text(name)),
            Constant::Member(..) => {
                BytecodeOperand::Member(self.member(index).map(|member| member.text()).unwrap_or_default())
            }
            Constant::MethodHandle(..) => {
                let handle = self.handle(index);
                let text = handle.map(|(kind, member)| format!("{kind} {}", member.text()));
                BytecodeOperand::Member(text.unwrap_or_default())
            }
            Constant::Dynamic(..) | Constant::NameAndType(..) => {
                let (_, name, descriptor) = self.dynamic(index).unwrap_or_default();
                BytecodeOperand::Member(format!("{name}{}", typed(&descriptor)))
            }
            Constant::Unusable => BytecodeOperand::Member(String::new()),
        }
    }
}

fn constant(bytes: Bytes<'_>, at: u64) -> Option<(Constant<'_>, u64)> {
    let first = || bytes.u16(at + 1);
    let second = || bytes.u16(at + 3);
    Some(match bytes.u8(at)? {
        1 => (Constant::Text(bytes.slice(at + 3, first()?.into())?), 3 + u64::from(first()?)),
        3 | 4 => (Constant::Integer(bytes.u32(at + 1)?), 5),
        5 | 6 => (Constant::Long(bytes.u64(at + 1)?), 9),
        7 => (Constant::Class(first()?), 3),
        8 => (Constant::String(first()?), 3),
        9..=11 => (Constant::Member(first()?, second()?), 5),
        12 => (Constant::NameAndType(first()?, second()?), 5),
        15 => (Constant::MethodHandle(bytes.u8(at + 1)?, bytes.u16(at + 2)?), 4),
        16 => (Constant::MethodType(first()?), 3),
        17 | 18 => (Constant::Dynamic(first()?, second()?), 5),
        19 | 20 => (Constant::Named(first()?), 3),
        _ => return None,
    })
}
