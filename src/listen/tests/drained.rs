//! The end of serving.

use super::*;
use crate::drain::Drained;

#[tokio::test]
async fn a_drain_finishes_what_is_in_flight_and_takes_nothing_new() {
    let ceilings = Ceilings { header_read: SOON * 10, ..Ceilings::default() };
    let mut house = served(ceilings).await;
    let mut idle = house.connect().await;
    greet(&mut idle).await;
    let silent = house.connect().await;
    let mut busy = house.connect().await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let (mut client, _connection) = http2(house.connect().await).await;
    let stream = client.send_request(get("/wait"));
    house.begun.recv().await.unwrap();
    house.begun.recv().await.unwrap();

    let draining = house.trigger.drain();
    let meanwhile = async {
        assert_eq!(rest(&mut idle).await, "", "an idle connection was kept");
        let error = TcpStream::connect(house.addr).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
        house.gate.add_permits(2);
        assert!(rest(&mut busy).await.ends_with("waited"));
        assert_eq!(text(soon(stream).await.unwrap()).await, "waited");
    };
    let (drained, ()) = soon(async { tokio::join!(draining, meanwhile) }).await;
    assert_eq!(drained, Drained::Cleanly);
    soon(house.server.join_next()).await.unwrap().unwrap();
    drop(silent);
}

#[tokio::test]
async fn what_is_left_at_the_deadline_is_cut() {
    let mut house = served_with(None, Ceilings::default(), SHORT).await;
    let mut busy = house.connect().await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let (mut client, _connection) = http2(house.connect().await).await;
    let stream = client.send_request(get("/wait"));
    house.begun.recv().await.unwrap();
    house.begun.recv().await.unwrap();
    assert_eq!(soon(house.trigger.drain()).await, Drained::DeadlinePassed);
    assert_eq!(rest(&mut busy).await, "");
    soon(stream).await.unwrap_err();
    soon(house.server.join_next()).await.unwrap().unwrap();
    house.dropped.recv().await.unwrap();
    house.dropped.recv().await.unwrap();
}

#[tokio::test]
async fn a_drain_is_heard_with_every_place_taken() {
    let ceilings = Ceilings { connections: 1, ..Ceilings::default() };
    let house = served(ceilings).await;
    let mut only = house.connect().await;
    greet(&mut only).await;
    let _waiting = house.connect().await;
    assert_eq!(soon(house.trigger.drain()).await, Drained::Cleanly);
}
