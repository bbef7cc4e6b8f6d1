//! Places, shares and rates.

use bytes::Bytes;
use http_body_util::Full;

use super::testing::{ada, user};
use super::*;

fn limits(change: impl FnOnce(&mut Settings), clock: &Clock) -> Limits {
    let mut settings = Settings::default();
    change(&mut settings);
    Limits::new(settings, clock)
}

#[test]
fn a_slot_is_held_until_the_body_ends() {
    let limits = limits(|settings| settings.in_flight = 1, &Clock::held_at(0));
    let seat = || limits.admit().map(|place| limits.seat(place, &ada()).unwrap());
    let mut body = seat().unwrap().until_end_of(Full::new(Bytes::from_static(b"x")));
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(matches!(Pin::new(&mut body).poll_frame(&mut cx), Poll::Ready(Some(Ok(_)))));
    assert_eq!(seat().err(), Some(OverLimit::InFlight), "the slot was let go with the body under way");
    assert!(matches!(Pin::new(&mut body).poll_frame(&mut cx), Poll::Ready(None)));
    drop(seat().unwrap().until_end_of(Full::new(Bytes::new())));
    assert!(seat().is_ok());
}

#[test]
fn one_principal_cannot_take_every_place() {
    let limits = limits(|settings| settings.in_flight_each = 1, &Clock::held_at(0));
    let seat = |who| limits.seat(limits.admit().unwrap(), &who);
    let held = seat(ada()).unwrap();
    assert_eq!(seat(ada()).err(), Some(OverLimit::Share(1)));
    assert!(seat(user("bob")).is_ok());
    drop(held);
    assert!(seat(ada()).is_ok());
}

#[test]
fn a_rate_has_a_burst_and_comes_back_with_time() {
    let clock = Clock::held_at(1_000);
    let limits = limits(|settings| (settings.requests_per_second, settings.burst) = (2, 3), &clock);
    let charge = |who: &Principal| limits.charge(&mut limits.fare(who)).map_err(|over| over.retry_after());
    for _ in 0..3 {
        assert_eq!(charge(&ada()), Ok(()));
    }
    assert_eq!(charge(&ada()), Err(1), "half a second is said as a whole one");
    assert_eq!(charge(&user("bob")), Ok(()), "one pays for another");
    clock.advance(1);
    assert_eq!([charge(&ada()), charge(&ada()), charge(&ada())], [Ok(()), Ok(()), Err(1)]);
    clock.advance(-500);
    assert!(charge(&user("eve")).is_ok(), "a clock that was set back stops everything");
}

#[test]
fn a_slow_rate_is_waited_for_longer() {
    let clock = Clock::held_at(1_000);
    let limits = limits(|settings| (settings.requests_per_second, settings.burst) = (1, 1), &clock);
    assert!(limits.charge(&mut limits.fare(&ada())).is_ok());
    let over = limits.charge(&mut limits.fare(&ada())).unwrap_err();
    assert_eq!(over.to_string(), "you ask more often than 1 times a second; come again in 1 s");
}

#[test]
fn a_request_counts_once() {
    let limits =
        limits(|settings| (settings.requests_per_second, settings.burst) = (1, 2), &Clock::held_at(0));
    let mut fare = limits.fare(&ada());
    assert_eq!(
        [limits.charge(&mut fare), limits.charge(&mut fare), limits.charge(&mut fare)],
        [Ok(()), Ok(()), Ok(())]
    );
    assert!(limits.charge(&mut limits.fare(&ada())).is_ok());
    assert!(limits.charge(&mut limits.fare(&ada())).is_err());
}

#[test]
fn no_rate_is_no_limit() {
    let limits = limits(|settings| settings.requests_per_second = 0, &Clock::held_at(0));
    assert!((0..10_000).all(|_| limits.charge(&mut limits.fare(&ada())).is_ok()));
}
