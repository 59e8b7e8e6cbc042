//! Counts the attributes of an element.
use quick_xml::events::Event;
use quick_xml::Reader;

fn count(number: usize) {
    let attributes: String = (0..number).map(|i| format!(" a{}=\"\"", i)).collect();
    let text = format!("<x{}/>", attributes);
    let mut reader = Reader::from_str(&text);
    if let Ok(Event::Empty(element)) = reader.read_event() {
        println!("attributes: {}", element.attributes().filter(|attribute| attribute.is_ok()).count());
    }
}

fn main() {
    count(3);
    count(40_000);
}
