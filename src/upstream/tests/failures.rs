//! How far did it come? What may be asked again, and what must not.

use super::*;
use crate::listen::BoxError;

fn broken() -> OrderBody {
    body_of(vec![Ok("{"), Err("the caller's cable")], None)
}

fn body_of(pieces: Vec<Result<&'static str, &'static str>>, length: Option<u64>) -> OrderBody {
    let frames = pieces.into_iter().map(|piece| piece.map(|text| http_body::Frame::data(Bytes::from(text))));
    OrderBody::stream(http_body_util::StreamBody::new(futures_util::stream::iter(frames)), length)
}

#[tokio::test]
async fn refused_is_not_sent_and_its_sentence_names_no_address() {
    let Played { listener, upstream } = played().await;
    let addr = listener.local_addr().unwrap();
    drop(listener);
    for order in [get(), post()] {
        let error = soon(upstream.send(order)).await.unwrap_err();
        assert!(matches!(error, UpstreamError::NotSent(_)), "{error:?}");
        assert_eq!(error.to_string(), "mlflow cannot be reached");
        assert!(error.detail().contains("refused"), "{}", error.detail());
        assert!(!error.to_string().contains(&addr.to_string()));
    }
    assert!(!upstream.probe().await);
}

#[tokio::test]
async fn a_handshake_that_hangs_is_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let settings = Settings { connect: SHORT, ..Settings::at(Address::Http(url.parse().unwrap())) };
    let error = soon(Upstream::new(settings).unwrap().send(post())).await.unwrap_err();
    assert!(matches!(error, UpstreamError::NotSent(_)), "{error:?}");
}

#[tokio::test]
async fn a_hanging_mlflow_has_not_answered() {
    let house = played_with(|settings| settings.head = SHORT).await;
    let hanging = async {
        let mut line = house.accept().await;
        line.head().await;
        line
    };
    let (mut line, answered) = tokio::join!(hanging, soon(house.upstream.send(post())));
    assert!(matches!(answered, Err(UpstreamError::Unanswered(_))), "{answered:?}");
    assert_eq!(line.rest().await, b"{}", "the connection is closed, not used for another request");
    house.nobody_else_comes().await;
}

#[tokio::test]
async fn a_mlflow_that_takes_nothing_has_not_answered() {
    let house = played_with(|settings| settings.head = SHORT * 3).await;
    let endless = futures_util::stream::repeat_with(|| {
        Ok::<_, BoxError>(http_body::Frame::data(Bytes::from_static(&[7; 65536])))
    });
    let body = OrderBody::stream(http_body_util::StreamBody::new(endless), None);
    let (_deaf, answered) = tokio::join!(house.accept(), soon(house.upstream.send(order(Method::PUT, body))));
    assert!(matches!(answered, Err(UpstreamError::Unanswered(_))), "{answered:?}");
}

#[tokio::test]
async fn a_write_is_never_repeated() {
    let house = played().await;
    let closing = async {
        let mut line = house.accept().await;
        line.head().await;
    };
    let ((), answered) = tokio::join!(closing, soon(house.upstream.send(post())));
    assert!(matches!(answered, Err(UpstreamError::Unanswered(_))), "on a new connection: {answered:?}");
    house.nobody_else_comes().await;

    for write in [post(), order(Method::DELETE, OrderBody::Empty)] {
        let (mut line, response) = house.exchange(get(), OK).await;
        assert_eq!(text(response).await, "ok");
        let closing = async {
            line.head().await;
            drop(line);
        };
        let ((), answered) = tokio::join!(closing, soon(house.upstream.send(write)));
        assert!(matches!(answered, Err(UpstreamError::Unanswered(_))), "on a kept connection: {answered:?}");
        house.nobody_else_comes().await;
    }
}

#[tokio::test]
async fn a_read_on_a_dead_connection_is_repeated_once() {
    let house = played().await;
    let (mut line, response) = house.exchange(get(), OK).await;
    assert_eq!(text(response).await, "ok");
    let dying = async {
        line.head().await;
        drop(line);
        let mut line = house.accept().await;
        line.head().await;
        line.say(OK).await;
        line
    };
    let (_line, answered) = tokio::join!(dying, soon(house.upstream.send(get())));
    assert_eq!(text(answered.unwrap()).await, "ok");

    let (mut line, response) = house.exchange(get(), OK).await;
    assert_eq!(text(response).await, "ok");
    let dying_twice = async {
        line.head().await;
        drop(line);
        house.accept().await.head().await;
    };
    let ((), answered) = tokio::join!(dying_twice, soon(house.upstream.send(get())));
    assert!(matches!(answered, Err(UpstreamError::Unanswered(_))), "{answered:?}");
    house.nobody_else_comes().await;
}

#[tokio::test]
async fn a_read_that_kills_its_new_connection_is_not_repeated() {
    let house = played().await;
    let dying = async { house.accept().await.head().await };
    let (_, answered) = tokio::join!(dying, soon(house.upstream.send(get())));
    assert!(matches!(answered, Err(UpstreamError::Unanswered(_))), "{answered:?}");
    house.nobody_else_comes().await;
}

#[tokio::test]
async fn a_write_survives_a_connection_that_was_closed_before_it() {
    let house = played().await;
    for _ in 0..20 {
        let (mut line, response) = house.exchange(post(), OK).await;
        assert_eq!(text(response).await, "ok");
        line.0.shutdown().await.unwrap();
        line.rest().await;
    }
}

