//! An MLflow that talks nonsense: its caller gets one clear error, and nobody else hears anything of it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Semaphore;

use crate::caller::{Ask, Said, ada, root};
use crate::proxy::{Proxy, answered, soon};
use crate::stub::{Answer, Heard};

const LOG_PARAM: &str = "/api/2.0/mlflow/runs/log-parameter";
const GET_IRIS: &str = "/api/2.0/mlflow/registered-models/get?name=iris";
const SEARCH: &str = "/api/2.0/mlflow/registered-models/search";
const PUT: &str = "/api/2.0/mlflow-artifacts/artifacts/1/r/artifacts/x";

fn read() -> Ask {
    Ask::get(GET_IRIS).by(&ada())
}

fn write() -> Ask {
    Ask::post(LOG_PARAM, r#"{"run_id":"r","key":"k","value":"v"}"#).by(&ada())
}

/// A sound answer that says what it answers.
fn sound(heard: &Heard) -> Answer {
    Answer::ok(&json!({ "answers": heard.target }))
}

/// Answers what `ill` says to the requests above, and soundly to everybody else.
fn ill(proxy: &Proxy, ill: impl Fn() -> Answer + Send + 'static) {
    proxy.stub.answers(move |heard| match heard.target.as_str() {
        GET_IRIS | LOG_PARAM => ill(),
        target if target.starts_with(SEARCH) => ill(),
        _ => sound(heard),
    });
}

/// Other callers, as many as there may be connections in the pool, and one more: each gets the answer to their own request.
async fn others_hear_nothing(proxy: &Proxy, after: &str) {
    for name in ["a", "b", "c"] {
        let target = format!("/api/2.0/mlflow/registered-models/get?name={name}");
        let said = proxy.send(Ask::get(target.clone()).by(&root())).await;
        assert_eq!((said.status, said.json()), (200, json!({ "answers": target })), "after {after:?}");
    }
}

/// A read that must not look whole: a clear error, or a connection that breaks off.
async fn broken_off(proxy: &Proxy, why: &str) {
    if let Ok(said) = answered(proxy.address, read().request(&proxy.clock)).await {
        assert!(said.status == 503 || said.broken, "{why:?}: {said:?}");
    }
}

#[track_caller]
fn unavailable(said: &Said, why: &str) {
    assert_eq!(said.summary(), "503 TEMPORARILY_UNAVAILABLE", "{why:?}");
    assert_eq!(said.header("retry-after"), Some("2"), "{why:?}");
}

#[track_caller]
fn aborted(said: &Said, why: &str) {
    assert_eq!(said.summary(), "409 ABORTED", "{why:?}");
    assert_eq!(said.header("retry-after"), None, "{why:?}");
}

#[tokio::test]
async fn what_is_no_answer_is_one_clear_error() {
    let proxy = Proxy::start().await;
    let many = |line: &str, count: usize| line.repeat(count);
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n";
    for nonsense in [
        String::new(),
        "\0".repeat(70_000),
        "SSH-2.0-OpenSSH_9.9\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "\0\0\u{12}\u{4}\0\0\0\0\0\0".to_owned(),
        "{\"registered_model\":{}}".to_owned(),
        "<html>nine</html>".to_owned(),
        "GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-len".to_owned(),
        "HTTP/1.1 200\r\ncontent-length".to_owned(),
        "HTTP/1.1 2 OK\r\ncontent-length: 2\r\n\r\n{}".to_owned(),
        "HTTP/1.1 2000 OK\r\ncontent-length: 2\r\n\r\n{}".to_owned(),
        "HTTP/3.0 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_owned(),
        "HTTP/0.9 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_owned(),
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n".to_owned(),
        "HTTP/1.1 100 Continue\r\n\r\n".to_owned(),
        // How long is it?
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{}".to_owned(),
        "HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n{}".to_owned(),
        format!("{ok}content-length: 3\r\n\r\n{{}}"),
        format!("{ok}content-length: 2\r\n\r\n{{}}"),
        "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\n{}".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\n{}".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{}".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551616\r\n\r\n{}".to_owned(),
        format!("{ok}transfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, gzip\r\n\r\n2\r\n{}\r\n0\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n".to_owned(),
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n".to_owned(),
        // A head that splits, or does not end.
        format!("{ok}x: a\r\n folded: b\r\n\r\n{{}}"),
        format!("{ok}x: a\rset-cookie: b\r\n\r\n{{}}"),
        format!("{ok}x: a\0b\r\n\r\n{{}}"),
        format!("{ok}x y: a\r\n\r\n{{}}"),
        format!("{ok}x : a\r\n\r\n{{}}"),
        format!("{ok}x\r\n\r\n{{}}"),
        format!("{ok}{}\r\n{{}}", many("x: y\r\n", 10_000)),
        format!("{ok}x: {}\r\n\r\n{{}}", many("y", 4 * 1024 * 1024)),
    ] {
        let said = nonsense.clone();
        ill(&proxy, move || Answer::Raw(said.clone()));
        let shown: String = nonsense.chars().take(80).collect();
        unavailable(&proxy.send(read()).await, &shown);
        aborted(&proxy.send(write()).await, &shown);
        unavailable(&proxy.send(Ask::get(SEARCH).by(&ada())).await, &shown);
        others_hear_nothing(&proxy, &shown).await;
    }
}

#[tokio::test]
async fn whatever_comes_after_an_answer_is_nobodys() {
    let proxy = Proxy::start().await;
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
    let stolen = "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"answers\":\"stolen\"}";
    for (first, whole) in [
        (format!("{answer}{stolen}"), "{}"),
        (format!("{answer}x"), "{}"),
        (format!("{answer}\r\n\r\n"), "{}"),
        (format!("{answer}HTTP/1.1 100 Continue\r\n\r\n"), "{}"),
        (format!("{answer}HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"), "{}"),
        (
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n{stolen}"),
            "{}",
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}{\"more\":1}".to_owned(), "{}"),
        (format!("HTTP/1.1 204 No Content\r\ncontent-length: 82\r\n\r\n{stolen}"), ""),
        (format!("HTTP/1.1 304 Not Modified\r\ntransfer-encoding: chunked\r\n\r\n{stolen}"), ""),
    ] {
        let said = first.clone();
        ill(&proxy, move || Answer::Kept(said.clone()));
        for ask in [read(), write()] {
            let said = proxy.send(ask).await;
            assert_eq!((said.text(), said.broken), (whole, false), "{first:?}: {said:?}");
            others_hear_nothing(&proxy, &first).await;
        }
    }
}

#[tokio::test]
async fn a_head_answer_with_a_body_leaves_nothing_behind() {
    let proxy = Proxy::start().await;
    proxy.stub.answers(|heard| match heard.method.as_str() {
        "HEAD" => Answer::Kept(
            "HTTP/1.1 200 OK\r\ncontent-length: 60\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"answers\":\"stolen\"}"
                .to_owned(),
        ),
        _ => sound(heard),
    });
    for _ in 0..3 {
        let said = proxy.send(Ask::new("HEAD", "/static-files/index.html").by(&ada())).await;
        assert_eq!((said.status, said.text(), said.header("content-length")), (200, "", Some("60")));
        others_hear_nothing(&proxy, "HEAD").await;
    }
}

#[tokio::test]
async fn a_second_answer_that_comes_late_is_nobodys() {
    let proxy = Proxy::start().await;
    for _ in 0..10 {
        let gate = Arc::new(Semaphore::new(0));
        let held = Arc::clone(&gate);
        ill(&proxy, move || {
            Answer::Twice(
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_owned(),
                Arc::clone(&held),
                "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"answers\":\"stolen\"}".to_owned(),
            )
        });
        assert_eq!(proxy.send(read()).await.text(), "{}");
        gate.add_permits(1);
        let said = async {
            while !gate.is_closed() {
                tokio::task::yield_now().await;
            }
        };
        soon(said).await;
        others_hear_nothing(&proxy, "a second answer").await;
    }
}

#[tokio::test]
async fn a_storm_of_interim_answers_is_passed_over() {
    let proxy = Proxy::start().await;
    for interim in ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"] {
        ill(&proxy, move || {
            Answer::Kept(format!("{}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{{}}", interim.repeat(1_000)))
        });
        for ask in [read(), write()] {
            let said = proxy.send(ask).await;
            assert_eq!((said.status, said.text(), said.header("link")), (200, "{}", None));
            others_hear_nothing(&proxy, interim).await;
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_at_any_byte_is_never_a_short_one() {
    let proxy = Proxy::start().await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let measured = format!("{head}content-length: 13\r\n\r\n{{\"runs\": [1]}}");
    let chunked =
        format!("{head}transfer-encoding: chunked\r\n\r\n6\r\n{{\"runs\r\n7\r\n\": [1]}}\r\n0\r\n\r\n");
    for (answer, clear) in [(&measured, measured.len()), (&chunked, chunked.find("{").expect("a body"))] {
        for cut in 0..=answer.len() {
            let part = answer.split_at(cut).0.to_owned();
            let sent = part.clone();
            ill(&proxy, move || Answer::Raw(sent.clone()));
            let written = proxy.send(write()).await;
            if cut == answer.len() {
                let read = proxy.send(read()).await;
                assert_eq!((read.text(), read.broken), ("{\"runs\": [1]}", false));
                assert_eq!((written.status, written.text()), (200, "{\"runs\": [1]}"));
                continue;
            }
            aborted(&written, &part);
            if cut <= clear {
                unavailable(&proxy.send(read()).await, &part);
            } else {
                // Of an answer that does not say its length, what came is passed on as it comes.
                broken_off(&proxy, &part).await;
            }
        }
        others_hear_nothing(&proxy, "cuts").await;
    }
}

#[tokio::test]
async fn chunks_that_are_none_break_the_answer_off() {
    let proxy = Proxy::start().await;
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for chunks in [
        "x\r\n{}\r\n0\r\n\r\n",
        "-2\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}}\r\n0\r\n\r\n",
        "2\n{}\r\n0\r\n\r\n",
        "10000000000000002\r\n{}\r\n0\r\n\r\n",
        "fffffffffffffff\r\n{}",
        "2\r\n{}\r\n0\r\nx y\r\n\r\n",
    ] {
        ill(&proxy, move || Answer::Raw(format!("{head}{chunks}")));
        broken_off(&proxy, chunks).await;
        aborted(&proxy.send(write()).await, chunks);
        others_hear_nothing(&proxy, chunks).await;
    }
}

#[tokio::test]
async fn what_hangs_is_not_waited_for_forever_and_holds_up_nobody() {
    let proxy = Proxy::with(|settings| {
        settings.upstream.head = Duration::from_millis(500);
        settings.upstream.body_stall = Duration::from_millis(500);
    })
    .await;
    for said in [
        "",
        "HTTP/1.1 200 OK\r\ncontent-",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{",
    ] {
        let never = Arc::new(Semaphore::new(0));
        ill(&proxy, move || Answer::Twice(said.to_owned(), Arc::clone(&never), String::new()));
        let (read, written, ()) = soon(async {
            tokio::join!(proxy.send(read()), proxy.send(write()), others_hear_nothing(&proxy, said))
        })
        .await;
        if said.ends_with('{') {
            assert!(read.broken, "{read:?}")
        } else {
            unavailable(&read, said)
        }
        aborted(&written, said);
        others_hear_nothing(&proxy, said).await;
    }
}

#[tokio::test]
async fn an_answer_before_the_body_is_the_answer_and_the_connection_is_not_used_again() {
    let proxy = Proxy::start().await;
    proxy.stub.answers_callers(sound);
    proxy.stub.answers_early(|heard| {
        let refusal = r#"{"error_code":"INVALID_PARAMETER_VALUE","message":"no"}"#;
        (heard.method == "PUT").then(|| Answer::Json(400, refusal.to_owned()))
    });
    for size in [0, 10, 1_000_000, 20_000_000] {
        let said = proxy.send(Ask::new("PUT", PUT).by(&ada()).body(vec![b'x'; size])).await;
        assert_eq!(said.summary(), "400 INVALID_PARAMETER_VALUE", "{size}");
        others_hear_nothing(&proxy, "an early answer").await;
    }
}

#[tokio::test]
async fn an_answers_headers_are_lines_of_their_own_and_mlflows_cookies_stay() {
    let proxy = Proxy::start().await;
    proxy.stub.answers(|_| {
        Answer::Kept(
            "HTTP/1.1 200 Set-Cookie: x=1\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nserver: uvicorn\r\n\
             access-control-allow-origin: *\r\naccess-control-allow-credentials: true\r\n\
             strange: a%0d%0aset-cookie: c=3\r\ntransfer-encoding: chunked\r\ntrailer: x-late\r\n\r\n\
             2\r\n{}\r\n0\r\nx-late: 1\r\nset-cookie: d=4\r\n\r\n"
                .to_owned(),
        )
    });
    for ask in [read(), write()] {
        let said = proxy.send(ask.header("te", "trailers")).await;
        assert_eq!((said.status, said.text()), (200, "{}"));
        for name in ["set-cookie", "server", "access-control-allow-origin", "x-late", "trailer"] {
            assert_eq!(said.header(name), None, "{name}");
        }
        assert_eq!(said.header("strange"), Some("a%0d%0aset-cookie: c=3"));
    }
}

#[tokio::test]
async fn after_an_error_of_its_own_mlflow_is_asked_on_another_connection() {
    let proxy = Proxy::start().await;
    ill(&proxy, || Answer::Json(500, r#"{"error_code":"INTERNAL_ERROR"}"#.to_owned()));
    for _ in 0..6 {
        assert_eq!(proxy.send(read()).await.status, 500);
    }
    let told: Vec<usize> = proxy.stub.forwarded().iter().map(|heard| heard.nth).collect();
    // One may come over the connection that a probe of MLflow's health has left.
    assert!(told.iter().filter(|nth| **nth > 0).count() <= 1, "{told:?}");
    others_hear_nothing(&proxy, "an error").await;
}
