//! Inputs that show incidents: of the project's own test programs, each another one.

use crate::bench::carryover::Random;

/// What sort of program fails, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Compiled code that a signal ends.
    NativeFault,
    /// Compiled code that ends by itself and answers wrongly.
    NativeLogic,
    /// A program that an interpreter runs.
    Interpreted,
}

impl Class {
    pub fn name(self) -> &'static str {
        match self {
            Self::NativeFault => "native fault",
            Self::NativeLogic => "native logic",
            Self::Interpreted => "interpreted",
        }
    }
}

/// What a program is given.
#[derive(Clone, Debug, Default)]
pub struct Input {
    pub args: Vec<String>,
    pub stdin: String,
}

/// One in so many inputs reaches the function that releases change.
pub const REACHES: usize = 25;

fn words(text: &str) -> Vec<String> {
    text.split('|').map(str::to_owned).collect()
}

/// `settings` aborts where a reference leads nowhere, or round in a circle. With ten settings or more it
/// exports all of them.
pub fn settings(number: usize) -> Input {
    let mut random = Random::of(1, number as u64);
    let gone = format!("gone{number}");
    let mut args = match number % 5 {
        0 => words(&format!("more = @{gone}")),
        1 => words(&format!("list = [1, @{gone}, {number}]")),
        2 => words(&format!("a{number} = @b{number}|b{number} = @a{number}")),
        3 => words(&format!("depth = {}|deep = [@depth, @{gone}]", random.below(12))),
        _ => words(&format!("name = {gone}|link = @{gone}|broken|none =")),
    };
    let wanted = if number.is_multiple_of(REACHES) { 10 } else { args.len() + random.below(4) };
    while args.len() < wanted {
        args.push(format!("width{} = {}", args.len(), random.below(60)));
    }
    Input { args, ..Input::default() }
}

/// `machine` runs a program that divides by zero, empties its stack, or gives a wrong result. Some call
/// the native function `cube`.
pub fn machine(number: usize) -> Input {
    let mut random = Random::of(2, number as u64);
    let mut text = format!("push {number} store i\n");
    const STEPS: [&str; 8] = [
        "load i push 3 mul print",
        "load i native 0 print",
        "load i native 1 print",
        "load i native 2 print",
        "load i native 3 print",
        "load i push 7 swap sub print",
        "load i dup less print",
        "load i push 5 over add add print",
    ];
    for _ in 0..1 + random.below(6) {
        text += STEPS[random.below(STEPS.len())];
        text += "\n";
    }
    if number.is_multiple_of(REACHES) {
        text += "load i native 4 print\n";
    }
    text += match number % 3 {
        0 => "load i push 0 div halt\n",
        1 => "drop drop halt\n",
        _ => "load i push 2 mul push 1 add halt\n",
    };
    Input { stdin: text, ..Input::default() }
}

/// `json` reads a document that is broken somewhere, or answers questions about one. With six questions
/// it counts statistics.
pub fn json(number: usize) -> Input {
    let mut random = Random::of(3, number as u64);
    let value = |random: &mut Random| match random.below(6) {
        0 => format!("{}", random.below(100_000)),
        1 => format!("-{}.{}e{}", random.below(90), random.below(90), random.below(5)),
        2 => format!("\"text {}\\u00{:02x}\"", random.below(100), 0x41 + random.below(20)),
        3 => "[true, false, null]".to_owned(),
        4 => format!("{{\"inner\": [{}, [\"\\n\\t\"]]}}", random.below(50)),
        _ => "[]".to_owned(),
    };
    let mut text = format!("{{\"number\": {number}");
    for at in 0..1 + random.below(6) {
        text += &format!(", \"key{at}\": {}", value(&mut random));
    }
    let reaches = number.is_multiple_of(REACHES);
    text += match number % 5 {
        _ if reaches => "}",
        0 => ", }",
        1 => ", \"cut\": \"\\u00",
        2 => ", \"deep\": [[[[1, 2",
        3 => ", \"bad\": nul}",
        _ => "}",
    };
    let asked = if reaches { 7 } else { random.below(3) };
    Input { args: (0..asked).map(|at| format!("key{at}")).collect(), stdin: text }
}

/// The script that calls `orders`; the arguments say what.
pub const ORDERS: &str = "\
import sys
import shop
from shop import report

basket = shop.Basket(customer=sys.argv[1])
for word in sys.argv[2:]:
    name, price, count = word.split(':')
    basket.add(name, int(price), int(count))
print(report.table(basket))
print(basket.total, basket.cheapest(2), sorted(basket.labels()))
if len(sys.argv) % 2:
    print(basket.delivery(express=True), basket.remove('tea'))
print(list(shop.pairs(range(len(sys.argv)))), shop.tax(int(basket.total)))
";

/// A basket that is refused, or whose total is wrong.
pub fn orders(number: usize) -> Input {
    let mut random = Random::of(4, number as u64);
    let mut args = vec![format!("customer{number}")];
    for at in 0..1 + random.below(6) {
        args.push(format!("item{at}:{}:{}", 1 + random.below(40), 1 + random.below(9)));
    }
    match number % 3 {
        0 => args.push("tea:-1:1".to_owned()),
        1 => args.push(format!("tea:{}:0", random.below(9))),
        _ => args.push(format!("tea:{}:{}", 1 + random.below(9), 1 + random.below(9))),
    }
    Input { args, ..Input::default() }
}
