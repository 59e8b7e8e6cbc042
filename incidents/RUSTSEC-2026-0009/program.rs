//! Parses the date of a mail.
use time::format_description::well_known::Rfc2822;
use time::OffsetDateTime;

fn main() {
    for comment in ["(a)".to_owned(), "(".repeat(500_000)] {
        let text = format!("Tue, 01 Jul 2003 10:52:37 +0200 {}", comment);
        match OffsetDateTime::parse(&text, &Rfc2822) {
            Ok(date) => println!("{} bytes: year {}", text.len(), date.year()),
            Err(_) => println!("{} bytes: refused", text.len()),
        }
    }
}
