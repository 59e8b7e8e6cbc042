//! Compiles an expression to a regular expression.
use rulex::options::CompileOptions;
use rulex::Rulex;

fn main() {
    for depth in [1, 50_000] {
        let text = "(".repeat(depth) + "'a'" + &")".repeat(depth);
        match Rulex::parse_and_compile(&text, Default::default(), CompileOptions::default()) {
            Ok(compiled) => println!("{} levels: {}", depth, compiled),
            Err(_) => println!("{} levels: refused", depth),
        }
    }
}
