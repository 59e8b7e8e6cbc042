//! What other people's tools packed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use assay_archive::{ArchiveError, Limits, walk};

/// The walked files by path.
pub fn files(name: &str, data: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let walked = walk(name, data, &Limits::default(), &mut |path, bytes| {
        found.insert(path.to_owned(), bytes.to_vec());
    });
    assert_eq!(walked.unwrap().warnings, Vec::<String>::new(), "{name}");
    found
}

/// Runs a tool in a folder; none (with a line that says so) where it is not installed.
fn tool(folder: &Path, program: &str, arguments: &[&str]) -> Option<()> {
    match Command::new(program).args(arguments).current_dir(folder).output() {
        Ok(out) => {
            assert!(out.status.success(), "{program}: {}", String::from_utf8_lossy(&out.stderr));
            Some(())
        }
        Err(error) => {
            eprintln!("skipped: {program}: {error}");
            None
        }
    }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("inner")).unwrap();
    std::fs::write(folder.path().join("inner/one.txt"), b"one").unwrap();
    let long = format!("inner/{}.txt", "a-long-name".repeat(12));
    std::fs::write(folder.path().join(long), vec![7; 100_000]).unwrap();
    folder
}

fn check(found: &BTreeMap<String, Vec<u8>>, outer: &str) {
    let long = format!("{outer}!/inner/{}.txt", "a-long-name".repeat(12));
    assert_eq!(found.keys().cloned().collect::<Vec<_>>(), [long.clone(), format!("{outer}!/inner/one.txt")]);
    assert_eq!(found[&format!("{outer}!/inner/one.txt")], b"one");
    assert_eq!(found[&long], vec![7; 100_000]);
}

#[test]
fn tar_with_every_compression() {
    let folder = folder();
    for (option, name) in [("-cf", "t.tar"), ("-czf", "t.tgz"), ("-cJf", "t.tar.xz")] {
        let Some(()) = tool(folder.path(), "tar", &[option, name, "inner"]) else { return };
        check(&files(name, &std::fs::read(folder.path().join(name)).unwrap()), name);
    }
    if tool(folder.path(), "zstd", &["-q", "t.tar", "-o", "t.tar.zst"]).is_some() {
        check(&files("t.tar.zst", &std::fs::read(folder.path().join("t.tar.zst")).unwrap()), "t.tar.zst");
    }
    for format in ["v7", "ustar", "gnu", "pax"] {
        let arguments = ["--format", format, "-cf", "f.tar", "inner/one.txt"];
        let Some(()) = tool(folder.path(), "tar", &arguments) else { return };
        let data = std::fs::read(folder.path().join("f.tar")).unwrap();
        if format != "v7" {
            assert_eq!(files("f.tar", &data)["f.tar!/inner/one.txt"], b"one", "{format}");
        }
    }
}

#[test]
fn jars_and_zips() {
    let folder = folder();
    let Some(()) = tool(folder.path(), "jar", &["cfM", "t.jar", "inner"]) else { return };
    check(&files("t.jar", &std::fs::read(folder.path().join("t.jar")).unwrap()), "t.jar");
}

#[test]
fn static_libraries() {
    let folder = folder();
    let long = format!("{}.txt", "a-long-name".repeat(12));
    let inner = folder.path().join("inner");
    let Some(()) = tool(&inner, "ar", &["rc", "t.a", "one.txt", &long]) else { return };
    let found = files("t.a", &std::fs::read(inner.join("t.a")).unwrap());
    assert_eq!(found["t.a!/one.txt"], b"one");
    assert_eq!(found[&format!("t.a!/{long}")].len(), 100_000);
    if tool(&inner, "llvm-ar-14", &["rc", "--format=bsd", "b.a", "one.txt", &long]).is_some() {
        assert_eq!(files("b.a", &std::fs::read(inner.join("b.a")).unwrap()).len(), 2);
    }
    tool(&inner, "ar", &["rcT", "thin.a", "one.txt"]).unwrap();
    let thin = std::fs::read(inner.join("thin.a")).unwrap();
    let refused = walk("thin.a", &thin, &Limits::default(), &mut |_, _| {});
    assert_eq!(refused, Err(ArchiveError::ThinArchive { path: "thin.a".to_owned() }));
}

#[test]
fn a_debian_package_is_walked_to_its_files() {
    let folder = folder();
    let package = folder.path().join("package");
    std::fs::create_dir_all(package.join("DEBIAN")).unwrap();
    std::fs::create_dir_all(package.join("usr/lib")).unwrap();
    let control =
        "Package: t\nVersion: 1\nArchitecture: all\nMaintainer: t <t@example.org>\nDescription: t\n";
    std::fs::write(package.join("DEBIAN/control"), control).unwrap();
    std::fs::write(package.join("usr/lib/libt.so"), b"\x7fELF not really").unwrap();
    for compression in ["gzip", "xz", "zstd"] {
        let compression = format!("-Z{compression}");
        let arguments = ["--root-owner-group", &compression, "-b", "package", "t.deb"];
        let Some(()) = tool(folder.path(), "dpkg-deb", &arguments) else { return };
        let found = files("t.deb", &std::fs::read(folder.path().join("t.deb")).unwrap());
        let library = found.iter().find(|(path, _)| path.ends_with("!/usr/lib/libt.so"));
        assert_eq!(library.unwrap().1, b"\x7fELF not really", "{compression}");
        assert!(found.iter().any(|(path, bytes)| path.ends_with("!/control") && bytes == control.as_bytes()));
    }
}

/// An OCI layout in a tar: layers lie in it as blobs under their digests.
#[test]
fn layers_of_an_image_are_walked() {
    let folder = folder();
    let root = folder.path();
    std::fs::create_dir_all(root.join("image/blobs/sha256")).unwrap();
    std::fs::write(root.join("image/oci-layout"), b"{\"imageLayoutVersion\":\"1.0.0\"}").unwrap();
    let Some(()) = tool(root, "tar", &["-czf", "image/blobs/sha256/0123", "inner"]) else { return };
    tool(root, "tar", &["-cf", "image.tar", "-C", "image", "."]).unwrap();
    let found = files("image.tar", &std::fs::read(root.join("image.tar")).unwrap());
    assert_eq!(found["image.tar!/blobs/sha256/0123!/inner/one.txt"], b"one");
    assert!(found.contains_key("image.tar!/oci-layout"));
}

#[test]
fn what_is_no_container_is_handed_out_itself() {
    assert_eq!(files("t.txt", b"plain")["t.txt"], b"plain");
    assert_eq!(files("empty", b"")["empty"], b"");
}
