//! Whole tokens at the gate: every trap of the JWT library, issuers, and what is remembered.

#![expect(clippy::needless_pass_by_value, reason = "rows of a table hand their values over")]

use http::HeaderMap;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::testing::*;
use super::*;
use crate::principal::{RoleName, UserId};
use Unauthenticated as No;

#[track_caller]
fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A token with this header and payload under the right secret, at a gate for HS256.
#[track_caller]
fn check(header: &str, payload: &str, expected: Result<(), No>) {
    let (gate, _) = gate(vec![issuer(secret())]);
    let outcome = run(identify(&gate, &Signer::hs256().raw(header, payload)));
    assert_eq!(outcome.map(drop), expected, "{header} {payload}");
}

fn good() -> String {
    claims(json!({})).to_string()
}

fn claim(claim: &str, expected: &'static str) -> Result<(), No> {
    Err(No::Claim { claim: claim.into(), expected })
}

#[test]
fn the_header_decides_nothing() {
    check(r#"{"alg":"HS256"}"#, &good(), Ok(()));
    check(r#"{"alg":"HS256","typ":"jwt"}"#, &good(), Ok(()));
    check(r#"{"alg":"HS256","typ":"AT+JWT"}"#, &good(), Ok(()));
    check(r#"{"alg":"HS256","kid":"anything"}"#, &good(), Ok(()));
    check(r#"{"alg":"HS256","cty":"x","jku":"http://127.0.0.1:1/"}"#, &good(), Ok(()));
    check(r#"{"alg":"none"}"#, &good(), Err(No::Algorithm));
    check(r#"{"alg":"None"}"#, &good(), Err(No::Algorithm));
    check(r#"{"alg":"hs256"}"#, &good(), Err(No::Algorithm));
    check(r#"{"alg":"HS512"}"#, &good(), Err(No::Algorithm));
    check(r#"{"alg":"RS256"}"#, &good(), Err(No::Algorithm));
    check(r#"{"alg":""}"#, &good(), Err(No::Algorithm));
    check(r#"{"alg":["HS256"]}"#, &good(), Err(No::NotAToken));
    check(r#"{"typ":"JWT"}"#, &good(), Err(No::NotAToken));
    check(r#"{"alg":"HS256","alg":"none"}"#, &good(), Err(No::NotAToken));
    check(r#"{"alg":"HS256","kid":7}"#, &good(), Err(No::NotAToken));
    check(r#"{"alg":"HS256","crit":["urn:x"]}"#, &good(), Err(No::Critical));
    check(r#"{"alg":"HS256","crit":[]}"#, &good(), Err(No::Critical));
    check(r#"{"alg":"HS256","crit":null}"#, &good(), Err(No::Critical));
    check(r#"{"alg":"HS256","typ":"dpop+jwt"}"#, &good(), Err(No::Type));
    check(r#"{"alg":"HS256","typ":""}"#, &good(), Err(No::Type));
    check(r#"{"alg":"HS256","typ":null}"#, &good(), Err(No::NotAToken));
}

#[test]
fn claims_of_a_wrong_kind_or_said_twice_are_refused() {
    let header = r#"{"alg":"HS256"}"#;
    let with = |more: Value| claims(more).to_string();
    let a_time = "a number of seconds since 1970";
    check(header, &with(json!({"exp": null})), Err(No::NoClaim("exp".into())));
    check(header, &with(json!({"exp": "1900000000"})), claim("exp", a_time));
    check(header, &with(json!({"exp": [NOW + 60]})), claim("exp", a_time));
    check(header, r#"{"user_id":"a","exp":null}"#, claim("exp", a_time));
    check(header, r#"{"user_id":"a","exp":1e999}"#, Err(No::NotAToken));
    check(header, r#"{"user_id":"a","exp":1800003600.5}"#, Ok(()));
    check(header, r#"{"user_id":"a","exp":1e300}"#, Ok(()));
    check(header, &with(json!({"nbf": "0"})), claim("nbf", a_time));
    check(header, &with(json!({"iat": true})), claim("iat", a_time));
    check(header, &with(json!({"iss": 5})), claim("iss", "a text"));
    check(header, &with(json!({"iss": ["https://idp"]})), claim("iss", "a text"));
    check(header, r#"{"user_id":"a","exp":1900000000,"exp":1900000000}"#, Err(No::NotAToken));
    check(header, r#"{"user_id":"a","user_id":"b","exp":1900000000}"#, Err(No::NotAToken));
    check(header, r#"{"user_id":"a","role":"b","\u0072ole":"c","exp":1900000000}"#, Err(No::NotAToken));
    check(header, r#"{"user_id":"a","x":{"roles":1,"roles":2},"exp":1900000000}"#, Err(No::NotAToken));
    check(header, r#"["user_id"]"#, Err(No::NotAToken));
    check(header, "", Err(No::NotAToken));
    check(header, "{}", Err(No::NoClaim("exp".into())));
}

#[test]
fn time_is_held_to_with_thirty_seconds_of_leeway() {
    #[track_caller]
    fn at(more: Value, expected: &str) {
        let (gate, _) = gate(vec![issuer(secret())]);
        let outcome = run(identify(&gate, &Signer::hs256().token(None, &claims(more.clone()))));
        let said = outcome.map_or_else(|refusal| refusal.to_string(), |_| "in".into());
        assert_eq!(said, expected, "{more}");
    }
    at(json!({"exp": NOW + 1}), "in");
    at(json!({"exp": NOW - 29}), "in");
    at(json!({"exp": NOW - 30}), "token expired 30 seconds ago");
    at(json!({"exp": NOW - 200}), "token expired 3 minutes ago");
    at(json!({"exp": -5}), "token expired 20833 days ago");
    at(json!({"nbf": NOW + 30}), "in");
    at(json!({"nbf": NOW + 31}), "token is not valid for another 31 seconds");
    at(json!({"iat": NOW + 30}), "in");
    at(json!({"iat": NOW + 240}), "token says it was issued 4 minutes from now");
}

#[test]
fn a_signature_is_of_these_bytes_under_this_key() {
    let (gate, _) = gate(vec![issuer(secret())]);
    let refused = |token: &str| run(identify(&gate, token)).unwrap_err();
    let token = Signer::hs256().token(None, &claims(json!({})));
    let (message, signature) = token.rsplit_once('.').unwrap();
    let header = message.split_once('.').unwrap().0;
    let forged = b64(claims(json!({"role": "admin"})).to_string());
    assert_eq!(refused(&format!("{header}.{forged}.{signature}")), No::Signature);
    assert_eq!(refused(&format!("{message}.")), No::Signature);
    assert_eq!(refused(&format!("{message}.{}", signature.get(..20).unwrap())), No::Signature);
    assert_eq!(refused(&Signer::Hs256(Vec::new()).token(None, &claims(json!({})))), No::Signature);
    assert_eq!(refused(message), No::NotAToken);
    assert_eq!(refused(&format!("{token}.")), No::NotAToken);
    assert_eq!(refused(&format!("{token}.a.b")), No::NotAToken);
    assert_eq!(refused(".."), No::NotAToken);
    assert_eq!(refused(&format!("{}.{}.", b64(r#"{"alg":"none"}"#), b64(good()))), No::Algorithm);
}

#[test]
fn a_verified_token_says_who_it_is() {
    let (gate, _) = gate(vec![issuer(secret())]);
    let token = Signer::hs256().token(
        None,
        &claims(json!({"role": ["ci", "x", "ci"], "model_access": ["iris", "fraud_*"], "jti": "id-7"})),
    );
    let principal = run(identify(&gate, &token)).unwrap();
    assert_eq!(principal.user.as_str(), "alice@company.com");
    assert_eq!(principal.roles.iter().map(RoleName::as_str).collect::<Vec<_>>(), ["ci", "x"]);
    assert!(principal.models.covers("fraud_1") && !principal.models.covers("other"));
    assert_eq!(principal.token.as_str(), "id-7");
}

#[test]
fn a_token_without_a_sound_id_is_named_by_a_hash_that_only_this_process_can_make() {
    let bad = ["", "a\nb", &"x".repeat(129)].map(Value::from);
    for jti in bad.into_iter().chain([json!(7), json!(["a"])]) {
        let token = Signer::hs256().token(None, &claims(json!({"jti": jti})));
        let (one, other) = (gate(vec![issuer(secret())]).0, gate(vec![issuer(secret())]).0);
        let name = |gate: &Authenticator| run(gate.judge(&token)).unwrap().token.clone();
        assert_eq!(name(&one), name(&one));
        assert_ne!(name(&one), name(&other));
        assert_eq!(name(&one).as_str().len(), 16);
    }
}

fn house(names: &str, users: &[&str], roles: &[&str], key: KeySource) -> IssuerSettings {
    IssuerSettings {
        issuer: Some(names.into()),
        users: users.iter().map(|&user| user.into()).collect(),
        roles: roles.iter().map(|&role| role.into()).collect(),
        ..issuer(key)
    }
}

#[test]
fn an_issuer_vouches_for_its_own_users_and_roles_alone() {
    let other = KeySource::Hs256(Secret::new("another secret of more than 32 bytes").unwrap());
    let (gate, _) = gate(vec![
        house("https://people", &["*@company.com"], &[], secret()),
        house("https://robots", &["ci-*@robots"], &["ci"], other),
    ]);
    let people = Signer::hs256();
    let robots = Signer::Hs256("another secret of more than 32 bytes".into());
    let ask = |signer: &Signer, more: Value| {
        run(identify(&gate, &signer.token(None, &claims(more))))
            .map(|principal| principal.roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
    };
    assert_eq!(ask(&people, json!({"iss": "https://people"})).as_deref(), Ok("ml_engineer"));
    let robot = |role: &str| json!({"iss": "https://robots", "user_id": "ci-7@robots", "role": role});
    assert_eq!(ask(&robots, robot("ci")).as_deref(), Ok("ci"));
    assert_eq!(ask(&robots, robot("admin")).as_deref(), Ok(""));
    assert_eq!(ask(&robots, json!({"iss": "https://robots"})), Err(No::NotVouchedFor));
    assert_eq!(
        ask(&people, json!({"iss": "https://people", "user_id": "ci-7@robots"})),
        Err(No::NotVouchedFor)
    );
    assert_eq!(ask(&robots, json!({"iss": "https://people"})), Err(No::Signature));
    assert_eq!(ask(&people, json!({"iss": "https://people/"})), Err(No::Issuer));
    assert_eq!(ask(&people, json!({})), Err(No::NoClaim("iss".into())));
}

#[test]
fn audience_and_issuer_are_required_once_they_are_configured() {
    let only = IssuerSettings { audience: Some("mlflow".into()), ..house("https://idp", &[], &[], secret()) };
    let (gate, _) = gate(vec![only]);
    let ask = |more: Value| run(identify(&gate, &Signer::hs256().token(None, &claims(more)))).map(drop);
    assert_eq!(ask(json!({"iss": "https://idp", "aud": "mlflow"})), Ok(()));
    assert_eq!(ask(json!({"iss": "https://idp", "aud": ["other", "mlflow"]})), Ok(()));
    assert_eq!(ask(json!({"iss": "https://idp", "aud": ["other"]})), Err(No::Audience));
    assert_eq!(ask(json!({"iss": "https://idp", "aud": []})), Err(No::Audience));
    assert_eq!(ask(json!({"iss": "https://idp", "aud": "mlflow2"})), Err(No::Audience));
    assert_eq!(ask(json!({"iss": "https://idp"})), Err(No::NoClaim("aud".into())));
    assert_eq!(ask(json!({"iss": "https://idp", "aud": 1})), claim("aud", "a text or a list of texts"));
    assert_eq!(
        ask(json!({"iss": "https://idp", "aud": ["mlflow", 1]})),
        claim("aud", "a text or a list of texts")
    );
    assert_eq!(ask(json!({"aud": "mlflow"})), Err(No::NoClaim("iss".into())));
    assert_eq!(ask(json!({"iss": ["https://idp"], "aud": "mlflow"})), claim("iss", "a text"));
}

#[test]
fn settings_that_cannot_hold_are_all_named() {
    let mut wrong = settings(vec![
        house("a", &["x*"], &[], secret()),
        house("a", &["*y"], &[], secret()),
        IssuerSettings { users: vec!["z".into()], ..issuer(secret()) },
    ]);
    wrong.role_claim.clear();
    let said: Vec<_> = wrong.mistakes().iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "the name of a claim is empty",
            "issuer `a` is configured twice",
            "users `x*` of one issuer overlap with `*y` of another",
            "issuer 3 of several has no `issuer`",
        ]
    );
    assert!(matches!(try_gate(settings(Vec::new())), Err(StartError::NoIssuer)));
    for url in ["ftp://idp/jwks", "https://user:pw@idp/jwks"] {
        let source = KeySource::JwksUrl(Url::parse(url).unwrap());
        let error = try_gate(settings(vec![issuer(source)])).err().unwrap();
        assert!(!error.to_string().contains("pw"), "{error}");
        assert!(matches!(error, StartError::KeysUrl(_)), "{error}");
    }
}

#[test]
fn a_remembered_token_ends_with_its_expiry_and_the_minute() {
    let (gate, clock) = gate(vec![issuer(secret())]);
    let (short, long) = (
        Signer::hs256().token(None, &claims(json!({"exp": NOW + 20}))),
        Signer::hs256().token(None, &claims(json!({"exp": NOW + 600}))),
    );
    let held = |token: &str| {
        let now = clock.unix_seconds();
        #[expect(clippy::cast_precision_loss, reason = "a date")]
        gate.memory.recall(&Ticket::new(token, gate.version.now()), now as f64).is_some()
    };
    for token in [&short, &long] {
        assert!(!held(token));
        run(identify(&gate, token)).unwrap();
        assert!(held(token));
    }
    clock.advance(-1);
    assert!(!held(&long), "the clock was set back");
    clock.advance(20);
    assert!(held(&short) && held(&long));
    clock.advance(1);
    assert!(!held(&short) && held(&long));
    clock.advance(29);
    assert!(run(identify(&gate, &short)).is_ok(), "within the leeway it is verified anew");
    assert!(!held(&short), "and not remembered");
    clock.advance(1);
    let expired = No::Expired(std::time::Duration::from_secs(30));
    assert_eq!(run(identify(&gate, &short)).unwrap_err(), expired);
    clock.advance(9);
    assert!(held(&long));
    clock.advance(1);
    assert!(!held(&long));
}

#[test]
fn a_refused_token_is_not_remembered() {
    let (gate, clock) = gate(vec![issuer(secret())]);
    let early = Signer::hs256().token(None, &claims(json!({"nbf": NOW + 40})));
    assert!(run(identify(&gate, &early)).is_err());
    clock.advance(10);
    assert!(run(identify(&gate, &early)).is_ok());
    clock.advance(-10);
    assert!(run(identify(&gate, &early)).is_err());
}

#[test]
fn a_storm_of_tokens_that_fail_is_cut_short_and_leaves_whoever_is_known_alone() {
    let (gate, clock) = gate(vec![issuer(secret())]);
    let signed = |user: &str| Signer::hs256().token(None, &claims(json!({ "user_id": user })));
    let (known, new) = (signed("known"), signed("new"));
    let forged = |number: usize| {
        let token = signed(&number.to_string());
        let (message, _) = token.rsplit_once('.').unwrap();
        format!("{message}.{}", "A".repeat(43))
    };
    let ask = |from: [u8; 4], token: &str| {
        let headers = [(http::header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap())];
        run(gate.identify(&HeaderMap::from_iter(headers), from.into())).map(drop)
    };
    let (here, elsewhere) = ([10, 0, 0, 1], [10, 0, 0, 2]);
    ask(here, &known).unwrap();
    for _ in 0..1_000 {
        assert_eq!(ask(here, &forged(0)), Err(No::Signature), "one token again and again is one failure");
    }
    let outcomes: Vec<_> = (0..700).map(|number| ask(here, &forged(number)).unwrap_err()).collect();
    assert_eq!(outcomes.iter().filter(|why| **why == No::Signature).count(), 500);
    assert_eq!(outcomes.last(), Some(&No::TooMany));
    assert_eq!(ask(here, &new), Err(No::TooMany));
    ask(here, &known).unwrap();
    ask(elsewhere, &new).unwrap();
    clock.advance(1);
    let third = signed("third");
    ask(here, &third).unwrap();

    for second in 0..120 {
        (0..60).for_each(|number| drop(ask(here, &forged(1_000 + second * 60 + number))));
        clock.advance(1);
    }
    assert_eq!(ask(here, &forged(99_999)), Err(No::Signature));
    for number in 0..100 {
        drop(ask(here, &forged(20_000 + number)));
    }
    assert_eq!(ask(here, &forged(99_998)), Err(No::TooMany));
    ask(here, &known).expect("it held before; that it has to be verified anew is not its fault");
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_all_the_time_is_told_so_later() {
    let (gate, clock) = gate(vec![issuer(secret())]);
    let waits = async |from: [u8; 4]| {
        let begun = tokio::time::Instant::now();
        gate.hold_back(from.into()).await;
        !begun.elapsed().is_zero()
    };
    for _ in 0..4_999 {
        assert!(!waits([10, 0, 0, 1]).await);
    }
    assert!(waits([10, 0, 0, 1]).await && !waits([10, 0, 0, 2]).await);
    clock.advance(1);
    assert!(!waits([10, 0, 0, 1]).await);
}

#[test]
fn a_refusal_that_time_can_change_is_not_remembered() {
    let (gate, clock) = gate(vec![issuer(secret())]);
    let short = Signer::hs256().token(None, &claims(json!({"exp": NOW + 20})));
    clock.advance(60);
    assert!(matches!(run(identify(&gate, &short)), Err(No::Expired(_))));
    clock.advance(-50);
    assert!(run(identify(&gate, &short)).is_ok(), "the clock was set back");
}

#[test]
fn what_is_issued_is_let_in_and_expires() {
    let (gate, clock) = gate(vec![IssuerSettings {
        audience: Some("mlflow".into()),
        ..house("sekisho", &[], &[], secret())
    }]);
    let wanted = IssueClaims {
        user: UserId::new("ada").unwrap(),
        roles: vec![RoleName::new("admin").unwrap(), RoleName::new("ci").unwrap()],
        model_access: vec!["iris".into()],
        ttl: std::time::Duration::from_secs(60),
        issuer: Some("sekisho".into()),
        audience: Some("mlflow".into()),
        names: settings(Vec::new()).claim_names(),
    };
    let secret = Secret::new(SECRET).unwrap();
    let token = issue(&secret, &wanted, &clock).unwrap();
    let principal = run(identify(&gate, &token)).unwrap();
    assert_eq!(principal.user.as_str(), "ada");
    assert!(principal.has_role("admin") && principal.has_role("ci") && principal.models.covers("iris"));
    assert_eq!(uuid::Uuid::parse_str(principal.token.as_str()).unwrap().get_version_num(), 7);
    let seen = inspect(&token).unwrap();
    assert_eq!(seen.header["alg"], "HS256");
    assert_eq!(seen.claims["exp"], NOW + 60);
    clock.advance(90);
    assert!(matches!(run(identify(&gate, &token)), Err(No::Expired(_))));
    for (ttl, role_claim) in [(0, "role"), (u64::MAX, "role"), (60, "exp"), (60, "nbf"), (60, "user_id")] {
        let mut wrong = wanted.clone();
        wrong.ttl = std::time::Duration::from_secs(ttl);
        wrong.names.role = role_claim.into();
        assert!(issue(&secret, &wrong, &clock).is_err(), "{ttl} {role_claim}");
    }
    let mut dotted = wanted;
    dotted.names.role = "realm_access.roles".into();
    dotted.roles.truncate(1);
    let dotted = inspect(&issue(&secret, &dotted, &clock).unwrap()).unwrap();
    assert_eq!(dotted.claims["realm_access.roles"], "admin");
}

#[test]
fn no_sentence_shows_any_of_the_token() {
    let (gate, _) = gate(vec![issuer(secret())]);
    let marked = |header: &str, more: Value| {
        let token = Signer::hs256().raw(header, &claims(more).to_string());
        let refusal = run(identify(&gate, &token)).unwrap_err();
        assert!(!format!("{refusal} {refusal:?}").contains("MARK"), "{refusal:?}");
    };
    marked(r#"{"alg":"MARK"}"#, json!({}));
    marked(r#"{"alg":"HS256","typ":"MARK"}"#, json!({}));
    marked(r#"{"alg":"HS256","crit":["MARK"]}"#, json!({}));
    marked(r#"{"alg":"HS256"}"#, json!({"exp": "MARK"}));
    marked(r#"{"alg":"HS256"}"#, json!({"role": ["a", {"MARK": 1}]}));
    marked(r#"{"alg":"HS256"}"#, json!({"user_id": "MARK\n"}));
}

proptest! {
    #[test]
    fn no_bytes_make_the_gate_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), scheme in "(Bearer |Basic |)") {
        let (gate, _) = gate(vec![issuer(secret())]);
        let value = [scheme.as_bytes(), &bytes].concat();
        if let Ok(value) = http::HeaderValue::from_bytes(&value) {
            let headers = HeaderMap::from_iter([(http::header::AUTHORIZATION, value)]);
            prop_assert!(run(gate.identify(&headers, std::net::Ipv4Addr::LOCALHOST.into())).is_err());
        }
    }

    #[test]
    fn no_token_text_makes_the_gate_panic(header in ".{0,40}", payload in ".{0,80}", signature in "[A-Za-z0-9_-]{0,50}", tail in "[.a-z]{0,6}") {
        let (gate, _) = gate(vec![issuer(secret())]);
        let token = format!("{}.{}.{signature}{tail}", b64(&header), b64(&payload));
        prop_assert!(run(gate.judge(&token)).is_err());
        prop_assert!(inspect(&token).is_err() || json::object(payload.as_bytes()).is_ok());
    }

    #[test]
    fn no_signed_payload_makes_the_gate_panic(name in "(exp|nbf|iat|iss|aud|sub|user_id|role|model_access|jti)", value in r#"(-?[0-9]{1,25}|-?[0-9]e[0-9]{1,3}|"[^"\\]{0,9}"|\[[0-9"a,]{0,9}\]|null|\{\}|true)"#) {
        let (gate, _) = gate(vec![issuer(secret())]);
        let payload = format!(r#"{{"{name}":{value},"sub":"s"}}"#);
        drop(run(identify(&gate, &Signer::hs256().raw(r#"{"alg":"HS256"}"#, &payload))));
    }
}
