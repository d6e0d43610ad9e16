use super::tls::{Checks, Roots};
use super::*;

fn parse(url: &str) -> Result<Address, AddressError> {
    Address::parse(&SecretString::from(url))
}

fn checks(url: &str) -> Option<Checks> {
    let address = parse(url).unwrap();
    address.endpoints[0].tls.clone().map(|tls| tls.mode)
}

#[test]
fn what_is_not_said_of_tls_follows_from_the_host_and_the_files() {
    let nothing = Some(Checks::Nothing);
    let file = || Roots::File(PathBuf::from("/ca.pem"));
    for host in [
        "127.0.0.1",
        "127.9.0.1:1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "localhost",
        "LOCALHOST",
    ] {
        assert_eq!(checks(&format!("mysql://u:p@{host}/d")), None, "{host}");
    }
    assert_eq!(
        checks("mysql://u@db.example/d?socket=/run/mysqld.sock"),
        None
    );
    for host in [
        "10.0.0.1",
        "[fd00::1]",
        "mysql",
        "db.example:3306",
        "localhost.example",
    ] {
        assert_eq!(checks(&format!("mysql://u@{host}/d")), nothing, "{host}");
        let with_ca = checks(&format!("mysql://u@{host}/d?ssl-ca=/ca.pem"));
        assert_eq!(with_ca, Some(Checks::Identity(file())), "{host}");
    }
    let identity = "mysql://u@localhost/d?ssl-cert=/c.pem&ssl-key=/k.pem";
    assert_eq!(checks(identity), nothing);
    let said = |mode: &str| checks(&format!("mysql://u@db.example/d?ssl-mode={mode}"));
    assert_eq!(said("DISABLED"), None);
    assert_eq!(said("required"), nothing);
    assert_eq!(said("VERIFY_CA"), Some(Checks::Ca(Roots::Machine)));
    assert_eq!(
        said("verify-identity"),
        Some(Checks::Identity(Roots::Machine))
    );
}

#[test]
fn a_url_that_asks_for_what_is_not_there_is_refused_with_its_reason() {
    let of = |query: &str| parse(&format!("mysql://u:hunter2@db.example/d?{query}")).unwrap_err();
    for parameter in DRIVERS_TLS {
        let expected = AddressError::DriversTls((*parameter).to_owned());
        assert_eq!(of(&format!("{parameter}=true")), expected);
    }
    for parameter in DRIVERS_POOL {
        let expected = AddressError::DriversPool((*parameter).to_owned());
        assert_eq!(of(&format!("{parameter}=1")), expected);
    }
    for parameter in OWN.iter().chain(&["prefer_socket"]) {
        let expected = AddressError::Own((*parameter).to_owned());
        assert_eq!(of(&format!("{parameter}=true")), expected);
    }
    assert!(parse("mysql://u@localhost/d?prefer_socket=false").is_ok());
    let unknown = |name: &str| AddressError::Unknown(name.to_owned());
    assert_eq!(of("sslmode=require"), unknown("sslmode"));
    assert_eq!(of("SSL-MODE=REQUIRED"), unknown("SSL-MODE"));
    assert_eq!(of("=1"), unknown(""));
    let refused = |name: &str| AddressError::Refused(name.to_owned());
    assert_eq!(of("tcp_nodelay=perhaps"), refused("tcp_nodelay"));
    assert_eq!(of("max_allowed_packet=-1"), refused("max_allowed_packet"));
    assert_eq!(of("compression=11"), refused("compression"));
    assert_eq!(
        of("ssl-mode=REQUIRED&ssl-mode=DISABLED"),
        AddressError::Twice("ssl-mode".to_owned())
    );
    assert_eq!(of("ssl-mode=preferred"), AddressError::Preferred);
    assert!(matches!(of("ssl-mode=on"), AddressError::Value { .. }));
    assert!(matches!(of("ssl-ca="), AddressError::Value { .. }));
    assert_eq!(of("ssl-cert=/c"), AddressError::HalfIdentity);
    assert_eq!(of("ssl-key=/k"), AddressError::HalfIdentity);
    let unused = |mode, file| AddressError::Unused { mode, file };
    assert_eq!(
        of("ssl-mode=DISABLED&ssl-ca=/a"),
        unused(TlsMode::Disabled, "CA")
    );
    assert_eq!(
        of("ssl-mode=REQUIRED&ssl-ca=/a"),
        unused(TlsMode::Required, "CA")
    );
    assert_eq!(
        of("ssl-mode=DISABLED&ssl-cert=/c&ssl-key=/k"),
        unused(TlsMode::Disabled, "certificate")
    );
    assert_eq!(of("socket=/s&ssl-mode=REQUIRED"), AddressError::Socket);
    assert_eq!(of("socket=/s&ssl-ca=/ca"), AddressError::Socket);
    assert_eq!(
        of("ssl-mode=DISABLED&enable_cleartext_plugin=true"),
        AddressError::ClearPassword
    );
    assert!(parse("mysql://u@db.example/d?enable_cleartext_plugin=true").is_ok());
}

