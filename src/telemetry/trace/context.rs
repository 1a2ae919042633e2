//! W3C Trace Context (Recommendation of 23 November 2021): whose child a span is.
//!
//! The headers are text of a client, or of somebody in between. What breaks a rule is as good as
//! absent: it never makes a check fail.

use opentelemetry::{
    SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceState},
};

/// §3.2
pub(crate) const TRACEPARENT: &str = "traceparent";
/// §3.3
pub(super) const TRACESTATE: &str = "tracestate";

/// `version "-" trace-id "-" parent-id "-" trace-flags` of version 00, in bytes.
const TRACEPARENT_BYTES: usize = 55;
/// §3.3.1.5: so much is to be passed on. More is left out, as a whole.
const MAX_TRACESTATE_BYTES: usize = 512;
/// §3.3.1.1
const MAX_TRACESTATE_MEMBERS: usize = 32;

/// Reads the lines of `traceparent` and, if that is valid, those of `tracestate`.
pub(super) fn parent<'h>(
    traceparent: impl Iterator<Item = &'h [u8]>,
    tracestate: impl Iterator<Item = &'h [u8]>,
) -> Option<SpanContext> {
    let (trace_id, span_id, flags) = parse_traceparent(only(traceparent)?)?;
    // Only what is recorded has any use for it.
    let state = if flags.is_sampled() {
        parse_tracestate(tracestate)
    } else {
        TraceState::NONE
    };
    Some(SpanContext::new(trace_id, span_id, flags, true, state))
}

/// §3.2: one header. Which of several is meant, nobody can know.
fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let first = items.next()?;
    items.next().is_none().then_some(first)
}

/// §3.2.2. A higher version (§3.2.4) may add fields at the end, and is read as far as this one goes.
fn parse_traceparent(text: &[u8]) -> Option<(TraceId, SpanId, TraceFlags)> {
    let (known, further) = text.split_at_checked(TRACEPARENT_BYTES)?;
    let mut fields = known.split(|byte| *byte == b'-');
    let version: [u8; 1] = lower_hex(fields.next()?)?;
    let trace_id = TraceId::from_bytes(lower_hex(fields.next()?)?);
    let span_id = SpanId::from_bytes(lower_hex(fields.next()?)?);
    let [flags] = lower_hex(fields.next()?)?;
    let is_whole = match version {
        [0] => further.is_empty(),
        [0xff] => false,
        _ => matches!(further.first(), None | Some(b'-')),
    };
    let is_valid = is_whole
        && fields.next().is_none()
        && trace_id != TraceId::INVALID
        && span_id != SpanId::INVALID;
    // §3.2.2.5.2: the other flags mean nothing here, and must not be passed on.
    let flags = TraceFlags::new(flags) & TraceFlags::SAMPLED;
    is_valid.then_some((trace_id, span_id, flags))
}

/// Exactly `N` bytes. Capital letters are not allowed (§3.2.2.3).
fn lower_hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digits
            .iter()
            .try_fold(0, |value, digit| Some((value << 4) | nibble(*digit)?))?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// §3.3: several headers are one list. Whole or not at all.
fn parse_tracestate(lines: impl Iterator<Item: AsRef<[u8]>>) -> TraceState {
    let mut list = String::new();
    for line in lines {
        let line = line.as_ref();
        let plain = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~');
        if list.len() + line.len() >= MAX_TRACESTATE_BYTES || !line.iter().all(plain) {
            return TraceState::NONE;
        }
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(&String::from_utf8_lossy(line));
    }
    if list.split(',').count() > MAX_TRACESTATE_MEMBERS {
        return TraceState::NONE;
    }
    let state: TraceState = list.parse().unwrap_or_default();
    // §3.3.1.3: neither is empty, which the library does not mind.
    let has_both = |(key, value): (&str, &str)| !key.is_empty() && !value.is_empty();
    if (&state).into_iter().all(has_both) {
        state
    } else {
        TraceState::NONE
    }
}

