//! The list of all cases. A test compares it with the functions that exist.

/// Makes a test of each case of the suite, for the store that `$make_store` opens.
///
/// `$make_store` names an async function without arguments that returns a [`Fixture`](crate::conformance::Fixture).
#[macro_export]
macro_rules! conformance_suite {
    ($make_store:ident) => {
        $crate::conformance_cases! { $make_store;
            enqueue {
                an_accepted_job_is_ready
                the_store_stamps_a_new_job
                a_job_keeps_its_options_and_priority
                a_batch_sent_again_is_answered_as_the_first_time
                a_resend_does_not_revive_a_job_that_ended
                a_gap_changes_nothing
                an_empty_batch_fills_a_number
                the_first_batch_of_an_old_lane_is_a_gap
                a_lane_in_use_does_not_age
                lanes_count_on_their_own
                a_full_batch_is_accepted_in_order
                a_batch_may_span_queues
                a_given_id_is_refused_while_a_job_has_it
                a_given_id_is_refused_while_an_end_has_it
                a_given_id_is_free_again_without_job_and_end
                a_refused_id_leaves_the_rest_of_its_batch
                a_start_in_the_past_is_ready_at_once
            }
            priorities {
                urgent_jobs_come_first
                the_least_urgent_come_first_when_asked_for
                priorities_do_not_reorder_queues
                a_priority_stays_with_its_job
            }
            unique {
                a_unique_key_is_held_until_its_job_ends
                every_end_frees_a_unique_key
                the_first_of_a_batch_gets_the_unique_key
                a_refusal_leaves_nothing_of_the_job
                a_retried_job_takes_its_key_again
                a_stale_settlement_frees_no_key
            }
            control {
                a_revoked_ready_job_never_starts
                a_revoked_scheduled_job_never_starts
                a_revoked_parked_job_never_starts
                a_revoked_suspect_never_starts
                the_worker_of_a_revoked_job_is_told
                a_revocation_ends_a_wait_for_orders
                a_revoked_running_job_cannot_go_on
                a_revocation_outlives_the_worker
                a_job_of_a_condemned_worker_can_be_revoked
                a_revocation_answers_for_each_id
                the_id_of_a_revoked_job_is_in_use
                a_revocation_ends_a_wait_for_the_result
                a_purge_ends_what_is_ready
                a_purge_is_bounded
                only_dead_jobs_are_deleted
            }
            notes {
                what_a_job_tells_is_kept
                only_the_holder_tells
                the_newest_lines_are_kept
                what_a_job_told_does_not_go_early
                dead_jobs_are_paged
                no_dead_job_is_missed
                waiting_jobs_are_paged
                parked_and_running_jobs_are_paged
                a_page_is_filtered
                retries_are_paged_by_their_due_time
                a_foreign_page_mark_is_refused
            }
            exchange {
                an_exchange_settles_and_fetches
                an_exchange_that_brings_nothing_leaves_nothing_held
                an_exchange_may_bring_what_it_handed_back
                an_exchange_says_what_was_not_held
                an_exchange_of_an_older_generation_does_nothing
                a_fetch_says_whether_more_is_ready
            }
            fetch {
                jobs_of_a_queue_come_in_the_order_of_their_acceptance
                queues_are_served_in_the_order_asked_for
                a_fetch_takes_at_most_what_it_asks_for
                a_fetch_is_bounded
                a_fetch_stops_before_too_many_bytes
                a_job_too_big_for_any_fetch_comes_alone
                a_job_is_handed_out_once
                tokens_grow_across_workers_and_handles
                tokens_grow_when_the_clock_is_set_back
                two_deliveries_never_share_a_job
                a_fetch_tells_the_time
            }
            due {
                a_delayed_job_is_not_ready_before_it_is_due
                a_due_job_is_ready_after_a_promotion
                a_job_is_promoted_once
                the_earliest_is_promoted_first_and_only_so_many
                a_promoted_job_joins_the_end_of_its_queue
                each_round_tells_the_next_due_time
                a_delay_of_zero_is_ready_at_once
                an_endless_delay_is_kept_waiting
            }
            sessions {
                a_worker_is_listed_while_it_is_registered
                all_sessions_are_of_one_life_of_the_store
                each_worker_is_listed_with_its_jobs
                nothing_is_done_without_a_registration
                an_older_generation_can_neither_fetch_nor_settle
                a_reconcile_returns_what_is_held
                a_reconcile_can_be_sent_again
                generations_follow_the_clock
                a_heartbeat_of_an_older_generation_counts
                an_older_generation_cannot_deregister
                a_deregistered_worker_without_jobs_leaves_no_lease
                a_heartbeat_tells_time_tokens_and_jobs
                a_deregistered_worker_leaves_its_jobs_to_the_reclaimer
                two_lives_of_one_name_are_two_workers
                a_sibling_is_the_same_store
            }
            settle {
                success_keeps_the_end_and_not_the_record
                success_without_an_end_leaves_nothing
                a_retry_waits_and_comes_again
                a_dead_job_keeps_record_and_end
                a_dead_job_without_an_end_is_still_listed
                a_job_handed_back_is_the_first_of_its_queue
                a_parked_job_is_kept_aside
                a_wrong_token_settles_nothing
                a_stale_lease_cannot_settle
                a_second_settlement_changes_nothing
                one_call_settles_a_job_once
                one_call_settles_every_kind
                a_full_fetch_is_settled_in_one_call
                nobody_settles_for_a_worker_that_lives
            }
            leases {
                a_worker_without_jobs_has_no_lease
                a_fetch_begins_a_lease
                a_fetch_renews_the_lease
                a_heartbeat_renews_the_lease
                the_heartbeat_after_the_last_settlement_ends_the_lease
                a_worker_is_condemned_only_after_its_lease
                a_late_heartbeat_before_the_verdict_saves_the_worker
                a_condemned_worker_can_do_nothing
                a_worker_is_condemned_once
                a_look_condemns_only_so_many
                only_the_worker_whose_lease_ended_is_condemned
            }
            drain {
                drained_jobs_become_suspects
                what_a_condemned_worker_holds_can_be_read
                another_reclaimer_finishes_what_one_began
                a_drain_is_finished_only_when_nothing_is_held
                two_that_drain_settle_each_job_once
                a_suspect_is_for_a_worker_that_holds_nothing
                suspects_stand_in_one_line
                a_suspect_comes_alone
                a_suspect_of_another_queue_is_not_handed_out
                a_retried_suspect_stays_one
                a_suspect_handed_back_stays_one
                a_suspect_handed_back_waits_behind_the_others
                a_suspect_of_a_paused_queue_is_not_announced
                the_third_loss_is_the_end
            }
            waiting {
                a_wait_ends_when_its_time_is_over
                work_that_came_before_is_not_missed
                new_work_ends_a_wait
                work_that_is_left_wakes_another_worker
                steps_that_begin_with_an_exchange_wake_another_worker
                a_dropped_wait_takes_nothing_along
                a_worker_can_wait_again_after_a_dropped_wait
                a_promotion_ends_a_wait
                each_promotion_wakes_for_its_part
                resuming_a_queue_ends_a_wait
                a_hand_back_ends_a_wait
                a_suspect_ends_a_wait
                a_release_ends_a_wait
                a_wait_that_fetches_brings_work
                a_wait_that_fetches_ends_when_told_to
                a_wait_of_an_older_generation_takes_nothing
                a_look_wakes_for_work_that_nobody_was_told_of
                a_look_says_whether_work_waits
            }
            results {
                no_end_before_the_end
                an_end_is_forgotten_after_its_time
                a_wait_for_an_end_that_is_there_is_answered
                a_wait_is_answered_when_the_job_ends
                a_thousand_waits_are_answered
                a_dropped_wait_leaves_the_others
                a_fresh_handle_can_wait
            }
            upkeep {
                parked_jobs_of_known_tasks_are_released
                a_release_is_bounded
                a_released_suspect_stays_one
                a_dead_job_is_retried_by_hand
                only_dead_jobs_are_retried_by_hand
                a_clean_up_removes_old_dead_jobs
                a_clean_up_leaves_the_living
                a_paused_queue_hands_out_nothing
                a_queue_can_be_paused_before_its_first_job
                a_pause_keeps_nobody_from_settling
                a_clean_up_removes_workers_that_vanished
                a_pruned_id_is_free_again
            }
            inspect {
                an_empty_store_shows_nothing
                each_state_can_be_listed
                a_queue_counts_each_job_once
                a_listing_can_be_narrowed
                the_newest_is_listed_first
                a_queue_tells_how_long_its_oldest_job_waits
                every_queue_that_was_used_is_listed
                a_running_job_names_its_worker
                namespaces_do_not_see_each_other
                a_fit_store_says_so_and_is_left_as_it_was
            }
            schedules {
                a_new_schedule_begins_now
                an_occurrence_becomes_a_job_once
                a_changed_schedule_is_not_fired_as_it_was
                one_that_rested_begins_anew
                another_timetable_begins_anew
                an_unchanged_schedule_keeps_its_past
                a_schedule_belongs_to_its_owner
                a_removed_schedule_is_not_fired
                a_paused_schedule_occurs_no_more
                what_is_due_comes_in_portions
                a_schedule_may_have_no_next_occurrence
                an_occurrence_is_skipped_while_the_one_before_is_unfinished
                occurrences_lie_behind_the_last_one
                calls_about_schedules_are_bounded
                several_occurrences_are_enqueued_at_once
                a_taken_unique_key_skips_an_occurrence
                schedules_are_listed_by_name
                a_change_ends_the_wait_of_every_beat
                far_instants_of_a_schedule_are_kept
            }
            workflows {
                a_workflow_that_begins_enqueues_its_first_steps
                a_workflow_is_put_once
                a_workflow_is_put_in_parts
                calls_about_workflows_are_bounded
                a_new_workflow_forgets_the_end_of_its_id
                an_event_comes_until_it_is_finished
                an_event_that_comes_again_is_not_finished
                the_oldest_events_come_first
                a_look_says_whether_events_wait
                workflows_are_listed_newest_first
                a_workflow_ends_once
                an_end_is_noted_only_of_a_workflow_that_has_come_to_it
                a_clean_up_removes_old_workflows
                a_workflow_that_never_begins_is_removed
                a_workflow_that_ended_unbegun_is_removed
                a_clean_up_of_workflows_is_bounded
                a_revoked_workflow_begins_nothing
                a_workflow_that_has_succeeded_is_not_revoked
                a_failed_workflow_that_is_revoked_ends_anew
                waiting_jobs_of_a_halted_workflow_are_withdrawn
                a_withdrawn_step_can_begin
                nothing_is_done_for_an_unknown_workflow
                a_step_outlives_its_workflow
            }
            followers {
                followers_are_dealt_with_in_parts
                the_last_part_ends_a_join
                no_follower_is_dealt_with_while_halted
                what_began_before_its_turn_begins_once
                what_an_id_has_left_behind_is_seen
                members_that_end_together_count_once_each
            }
            steps {
                a_step_begins_what_waits_for_it_alone
                a_job_without_a_gap_begins_as_it_is
                a_follower_without_a_stored_job_is_an_event
                ends_are_counted_for_what_waits_for_several
                the_end_of_the_last_step_is_an_event
                many_followers_are_pending
                a_long_result_leaves_followers_pending
                a_dead_step_halts_its_workflow
                a_failure_that_waits_halts_nothing
                a_failure_that_is_a_value_goes_on
                a_dead_callback_counts_for_nothing
                what_follows_in_a_halted_workflow_is_pending
                a_step_begins_once
                a_job_that_has_begun_waits_no_more
                a_step_that_begins_joins_the_end_of_its_queue
                a_failed_step_begins_again
                the_last_failed_step_that_begins_again_resumes
                a_retried_job_resumes_its_workflow
                a_retried_job_of_a_revoked_workflow_resumes_nothing
                a_step_without_a_job_fails
                a_good_end_stays
                a_good_end_replaces_a_failure
                a_step_that_never_ran_has_ended
                a_step_that_goes_on_has_not_ended
                ends_are_read_in_portions
                only_steps_of_the_workflow_begin
            }
            payloads {
                arguments_are_kept_byte_by_byte
                held_jobs_are_found_by_name
                arguments_survive_going_round
                a_result_is_kept_as_it_is
                the_longest_names_are_kept
            }
        }
    };
}

