//! Uses a waker that another thread made.
use std::task::Context;
use std::thread;

fn main() {
    let waker = thread::spawn(|| {
        let waker = futures_task::noop_waker_ref();
        println!("own thread: {}", waker.will_wake(waker));
        waker
    });
    let waker = waker.join().unwrap();
    let other = thread::spawn(|| thread::sleep(std::time::Duration::from_millis(1)));
    other.join().unwrap();
    let context = Context::from_waker(waker);
    let clone = context.waker().clone();
    println!("other thread: {}", clone.will_wake(waker));
}
