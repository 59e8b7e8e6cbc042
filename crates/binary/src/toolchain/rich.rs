//! The Rich header: an undocumented list, written by Microsoft's linker, of the tools whose objects it
//! linked. Product numbers and builds as they were collected by others (the `richprint` lists).

use super::{Toolchain, ToolchainEvidence};

/// The first product numbers of the C compiler of each release, newest first, and the release.
const COMPILERS: [(std::ops::RangeInclusive<u16>, &str); 9] = [
    (0x0104..=0x0110, "14"),
    (0x00df..=0x00f0, "12.0"),
    (0x00cd..=0x00dd, "11.0"),
    (0x00aa..=0x00b5, "10.0"),
    (0x0083..=0x008e, "9.0"),
    (0x006d..=0x0077, "8.0"),
    (0x005f..=0x0060, "7.1"),
    (0x001c..=0x001d, "7.0"),
    (0x000a..=0x000b, "6.0"),
];

/// The first build of each release since 14.0, newest first.
const RELEASES: [(u16, u8); 30] = [
    (35207, 44),
    (34808, 43),
    (34433, 42),
    (34120, 41),
    (33807, 40),
    (33519, 39),
    (33130, 38),
    (32822, 37),
    (32532, 36),
    (32215, 35),
    (31933, 34),
    (31629, 33),
    (31326, 32),
    (31103, 31),
    (30705, 30),
    (30037, 29),
    (29333, 28),
    (29110, 27),
    (28801, 26),
    (28610, 25),
    (28314, 24),
    (28105, 23),
    (27905, 22),
    (27702, 21),
    (27508, 20),
    (27023, 16),
    (26428, 14),
    (25830, 12),
    (25017, 10),
    (23026, 0),
];

/// The newest compiler of the list of (product number, build): the runtime's objects are older.
pub(crate) fn identify(entries: impl Iterator<Item = (u16, u16)>) -> Option<Toolchain> {
    let release = |product: u16| COMPILERS.iter().find(|(products, _)| products.contains(&product));
    let known = entries.filter_map(|(product, build)| Some((build, release(product)?.1)));
    let (build, release) = known.max()?;
    let minor = RELEASES.iter().find(|(first, _)| *first <= build);
    let version = match (release, minor) {
        ("14", Some((_, minor))) => format!("14.{minor:02}.{build}"),
        (release, _) => format!("{release}.{build}"),
    };
    Some(Toolchain { name: "msvc".to_owned(), version, evidence: ToolchainEvidence::RichHeader })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of well-known releases: Visual Studio 2022 17.4 (compiler 19.34.31937), 2019 16.11
    /// (19.29.30133), 2010 with its service pack, 6.0 with its fifth.
    #[test]
    fn releases_are_known_by_product_and_build() {
        let version = |entries: &[(u16, u16)]| identify(entries.iter().copied()).map(|found| found.version);
        assert_eq!(version(&[(0x0105, 31937), (0x0104, 30034)]).as_deref(), Some("14.34.31937"));
        assert_eq!(version(&[(0x0102, 31937), (0x0105, 30133)]).as_deref(), Some("14.29.30133"));
        assert_eq!(version(&[(0x00ab, 40219), (0x0001, 0)]).as_deref(), Some("10.0.40219"));
        assert_eq!(version(&[(0x000b, 8966)]).as_deref(), Some("6.0.8966"));
        assert_eq!(version(&[(0x0102, 31937), (0x0001, 0)]), None, "a linker alone compiled nothing");
    }
}