/// What is passed on to those whom a span asks.
pub(super) fn traceparent(context: &SpanContext) -> String {
    format!(
        "00-{}-{}-{:02x}",
        context.trace_id(),
        context.span_id(),
        context.trace_flags()
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn read(traceparent: &[&str], tracestate: &[&str]) -> Option<SpanContext> {
        parent(
            traceparent.iter().map(|text| text.as_bytes()),
            tracestate.iter().map(|text| text.as_bytes()),
        )
    }

    fn state(lines: &[&str]) -> String {
        let parent = format!("00-{TRACE}-{SPAN}-01");
        let context = read(&[&parent], lines).expect("a parent");
        context.trace_state().header()
    }

    #[test]
    fn a_traceparent_says_which_trace_which_span_and_whether_it_is_recorded() {
        for (flags, sampled) in [
            ("00", false),
            ("01", true),
            ("02", false),
            ("03", true),
            ("ff", true),
        ] {
            let text = format!("00-{TRACE}-{SPAN}-{flags}");
            let context = read(&[&text], &[]).expect("a parent");
            assert_eq!(context.trace_id().to_string(), TRACE);
            assert_eq!(context.span_id().to_string(), SPAN);
            assert_eq!(context.is_sampled(), sampled, "{flags}");
            assert!(context.is_remote());
            let passed_on = format!("00-{TRACE}-{SPAN}-0{}", u8::from(sampled));
            assert_eq!(traceparent(&context), passed_on);
        }
    }

    #[test]
    fn a_higher_version_is_read_as_far_as_this_one_goes() {
        for text in [
            format!("01-{TRACE}-{SPAN}-01"),
            format!("cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like"),
            format!("fe-{TRACE}-{SPAN}-01-"),
        ] {
            assert!(read(&[&text], &[]).is_some(), "{text}");
        }
        for text in [
            format!("01-{TRACE}-{SPAN}-01.what"),
            format!("cc-{TRACE}-{SPAN}-011"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("ff-{TRACE}-{SPAN}-01-what"),
        ] {
            assert_eq!(read(&[&text], &[]), None, "{text}");
        }
    }

    #[test]
    fn what_breaks_a_rule_is_no_parent() {
        let zeros = "0".repeat(32);
        for text in [
            String::new(),
            "-".repeat(55),
            "0".repeat(55),
            "00".to_owned(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-001"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-extra"),
            format!("00-{TRACE}-{SPAN}-01 "),
            format!(" 00-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-0x"),
            format!("00-{TRACE}-{SPAN}-.1"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("000-{TRACE}-{SPAN}-01"),
            format!("0x-{TRACE}-{SPAN}-01"),
            format!("-0-{TRACE}-{SPAN}-01"),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("00-{}-{SPAN}-01", TRACE.replace('4', "g")),
            format!("00-{TRACE}-{}-01", SPAN.replace('f', "\u{ff46}")),
            format!("00-{}-{SPAN}-01", TRACE.trim_start_matches('4')),
            format!("00-{TRACE}0-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}0-01"),
            format!("00_{TRACE}_{SPAN}_01"),
            format!("00-{SPAN}-{TRACE}-01"),
            format!("00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01;\r\nx: y"),
            "a".repeat(100_000),
        ] {
            assert_eq!(read(&[&text], &["a=1"]), None, "{text}");
        }
    }

    #[test]
    fn two_parents_are_none() {
        let text = format!("00-{TRACE}-{SPAN}-01");
        assert_eq!(read(&[], &["a=1"]), None);
        assert_eq!(read(&[&text, &text], &[]), None);
        assert_eq!(read(&[&text, ""], &[]), None);
        assert_eq!(read(&["", &text], &[]), None);
    }

    #[test]
    fn a_tracestate_is_one_list_however_many_headers_it_comes_in() {
        assert_eq!(state(&[]), "");
        assert_eq!(state(&[""]), "");
        assert_eq!(state(&["a=1"]), "a=1");
        assert_eq!(state(&["a=1, b@x=2\t,,", "c=3"]), "a=1,b@x=2,c=3");
        // Not recorded: nobody has any use for it.
        let unsampled = format!("00-{TRACE}-{SPAN}-00");
        let context = read(&[&unsampled], &["a=1"]).expect("a parent");
        assert_eq!(*context.trace_state(), TraceState::NONE);
    }

    #[test]
    fn a_tracestate_that_breaks_a_rule_is_left_out_and_the_parent_stays() {
        let long = format!("a={}", "x".repeat(250));
        let many: Vec<_> = (0..33).map(|number| format!("a{number}=1")).collect();
        let many = many.join(",");
        for lines in [
            &["a"][..],
            &["A=1"],
            &["=1"],
            &["a="],
            &["a=1", "b"],
            &["a=\u{e9}"],
            &["a=1\0"],
            &["a=1\nb=2"],
            &[&long, &long, &long],
            &[&"a=1,".repeat(200)],
            &[&many],
            &[&"x".repeat(100_000)],
            &["a=1", &"x".repeat(512)],
        ] {
            assert_eq!(state(lines), "", "{lines:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_failure(
            traceparent in proptest::collection::vec(any::<u8>(), 0..80),
            tracestate in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            drop(parent([&*traceparent].into_iter(), [&*tracestate].into_iter()));
            drop(parse_tracestate([&*tracestate].into_iter()));
        }

        #[test]
        fn what_is_accepted_is_what_was_written(
            text in "00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]",
        ) {
            let context = read(&[&text], &[]).expect("a parent");
            prop_assert_eq!(traceparent(&context), text);
        }
    }
}
