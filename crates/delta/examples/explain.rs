//! Prints what differs in words, or one function side by side: `explain A B [ADDRESS_A ADDRESS_B]`.
#![expect(clippy::print_stdout, reason = "it is a program for the terminal")]

use assay_binary::Address;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (a, b) = (std::fs::read(&arguments[0])?, std::fs::read(&arguments[1])?);
    let address = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).map(Address);
    if let [_, _, x, y] = arguments.as_slice() {
        for row in assay_delta::explain(&a, &b, address(x)?, address(y)?)?.rows {
            let mark = if row.same { ' ' } else { '|' };
            println!("{:60} {mark} {}", row.a.unwrap_or_default(), row.b.unwrap_or_default());
        }
        return Ok(());
    }
    for entry in assay_delta::diff_files(&a, &b)?.functions.changed {
        println!("{}: {} {:?} {:?}", entry.name, entry.why, entry.address_a, entry.details);
    }
    Ok(())
}
