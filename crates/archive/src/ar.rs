//! `ar` archives in their GNU and BSD forms.

/// One member: its name and its bytes.
pub(crate) type Member<'data> = (String, &'data [u8]);

pub(crate) const MAGIC: &[u8] = b"!<arch>\n";
pub(crate) const THIN_MAGIC: &[u8] = b"!<thin>\n";
const HEADER_BYTES: usize = 60;

fn number(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

/// The members in order, without symbol tables; an error says where the archive ends.
pub(crate) fn members(data: &[u8]) -> Result<Vec<Member<'_>>, String> {
    let mut found = Vec::new();
    let mut long_names: &[u8] = &[];
    let mut at = MAGIC.len();
    while at < data.len() {
        let cut = || format!("member at {at} is cut off");
        let header = data.get(at..at + HEADER_BYTES).ok_or_else(cut)?;
        let size = number(&header[48..58]).filter(|_| &header[58..] == b"`\n");
        let size = size.ok_or_else(|| format!("no header at {at}"))?;
        let start = at + HEADER_BYTES;
        let end = start.checked_add(size).ok_or_else(cut)?;
        let body = data.get(start..end).ok_or_else(cut)?;
        let name = &header[..16];
        match name {
            name if name.starts_with(b"//") => long_names = body,
            name if name.starts_with(b"/ ") || name.starts_with(b"/SYM64/") => {}
            name => found.extend(member(name, body, long_names).filter(|(name, _)| !is_symbol_table(name))),
        }
        at = end.checked_add(size % 2).ok_or_else(cut)?;
    }
    Ok(found)
}

fn is_symbol_table(name: &str) -> bool {
    name.starts_with("__.SYMDEF")
}

fn member<'data>(name: &[u8], body: &'data [u8], long_names: &[u8]) -> Option<Member<'data>> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if let Some(length) = name.strip_prefix(b"#1/").and_then(number) {
        let (name, body) = body.split_at_checked(length)?;
        let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
        return Some((text(&name[..end]), body));
    }
    if let Some(offset) = name.strip_prefix(b"/").and_then(number) {
        let rest = long_names.get(offset..)?;
        let end = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
        return Some((text(rest[..end].strip_suffix(b"/").unwrap_or(&rest[..end])), body));
    }
    let name = text(name);
    let name = name.trim_end();
    Some((name.strip_suffix('/').unwrap_or(name).to_owned(), body))
}
