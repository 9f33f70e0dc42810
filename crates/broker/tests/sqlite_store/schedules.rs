//! Schedules in a file that several processes use, and in which somebody has written by hand.

use std::time::Duration;

use celeriac_broker::conformance::{firing_at, schedule_entry, seconds};
use celeriac_broker::sqlite::SqliteBroker;
use celeriac_broker::{Broker as _, Fired, Put, ScheduleView, Schedules as _, StoreClock};
use celeriac_core::{Overlap, Timestamp};

use crate::support::{everything, new_file, open, raw, register, url, within};

fn names(views: &[ScheduleView]) -> Vec<&str> {
    views.iter().map(|view| view.name.as_str()).collect()
}

#[tokio::test]
async fn what_somebody_wrote_by_hand_stops_no_other_schedule() {
    let (_directory, path) = new_file();
    let clock = StoreClock::manual(Timestamp::from_millis(1_764_000_000_000));
    let begun = clock.manual_now().unwrap();
    let broker = SqliteBroker::open(&url(&path), clock.clone()).await.unwrap();
    let entries = ["a", "b", "c"].map(|text| schedule_entry(text, "every 1m"));
    broker.put_schedules(&entries).await.unwrap();
    for odd in ["'no name!'", "CAST(x'fffe' AS TEXT)", "printf('%.161c', 'n')"] {
        let columns =
            "owner, timetable, definition, revision, paused, last, 0, fired, missed, skipped, fired_at, lag, job";
        let copy = format!("INSERT INTO schedules SELECT {odd}, {columns} FROM schedules WHERE name = 'a'");
        assert_eq!(raw(&path).execute(&copy, []).unwrap(), 1);
    }
    let newer = "UPDATE schedules SET definition = replace(definition, '\"task\"', '\"duty\"') WHERE name = 'b'";
    let damage =
        "UPDATE schedules SET definition = CAST(x'7bff' AS TEXT), job = 'no id!', owner = '?' WHERE name = 'c'";
    for change in [newer, damage] {
        assert_eq!(raw(&path).execute(change, []).unwrap(), 1);
    }
    let now = begun.after(seconds(1));
    clock.advance_to(now);

    let listed = broker.schedules(None, 10).await.unwrap();
    assert_eq!(names(&listed), ["a", "b", "c"]);
    let readable: Vec<_> = listed.iter().map(|view| view.schedule.is_ok()).collect();
    assert_eq!(readable, [true, false, false]);
    assert_eq!(names(&broker.schedules(Some(&listed[1].name), 1).await.unwrap()), ["c"]);
    let one = broker.due_schedules(1).await.unwrap();
    assert_eq!((names(&one.due), one.next), (vec!["a"], Some(begun)));
    let all = broker.due_schedules(10).await.unwrap();
    assert_eq!((names(&all.due), all.next), (vec!["a", "b", "c"], None));
    let firings: Vec<_> = all.due.iter().map(|view| firing_at(view, now)).collect();
    assert_eq!(broker.fire(&firings).await.unwrap(), [Fired::Done; 3]);

    // What people can do about it.
    assert!(matches!(broker.put_schedules(&entries[1..]).await.unwrap()[..], [Put::Changed, Put::Owned { .. }]));
    assert_eq!(broker.remove_schedules(&[entries[2].name.clone()], None).await.unwrap(), [true]);
    assert!(broker.schedule(&entries[1].name).await.unwrap().unwrap().schedule.is_ok());
}

#[tokio::test]
async fn beats_of_several_processes_enqueue_once_and_hear_of_changes() {
    let (_directory, path) = new_file();
    let (one, other) = (open(&path).await, open(&path).await);
    let mark = other.due_schedules(10).await.unwrap().mark;
    let entry = schedule_entry("s", "every 1m");
    let waiting = tokio::spawn({
        let other = other.clone();
        async move { other.wait_for_schedules(&mark, Duration::from_secs(3600)).await }
    });
    assert_eq!(one.put_schedules(std::slice::from_ref(&entry)).await.unwrap(), [Put::Added]);
    within(waiting).await.unwrap().unwrap();

    let (seen, too) = (one.due_schedules(10).await.unwrap().due, other.due_schedules(10).await.unwrap().due);
    assert_eq!(seen, too);
    let order = firing_at(&seen[0], seen[0].last.after(seconds(1)));
    let orders = std::slice::from_ref(&order);
    let (first, second) = tokio::join!(one.fire(orders), other.fire(orders));
    let mut answers = [first.unwrap()[0], second.unwrap()[0]];
    answers.sort_by_key(|answer| *answer == Fired::Moved);
    assert_eq!(answers, [Fired::Done, Fired::Moved]);
    let mut request = everything();
    request.queues = vec![order.jobs[0].queue.clone()];
    assert_eq!(other.fetch(&register(&other).await, &request).await.unwrap().jobs.len(), 1);

    let mut changed = entry;
    changed.schedule.overlap = Overlap::Skip;
    other.put_schedules(&[changed]).await.unwrap();
    assert_eq!(one.schedule(&order.name).await.unwrap().unwrap().revision, 2);
}
