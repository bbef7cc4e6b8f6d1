//! What is asked, and what is made of the answer.

use tokio::net::UnixListener;

use super::*;

#[tokio::test]
async fn a_request_is_ours_from_its_first_byte() {
    for (method, body, length) in [
        (Method::GET, OrderBody::Empty, ""),
        (Method::HEAD, OrderBody::Empty, ""),
        (Method::POST, OrderBody::Empty, "content-length: 0\r\n"),
        (Method::DELETE, OrderBody::Bytes(Bytes::from_static(b"{}")), "content-length: 2\r\n"),
    ] {
        let house = played().await;
        let addr = house.listener.local_addr().unwrap();
        let mut asked = order(method.clone(), body);
        for (name, value) in [("host", "evil"), ("content-length", "9"), ("connection", "x-a"), ("x-a", "1")]
        {
            asked.headers.insert(name, http::HeaderValue::from_static(value));
        }
        asked.headers.insert("accept", http::HeaderValue::from_static("*/*"));
        let hearing = async {
            let mut line = house.accept().await;
            let head = line.head().await;
            line.say("HTTP/1.1 204 No Content\r\n\r\n").await;
            head
        };
        let (head, answered) = tokio::join!(hearing, soon(house.upstream.send(asked)));
        answered.unwrap();
        let method = method.as_str().to_ascii_lowercase();
        let mut expected = [
            format!("{method} /x?y=1 http/1.1\r\n"),
            "accept: */*\r\n".to_owned(),
            format!("host: {addr}\r\n"),
            length.to_owned(),
        ];
        let mut lines: Vec<&str> = head.split_inclusive('\n').filter(|line| *line != "\r\n").collect();
        lines.sort_unstable();
        expected.sort_unstable();
        assert_eq!(lines.concat(), expected.concat());
    }
}

#[tokio::test]
async fn an_answer_is_cleaned_and_redirects_are_answers() {
    let house = played().await;
    let addr = house.listener.local_addr().unwrap();
    let answer = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nserver: uvicorn\r\nlocation: http://{addr}/y\r\ncontent-length: 0\r\n\r\n"
    );
    let (_line, response) = house.exchange(get(), &answer).await;
    assert_eq!(response.status(), StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(response.headers()[LOCATION], "/y");
    assert_eq!(response.headers()[CONTENT_LENGTH], "0");
    assert_eq!(response.headers().len(), 2, "{:?}", response.headers());
    house.nobody_else_comes().await;
}

#[tokio::test]
async fn interim_answers_are_passed_over_and_an_upgrade_is_none() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n";
    let (_line, response) = played().await.exchange(post(), &format!("{interim}{OK}")).await;
    assert_eq!(text(response).await, "ok");

    let house = played().await;
    let answering = async {
        let mut line = house.accept().await;
        line.head().await;
        line.say("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n").await;
        line
    };
    let (_line, answered) = tokio::join!(answering, soon(house.upstream.send(post())));
    assert!(matches!(answered, Err(UpstreamError::Unanswered(_))), "{answered:?}");
}

#[tokio::test]
async fn a_head_answer_keeps_its_length() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 209715200\r\n\r\n";
    let (_line, response) = played().await.exchange(order(Method::HEAD, OrderBody::Empty), answer).await;
    assert_eq!(response.headers()[CONTENT_LENGTH], "209715200");
    assert_eq!(text(response).await, "");
}

#[tokio::test]
async fn a_unix_socket_is_as_good() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mlflow.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let upstream = Upstream::new(Settings::at(Address::Unix(path))).unwrap();
    let answering = async {
        let mut line = Line(listener.accept().await.unwrap().0);
        let head = line.head().await;
        line.say(OK).await;
        (line, head)
    };
    let ((_line, head), answered) = soon(async { tokio::join!(answering, upstream.send(get())) }).await;
    assert!(head.contains("host: localhost\r\n"), "{head}");
    assert_eq!(text(answered.unwrap()).await, "ok");
}

#[tokio::test]
async fn a_probe_takes_its_answer_within_its_time() {
    for (answer, well) in [(OK, true), ("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", false), ("", false)] {
        let house = played_with(|settings| settings.probe = SHORT * 5).await;
        let answering = async {
            let mut line = house.accept().await;
            assert!(line.head().await.starts_with("get /health http/1.1\r\n"));
            line.say(answer).await;
            line
        };
        let (_line, told) = soon(async { tokio::join!(answering, house.upstream.probe()) }).await;
        assert_eq!(told, well, "{answer:?}");
    }
}

#[test]
fn an_upstream_is_an_origin() {
    for (url, expected) in [
        ("http://127.0.0.1:5000", Some("http://127.0.0.1:5000")),
        ("http://127.0.0.1:5000/", Some("http://127.0.0.1:5000")),
        ("https://mlflow.example", Some("https://mlflow.example")),
        ("http://[::1]:5000", Some("http://[::1]:5000")),
        ("http://127.0.0.1:5000/prefix", None),
        ("http://127.0.0.1:5000?x", None),
        ("http://user:pw@127.0.0.1:5000", None),
        ("ftp://127.0.0.1", None),
    ] {
        let made = origin(&Address::Http(url.parse().unwrap()));
        let told = made.ok().map(|(scheme, authority)| format!("{scheme}://{authority}"));
        assert_eq!(told.as_deref(), expected, "{url}");
    }
}

#[tokio::test]
async fn a_debug_shows_neither_questions_nor_answers() {
    let mut asked = order(Method::POST, OrderBody::Bytes(Bytes::from_static(b"hunter2")));
    asked.path_and_query = "/x?token=hunter2".to_owned();
    asked.headers.insert("authorization", http::HeaderValue::from_static("hunter2"));
    assert_eq!(format!("{asked:?}"), "Order { method: POST, path: \"/x\", .. }");
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nhunter2";
    let (_line, response) = played().await.exchange(get(), answer).await;
    assert!(!format!("{:?}", response.body()).contains("hunter2"));
    assert_eq!(text(response).await, "hunter2");
}
