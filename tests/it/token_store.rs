//! The store of API tokens, on both databases: one list of promises, and what is peculiar to each.
#![expect(
    clippy::cognitive_complexity,
    clippy::too_many_lines,
    reason = "a promise is told in one piece, and every assertion counts as a branch"
)]

mod changes;
mod database;
mod heard;
mod limits;
mod lives;
mod postgres;
mod postgres_faults;
mod sqlite;
mod trail;

/// Every promise is kept by both databases.
macro_rules! promises {
    ($($group:ident: $($name:ident),+;)+) => {
        mod on_sqlite {
            $($(#[test] fn $name() { super::database::on_sqlite(super::$group::$name) })+)+
        }
        mod on_postgres {
            $($(#[test] fn $name() { super::database::on_postgres(super::$group::$name) })+)+
        }
    };
}

promises! {
    lives:
        what_is_created_is_found,
        sql_metacharacters_in_every_text_are_just_text,
        two_concurrent_rotations_have_one_winner,
        a_rotated_token_ends_soon_and_its_replacement_is_like_it,
        what_is_over_is_not_replaced,
        revoking_again_is_not_an_error,
        a_replacement_survives_unless_its_family_ends,
        the_clock_of_the_database_judges_expiry,
        a_digest_is_replaced_once,
        a_row_that_somebody_tampered_with_is_an_error;
    limits:
        the_limit_holds_under_concurrent_creations,
        the_rate_of_creation_is_limited_and_rotating_does_not_get_around_it,
        a_rotation_does_not_count_against_the_limit,
        a_disabled_owner_has_nothing_and_gets_nothing,
        pages_are_complete_and_in_one_order,
        a_list_holds_what_the_filter_says,
        the_summary_counts_what_can_be_used;
    trail:
        every_change_is_in_the_audit_trail,
        the_audit_trail_cannot_be_changed,
        the_last_use_only_moves_forward,
        each_new_network_after_the_first_is_an_event,
        two_replicas_note_uses_of_the_same_tokens;
    changes:
        a_revision_is_never_missed,
        a_change_that_did_not_happen_has_no_revision,
        a_follower_hears_of_every_change,
        an_older_revision_makes_a_follower_forget_everything,
        a_caller_that_goes_away_leaves_nothing_behind;
}
