//! The section `tracing`.

use url::Url;

use super::Resolver;
use crate::config::{TracingConfig, schema};

const OTLP: &str = "/tracing/otlp";

impl Resolver<'_> {
    pub(super) fn tracing(&mut self, written: &schema::Tracing) -> Option<TracingConfig> {
        match collector(&written.otlp) {
            Ok(collector) => Some(TracingConfig {
                collector,
                sample: written.sample,
            }),
            // Without the text: it may hold a password.
            Err(why) => {
                self.problem(OTLP, format!("'tracing.otlp' {why}"));
                None
            }
        }
    }
}

fn collector(text: &str) -> Result<Url, &'static str> {
    const FORM: &str = "must be http://HOST:PORT or https://HOST:PORT";
    let url = Url::parse(text).map_err(|_malformed| FORM)?;
    if !matches!(url.scheme(), "http" | "https") || !text.contains("://") {
        return Err(FORM);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user or a password");
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(
            "must end after the port: OTLP over gRPC has no path (its port is 4317 as a rule; 4318 speaks HTTP)",
        );
    }
    // Nobody means 80, which is what the URL says.
    if url.scheme() == "http" && url.port().is_none() {
        return Err("must name the port: 4317 as a rule");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::config::tests::{problems, with_sections};

    fn otlp(text: &str) -> String {
        problems(&with_sections(&format!("tracing: {{ otlp: '{text}' }}")))
    }

    #[test]
    fn a_collector_is_a_scheme_a_host_and_a_port() {
        for good in [
            "http://otel-collector.monitoring:4317",
            "http://otel-collector.monitoring:4317/",
            "http://127.0.0.1:4317",
            "http://[::1]:4317",
            "https://otlp.example.com:4317",
            "https://otlp.example.com",
            "https://otlp.example.com:443",
        ] {
            assert_eq!(otlp(good), "ok", "{good}");
        }
        for form in [
            "",
            "otel-collector:4317",
            "127.0.0.1:4317",
            "grpc://otel-collector:4317",
            "unix:/run/otel.sock",
            "http:otel-collector:4317",
            "http://",
            "http://otel collector:4317",
            "http://otel-collector:99999",
        ] {
            assert_eq!(
                otlp(form),
                "c.yaml:1:12: 'tracing.otlp' must be http://HOST:PORT or https://HOST:PORT",
                "{form}"
            );
        }
        assert_snapshot!(otlp("http://otel-collector"), @"c.yaml:1:12: 'tracing.otlp' must name the port: 4317 as a rule");
        for path in ["/v1/traces", "//", "/?", "/?x=1", "#x"] {
            assert_eq!(
                otlp(&format!("http://otel-collector:4318{path}")),
                "c.yaml:1:12: 'tracing.otlp' must end after the port: OTLP over gRPC has no path (its port is 4317 as a rule; 4318 speaks HTTP)",
                "{path}"
            );
        }
        for secret in ["hunter2@", "me:hunter2@", ":hunter2@"] {
            assert_eq!(
                otlp(&format!("https://{secret}otlp.example.com:4317")),
                "c.yaml:1:12: 'tracing.otlp' must not hold a user or a password"
            );
        }
    }

    #[test]
    fn the_section_needs_a_collector_and_takes_a_share() {
        let tracing = |members: &str| problems(&with_sections(&format!("tracing: {members}")));
        assert_snapshot!(tracing("{ sample: 1 }"), @"c.yaml:1:1: 'otlp' is missing in 'tracing'");
        assert_snapshot!(tracing("{ otlp: 4317, sample: 1.5, ratio: 1 }"), @"
        c.yaml:1:12: 'tracing.otlp' must be text such as http://otel-collector.monitoring:4317, not a number
        c.yaml:1:24: 'tracing.sample' must be at most 1
        c.yaml:1:37: unknown key 'ratio' in 'tracing': known here: otlp, sample
        ");
        assert_snapshot!(tracing("{ otlp: 'http://a:4317', sample: -0.5 }"), @"c.yaml:1:35: 'tracing.sample' must be at least 0");
        assert_eq!(tracing("{ otlp: 'http://a:4317', sample: 0 }"), "ok");
    }
}
