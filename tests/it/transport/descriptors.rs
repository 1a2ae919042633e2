//! File descriptors run out, as they do under a flood of connections.

use std::net::TcpStream;

use crate::support::{
    eventually,
    idp::Idp,
    service::{Service, config_for},
    tokens::Token,
};

fn open_descriptors(service: &Service) -> usize {
    let directory = format!("/proc/{}/fd", service.process.id());
    std::fs::read_dir(directory).expect("it lives").count()
}

/// Fault 44.
#[test]
fn without_descriptors_nobody_is_let_in_and_with_them_everybody_is_served_again() {
    const LIMIT: u32 = 256;
    /// The kernel holds no more than 128.
    const WAITING: u32 = 60;
    let idp = Idp::start();
    let service = Service::with_descriptors(&config_for(&idp), LIMIT);
    let good = Token::of(&idp.issuer).signed();
    let bad = Token::of(&idp.issuer).claim("aud", "another").signed();
    let mut known = service.asker();
    assert_eq!(known.check_token(&good).user(), Some("alice"));
    for round in 0..3 {
        let idle: Vec<_> = (0..LIMIT + WAITING)
            .map(|_| TcpStream::connect(&service.grpc).expect("the kernel accepts"))
            .collect();
        eventually("the last descriptor", || {
            (open_descriptors(&service) + 1 >= LIMIT as usize).then_some(())
        });
        // Those who are connected notice nothing.
        for _ in 0..100 {
            assert_eq!(known.check_token(&good).user(), Some("alice"), "{round}");
            assert_eq!(known.check_token(&bad).status, 401, "{round}");
        }
        drop(idle);
        let mut new = service.asker();
        assert_eq!(new.check_token(&good).user(), Some("alice"), "{round}");
        assert_eq!(new.check_token(&bad).status, 401, "{round}");
    }
    let pages = eventually("the operator's page", || {
        let (status, page) = service.admin_page("/metrics");
        (status == 200).then_some(page)
    });
    eprintln!(
        "fault 44: 3 x {} connections to {LIMIT} descriptors; all served again",
        LIMIT + WAITING
    );
    assert!(pages.contains("atlassian_authz_panics_total 0"));
    let log = service.process.output();
    assert!(!log.contains("eyJ"), "a token in the log");
    assert!(log.lines().count() < 100_000, "a log that is flooded");
}
