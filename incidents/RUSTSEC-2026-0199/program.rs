//! Checks a password against hashes.
fn main() {
    let hash = bcrypt::hash("word", 4).expect("hash");
    println!("own: {:?}", bcrypt::verify("word", &hash).ok());
    let broken = format!("$2b$04${}\u{e9}{}", "a".repeat(21), "a".repeat(30));
    println!("broken: {:?}", bcrypt::verify("word", &broken).ok());
}