#[tokio::test]
async fn an_unused_connection_is_ours_to_close() {
    let house = played_with(|settings| settings.idle_in_pool = SHORT).await;
    let (mut line, response) = house.exchange(get(), OK).await;
    assert_eq!(text(response).await, "ok");
    assert_eq!(line.rest().await, b"", "the pool has no timer");
}

#[tokio::test]
async fn a_caller_who_breaks_off_is_the_one_to_blame() {
    for (name, body, seen) in [
        ("broken", broken(), "1\r\n{\r\n"),
        ("short", body_of(vec![Ok("{")], Some(2)), "{"),
        ("long", body_of(vec![Ok("{"), Ok("}}")], Some(2)), "{"),
    ] {
        let house = played().await;
        let hearing = async {
            let mut line = house.accept().await;
            let heard = String::from_utf8(line.rest().await).unwrap();
            heard.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
        };
        let (heard, answered) = tokio::join!(hearing, soon(house.upstream.send(order(Method::PUT, body))));
        assert!(matches!(answered, Err(UpstreamError::CallerBroke(_))), "{name}: {answered:?}");
        assert!(seen.starts_with(&heard), "{name}: mlflow could take {heard:?} for a whole body");
    }
}

#[tokio::test]
async fn half_an_answer_is_none() {
    let short = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
    for (begun, stalls) in [(short, true), (short, false), (&short.replace("9", "99999"), true)] {
        let house = played_with(|settings| settings.body_stall = SHORT).await;
        let answering = async {
            let mut line = house.accept().await;
            line.head().await;
            line.say(begun).await;
            stalls.then_some(line)
        };
        let reading = async { collect(house.upstream.send(get()).await?.into_body(), 100_000).await };
        let (_line, read) = soon(async { tokio::join!(answering, reading) }).await;
        match read {
            Err(UpstreamError::CutShort(ReplyError::Stalled)) => assert!(stalls),
            Err(UpstreamError::CutShort(ReplyError::Broken(_))) => assert!(!stalls),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_answer_that_says_it_is_short_is_whole_before_it_is_one() {
    for (length, sent, whole) in [(9, 4, false), (9, 9, true), (70_000, 4, true), (65_536, 65_535, false)] {
        let house = played().await;
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{}", "x".repeat(sent));
        let answering = async {
            let mut line = house.accept().await;
            line.head().await;
            line.say(&answer).await;
        };
        let ((), answered) = tokio::join!(answering, soon(house.upstream.send(get())));
        assert_eq!(answered.is_ok(), whole, "{sent} of {length}");
    }
}

#[tokio::test]
async fn what_mlflow_says_before_it_is_asked_is_no_answer() {
    let house = played().await;
    for asked in [get(), post()] {
        let (mut line, response) = house.exchange(get(), OK).await;
        assert_eq!(text(response).await, "ok");
        line.say("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nstolen").await;
        let (other, response) = house.exchange(asked, OK).await;
        assert_eq!(text(response).await, "ok");
        assert_eq!(line.rest().await, b"", "nothing was asked there");
        drop(other);
    }
}

#[tokio::test]
async fn what_it_says_unasked_on_a_unix_socket_is_none_either() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mlflow.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let upstream = Upstream::new(Settings::at(Address::Unix(path))).unwrap();
    let answer = async || {
        let mut line = Line(soon(listener.accept()).await.unwrap().0);
        line.head().await;
        line.say(OK).await;
        line
    };
    let (mut first, answered) = tokio::join!(answer(), soon(upstream.send(get())));
    assert_eq!(text(answered.unwrap()).await, "ok");
    first.say("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nstolen").await;
    let (_second, answered) = tokio::join!(answer(), soon(upstream.send(post())));
    assert_eq!(text(answered.unwrap()).await, "ok");
    assert_eq!(first.rest().await, b"");
}

#[tokio::test]
async fn an_answer_is_kept_up_to_the_ceiling() {
    for (ceiling, fits) in [(2, true), (1, false)] {
        let (_line, response) = played().await.exchange(get(), OK).await;
        let read = collect(response.into_body(), ceiling).await;
        assert_eq!(read.is_ok(), fits, "{read:?}");
    }
}

#[tokio::test]
async fn a_path_that_is_too_long_is_not_mlflows_fault() {
    let mut long = get();
    long.path_and_query = format!("/{}", "%41".repeat(30_000));
    let error = played().await.upstream.send(long).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Unwritable(_)), "{error:?}");
}

#[tokio::test]
async fn nobody_waits_for_an_mlflow_without_a_sign_of_life() {
    let house = played_with(|settings| (settings.probe, settings.silence) = (SHORT, SHORT)).await;
    let mut hanging = Vec::new();
    for _ in 0..3 {
        let (line, well) = tokio::join!(house.accept(), house.upstream.probe());
        assert!(!well);
        hanging.push(line);
    }
    let error = soon(house.upstream.send(post())).await.unwrap_err();
    assert!(matches!(error, UpstreamError::NotSent(_)), "{error:?}");
    let (mut line, well) = tokio::join!(
        async {
            let mut line = house.accept().await;
            line.head().await;
            line.say(OK).await;
            line
        },
        house.upstream.probe()
    );
    assert!(well);
    let (_, answered) = tokio::join!(
        async {
            line.head().await;
            line.say(OK).await;
        },
        soon(house.upstream.send(get()))
    );
    assert_eq!(answered.unwrap().status(), StatusCode::OK);
}