#[test]
fn a_url_that_is_none_is_refused_in_one_line_without_its_password() {
    let odd = [
        "postgres://u:hunter2@h/d",
        "mysqls://u:hunter2@h/d",
        "u:hunter2@h/d",
        "",
        "mysql:",
        "mysql:u:hunter2@h",
        "mysql://",
        "mysql:///d",
        "mysql://u:hunter2@/d",
        "mysql://u:hunter2@h:port/d",
        "mysql://u:hunter2@h:99999/d",
        "mysql://u:hunter2@h:-1/d",
        "mysql://u:hunter2@[::1/d",
        "mysql://u:hunter2@h h/d",
        "mysql://u:hunter2#@h/d",
        "mysql://u:hunter2@h/d#x",
    ];
    for url in odd {
        let error = parse(url).unwrap_err();
        let told = DbError::from(error.clone()).to_string();
        let shown = format!("{told} {error:?}");
        assert!(
            !shown.contains("hunter2") && !told.contains('\n'),
            "{url}: {shown}"
        );
    }
    let fine = parse("mysql://u:hunter2@h/d").unwrap();
    assert!(!format!("{fine:?}").contains("hunter2"));
}

#[test]
fn what_the_driver_is_left_with_reaches_it() {
    let url =
        "mysql://us%40er:p%23w@h:3307/d?compression=fast&ssl-mode=VERIFY_CA&tcp_keepalive=5000";
    let address = parse(url).unwrap();
    let opts = address.endpoints[0].opts();
    assert_eq!((opts.user(), opts.pass()), (Some("us@er"), Some("p#w")));
    assert_eq!((opts.tcp_port(), opts.db_name()), (3307, Some("d")));
    assert_eq!(opts.tcp_keepalive(), Some(5000));
    assert!(opts.compression().is_some());
}

#[test]
fn a_url_may_name_several_places_of_which_all_else_is_said() {
    let address = parse("mysql://us%40er:p@a:3301,b,[::1]:3303/d?tcp_keepalive=5000").unwrap();
    let names: Vec<&str> = address
        .endpoints
        .iter()
        .map(|endpoint| endpoint.name.as_str())
        .collect();
    assert_eq!(names, ["a:3301", "b:3306", "[::1]:3303"]);
    for endpoint in address.endpoints.iter() {
        let opts = endpoint.opts();
        assert_eq!((opts.user(), opts.db_name()), (Some("us@er"), Some("d")));
        assert_eq!(opts.tcp_keepalive(), Some(5000));
    }
    // Beyond this machine a place is reached by TLS, whatever the others are.
    let is_encrypted: Vec<bool> = address
        .endpoints
        .iter()
        .map(|endpoint| endpoint.tls.is_some())
        .collect();
    assert_eq!(is_encrypted, [true, true, false]);
}

#[test]
fn places_are_bounded_and_different() {
    let of = |count: usize| {
        let hosts: Vec<String> = (0..count).map(|index| format!("h{index}")).collect();
        parse(&format!("mysql://u@{}/d", hosts.join(",")))
    };
    assert_eq!(of(PLACES_MAX).unwrap().endpoints.len(), PLACES_MAX);
    assert_eq!(of(PLACES_MAX + 1).unwrap_err(), AddressError::TooMany);
    let same = |name: &str| AddressError::SamePlace(name.to_owned());
    assert_eq!(
        parse("mysql://u@a,b:1,a:3306/d").unwrap_err(),
        same("a:3306")
    );
    let socket = parse("mysql://u@localhost,b/d?socket=/s");
    assert_eq!(socket.unwrap_err(), AddressError::SocketOfSeveral);
    for odd in [
        "mysql://u@a,/d",
        "mysql://u@,a/d",
        "mysql://u@a,,b/d",
        "mysql://u@a:1,b:x/d",
    ] {
        assert!(parse(odd).is_err(), "{odd}");
    }
}