/// Makes a module of tests for each group of cases.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_cases {
    ($make_store:ident; $($group:ident { $($case:ident)* })*) => {
        $(mod $group {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $case() -> $crate::conformance::Outcome {
                    let context = $crate::conformance::Context::new(super::$make_store().await);
                    $crate::conformance::$group::$case(context).await
                }
            )*
        })*
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_case_is_listed() {
        let list = include_str!("cases.rs");
        let sources = [
            include_str!("enqueue.rs"),
            include_str!("exchange.rs"),
            include_str!("fetch.rs"),
            include_str!("due.rs"),
            include_str!("sessions.rs"),
            include_str!("settle.rs"),
            include_str!("leases.rs"),
            include_str!("drain.rs"),
            include_str!("waiting.rs"),
            include_str!("results.rs"),
            include_str!("upkeep.rs"),
            include_str!("inspect.rs"),
            include_str!("payloads.rs"),
            include_str!("unique.rs"),
            include_str!("control.rs"),
            include_str!("notes.rs"),
            include_str!("schedules.rs"),
            include_str!("workflows.rs"),
            include_str!("steps.rs"),
            include_str!("followers.rs"),
        ];
        let cases = sources.iter().flat_map(|source| source.lines()).filter_map(|line| {
            line.strip_prefix("pub async fn ")?.split_once("(context: Context)").map(|(name, _)| name)
        });
        let missing: Vec<_> = cases.filter(|case| !list.contains(&format!(" {case}\n"))).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
