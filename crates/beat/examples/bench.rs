//! throwaway
use celeriac_beat::*; use celeriac_core::Timestamp; use std::time::Instant; use std::hint::black_box;
fn main() {
    let start = Timestamp::from_millis(1_790_000_000_000);
    for text in ["*/5 * * * *","30 2 * * *","0 3 * * MON-FRI","0 0 1 1 *","0 0 29 2 *","0 0 */29 2 0", "* * */29 2 0", "*/10 * 29 2 *", "every 5m"] {
      for zone in ["UTC","Europe/Berlin","America/New_York","America/Bogota","Africa/Casablanca"] {
        let z = Zone::named(zone).unwrap();
        let n = 20000;
        let t0 = Instant::now();
        for _ in 0..2000 { black_box(Timetable::new(black_box(text), z.clone()).unwrap()); }
        let parse = t0.elapsed()/2000;
        let t = Timetable::new(text, z).unwrap();
        let t0 = Instant::now();
        for i in 0..n { black_box(t.next_after(Timestamp::from_millis(start.as_millis() + i*7_919_000))); }
        let next = t0.elapsed()/n as u32;
        let t0 = Instant::now();
        for i in 0..n { black_box(t.latest_at_or_before(Timestamp::from_millis(start.as_millis() + i*7_919_000))); }
        let latest = t0.elapsed()/n as u32;
        println!("{text:16} {zone:18} parse {parse:?} next {next:?} latest {latest:?}");
      }
    }
    let t0 = Instant::now();
    let zones = ["UTC","Europe/Berlin","America/New_York","America/Bogota","Africa/Casablanca"];
    let all: Vec<Timetable> = (0..10_000).map(|i| format!("{} {} * * {} in {}", i%60, i%24, i%7, zones[i%5]).parse().unwrap()).collect();
    let p = t0.elapsed();
    let t0 = Instant::now();
    let s: u64 = all.iter().map(|t| t.next_after(start).unwrap().as_millis()).fold(0, |a,b| a^b);
    println!("10,000: parse {p:?} next {:?} {s}", t0.elapsed());
}
