package observability

const (
	trigger = `kn_eventing_dispatch_duration_seconds_count{messaging_destination_name="trigger:onefire.onefire",http_response_status_code=`
	other   = `kn_eventing_dispatch_duration_seconds_count{messaging_destination_name="trigger:other.onefire",http_response_status_code="202"} 0+1x120`
	api     = `apiserver_request_total{group="kubernaut.ai",resource="remediationrequests",verb="POST",code=`
	ours    = `onefire_api_duration_seconds_count{resource="remediationrequests",verb="list",code=`
	since   = "The brake is on since 2026-01-17 12:00:00 +0000 UTC: no new RemediationRequest is made."
	request = `onefire_remediationrequest_created{request_namespace="onefire",request="rr-1",request_severity="high",request_alert="DiskFull"`
)

var timelines = []row{
	{reason: "a heartbeat each 15 minutes", alert: "OnefireWatchdogMissing", quiet: []int{0, 30, 60},
		load: `onefire_source_last_watchdog_timestamp_seconds 0x15 900x15 1800x15 2700x15`},
	{reason: "two heartbeats missed", alert: "OnefireWatchdogMissing", quiet: []int{30, 44}, firing: []int{46, 60},
		load: `onefire_source_last_watchdog_timestamp_seconds 0x60`},
	{reason: "one replica still has them", alert: "OnefireWatchdogMissing", quiet: []int{30, 60},
		load: `onefire_source_last_watchdog_timestamp_seconds{pod="a"} 0x60
			onefire_source_last_watchdog_timestamp_seconds{pod="b"} 0x30 1800x30`},
	{reason: "new replicas until the next heartbeat", alert: "OnefireWatchdogMissing", quiet: []int{20, 35},
		load: `onefire_source_last_watchdog_timestamp_seconds{pod="a"} 0x10`},
	{reason: "no source", alert: "OnefireWatchdogMissing", quiet: []int{9}, firing: []int{10, 30}},

	{reason: "events taken", alert: "OnefireFunctionSilent", quiet: []int{60, 120}, load: trigger + `"200"} 0x10 1x20 2x20 3x20 4x20 5x20 6x20`},
	{reason: "events that all fail", alert: "OnefireFunctionSilent", firing: []int{60}, load: trigger + `"503"} 0+1x60`},
	{reason: "events no more", alert: "OnefireFunctionSilent", quiet: []int{40, 60}, firing: []int{90}, load: trigger + `"200"} 0+1x30 30x60`},
	{reason: "only another Trigger's events", alert: "OnefireFunctionSilent", firing: []int{60}, load: other},
	{reason: "a Broker without these metrics", alert: "OnefireFunctionSilent", quiet: []int{60}},

	{reason: "answers of 503", alert: "OnefireDeliveryFailing", quiet: []int{3}, firing: []int{10}, load: trigger + `"503"} 0+1x60`},
	{reason: "no answer", alert: "OnefireDeliveryFailing", firing: []int{10}, load: trigger + `"-1"} 0+1x60`},
	{reason: "one failure", alert: "OnefireDeliveryFailing", quiet: []int{5, 10, 20}, load: trigger + `"503"} 0 1x60`},
	{reason: "taken, and refused for good", alert: "OnefireDeliveryFailing", quiet: []int{10, 60},
		load: trigger + `"200"} 0+1x60
			` + trigger + `"400"} 0+1x60`},

	{reason: "a pod that lives two minutes", alert: "OnefireAuditFailing", quiet: []int{4}, firing: []int{5, 6}, load: `onefire_audit_events_total{result="unavailable"} _x5 1 1`},
	{reason: "a counter that goes up", alert: "OnefireAuditFailing", quiet: []int{30, 50}, firing: []int{32, 38}, load: `onefire_audit_events_total{result="set_aside"} 1x30 2x30`},
	{reason: "best effort, and lost", alert: "OnefireAuditFailing", firing: []int{5}, load: `onefire_audit_events_total{result="lost"} 0x4 3x4`},
	{reason: "all stored", alert: "OnefireAuditFailing", quiet: []int{5, 30}, load: `onefire_audit_events_total{result="stored"} 1+5x30`},

	{reason: "the first one", alert: "OnefireAlertsInvalid", quiet: []int{4, 20}, firing: []int{5, 12}, load: `onefire_alerts_total{decision="invalid",reason="rejected"} _x5 1x30`},
	{reason: "one more", alert: "OnefireAlertsInvalid", quiet: []int{20, 45}, firing: []int{31, 35}, load: `onefire_alerts_total{decision="invalid",reason="malformed"} 1x30 2x30`},
	{reason: "a pod that lives two minutes", alert: "OnefireAlertsInvalid", quiet: []int{4}, firing: []int{5, 6}, load: `onefire_alerts_total{decision="invalid",reason="rejected"} _x5 3 3`},
	{reason: "all settled, or to come again", alert: "OnefireAlertsInvalid", quiet: []int{5, 30},
		load: `onefire_alerts_total{decision="new",reason="first_seen"} 0+1x30
			onefire_alerts_total{decision="filtered",reason="ignored_alertname"} 0+1x30
			onefire_alerts_total{decision="unsettled",reason="unavailable"} 0+1x30`},

	{reason: "a pod knows", alert: "OnefirePaused", quiet: []int{0, 9, 20}, firing: []int{10, 19}, says: since,
		load: `onefire_paused_timestamp_seconds{pod="a"} 0x9 1768651200x9 0x9`},
	{reason: "one pod has not asked yet", alert: "OnefirePaused", quiet: []int{9}, firing: []int{10}, says: since,
		load: `onefire_paused_timestamp_seconds{pod="a"} 0x20
			onefire_paused_timestamp_seconds{pod="b"} 0x9 1768651200x10`},
	{reason: "no pod is left that knows", alert: "OnefirePaused", quiet: []int{4, 30}, firing: []int{5, 9, 18}, says: since,
		load: `onefire_paused_timestamp_seconds{pod="a"} 0x4 1768651200x4
			kube_configmap_created{namespace="onefire",configmap="onefire-brake"} _x5 1768651200x14`},
	{reason: "another ConfigMap", alert: "OnefirePaused", quiet: []int{5, 20},
		load: `kube_configmap_created{namespace="onefire",configmap="onefire-broker"} 1768651200x20
			kube_configmap_created{namespace="other",configmap="onefire-brake"} 1768651200x20
			onefire_paused_timestamp_seconds 0x20`},

	{reason: "the first one", alert: "OnefireCapped", quiet: []int{4, 20}, firing: []int{5, 12}, load: `onefire_alerts_total{decision="capped",reason="quota_exceeded"} _x5 1x30`},
	{reason: "one more", alert: "OnefireCapped", quiet: []int{20, 45}, firing: []int{31, 35}, load: `onefire_alerts_total{decision="capped",reason="quota_exceeded"} 1x30 2x30`},
	{reason: "all others", alert: "OnefireCapped", quiet: []int{5, 30},
		load: `onefire_alerts_total{decision="new",reason="first_seen"} 0+1x30
			onefire_alerts_total{decision="paused",reason="brake_on"} 0+1x30`},

	{reason: "rights are missing", alert: "OnefireAPIErrors", quiet: []int{4}, firing: []int{15}, load: api + `"403"} 0+2x30`},
	{reason: "no etcd", alert: "OnefireAPIErrors", firing: []int{15}, load: api + `"500"} 0+2x30`},
	{reason: "a policy denies them", alert: "OnefireAPIErrors", firing: []int{15}, load: api + `"422"} 0+2x30`},
	{reason: "too many requests", alert: "OnefireAPIErrors", firing: []int{15}, load: api + `"429"} 0+2x30`},
	{reason: "races that are lost are no errors", alert: "OnefireAPIErrors", quiet: []int{15, 30}, load: api + `"409"} 0+20x30`},
	{reason: "another resource", alert: "OnefireAPIErrors", quiet: []int{15, 30},
		load: `apiserver_request_total{group="apps",resource="deployments",verb="POST",code="500"} 0+20x30`},
	{reason: "the function is refused", alert: "OnefireAPIErrors", quiet: []int{4}, firing: []int{15}, load: ours + `"403"} 0+2x30`},
	{reason: "the function reaches nobody", alert: "OnefireAPIErrors", firing: []int{15}, load: ours + `"none"} 0+2x30`},
	{reason: "a pod of the function that lives ten minutes", alert: "OnefireAPIErrors", quiet: []int{9}, firing: []int{10, 14}, load: ours + `"503"} _x5 9x9`},
	{reason: "races that the function lost", alert: "OnefireAPIErrors", quiet: []int{15, 30}, load: ours + `"409"} 0+20x30`},
	{reason: "the function's other calls", alert: "OnefireAPIErrors", quiet: []int{15, 30},
		load: `onefire_api_duration_seconds_count{resource="events",verb="create",code="403"} 0+20x30`},
	{reason: "three that the function saw", alert: "OnefireAPIErrors", quiet: []int{10, 15, 30}, load: ours + `"500"} 0 1 2 3x30`},
	{reason: "a few that a new pod saw", alert: "OnefireAPIErrors", quiet: []int{10, 14, 20}, load: ours + `"500"} _x5 4x20`},
	{reason: "three in all", alert: "OnefireAPIErrors", quiet: []int{10, 15, 30}, load: api + `"500"} 0 1 2 3x30`},

	{reason: "the Broker is away", alert: "OnefireSourceFailing", quiet: []int{9}, firing: []int{15}, load: `onefire_source_events_total{result="unavailable"} 0+1x30`},
	{reason: "away for two minutes", alert: "OnefireSourceFailing", quiet: []int{5, 10, 15}, load: `onefire_source_events_total{result="unavailable"} 0 1 2x30`},
	{reason: "all sent", alert: "OnefireSourceFailing", quiet: []int{15}, load: `onefire_source_events_total{result="sent"} 0+1x30`},

	{reason: "the first one", alert: "OnefireEventsRefused", quiet: []int{4, 20}, firing: []int{5, 12}, load: `onefire_source_events_total{result="set_aside"} _x5 1x30`},
	{reason: "one more", alert: "OnefireEventsRefused", quiet: []int{20, 45}, firing: []int{31, 35}, load: `onefire_source_events_total{result="set_aside"} 1x30 2x30`},
	{reason: "all sent", alert: "OnefireEventsRefused", quiet: []int{15}, load: `onefire_source_events_total{result="sent"} 0+1x30`},

	{reason: "the first ones", alert: "OnefireNotificationsTruncated", quiet: []int{4, 20}, firing: []int{5, 12}, load: `onefire_source_truncated_alerts_total _x5 7x30`},
	{reason: "more of them", alert: "OnefireNotificationsTruncated", quiet: []int{20, 45}, firing: []int{31, 35}, load: `onefire_source_truncated_alerts_total 7x30 9x30`},
	{reason: "the first ones, of another source", alert: "OnefireNotificationsTruncated", quiet: []int{4, 20}, firing: []int{5, 12}, load: `onefire_truncated_total _x5 7x30`},
	{reason: "more of them, of another source", alert: "OnefireNotificationsTruncated", quiet: []int{20, 45}, firing: []int{31, 35}, load: `onefire_truncated_total 7x30 9x30`},
	{reason: "nothing cut off", alert: "OnefireNotificationsTruncated", quiet: []int{5, 30}, load: `onefire_truncated_total 0x30
			onefire_source_truncated_alerts_total 0x30`},

	{reason: "the first one", alert: "OnefireHistoryTooLong", quiet: []int{4, 70}, firing: []int{5, 30, 64}, load: `onefire_history_long_total _x5 1x90`},
	{reason: "a recurrence each half hour", alert: "OnefireHistoryTooLong", firing: []int{40, 100, 150}, load: `onefire_history_long_total 1x30 2x30 3x30 4x30 5x30`},
	{reason: "a pod that lives two minutes", alert: "OnefireHistoryTooLong", quiet: []int{4}, firing: []int{5, 6}, load: `onefire_history_long_total _x5 3 3`},
	{reason: "no such fingerprint", alert: "OnefireHistoryTooLong", quiet: []int{5, 70}, load: `onefire_history_long_total 0x90`},

	{reason: "nobody replays", alert: "OnefireDeadLettersWaiting", quiet: []int{30, 59}, firing: []int{61}, load: `onefire_deadletters_waiting 1x90`},
	{reason: "replayed in time", alert: "OnefireDeadLettersWaiting", quiet: []int{30, 61, 90}, load: `onefire_deadletters_waiting 3x50 0x40`},

	{reason: "no room, first time", alert: "OnefireDeadLettersLost", quiet: []int{4, 20}, firing: []int{5, 12}, load: `onefire_deadletters_received_total{result="full"} _x5 1x30`},
	{reason: "one more is too large", alert: "OnefireDeadLettersLost", quiet: []int{20, 45}, firing: []int{31, 35}, load: `onefire_deadletters_received_total{result="refused"} 1x30 2x30`},
	{reason: "kept, kept already, tried again", alert: "OnefireDeadLettersLost", quiet: []int{15},
		load: `onefire_deadletters_received_total{result="kept"} 0+1x30
			onefire_deadletters_received_total{result="kept_already"} 0+1x30
			onefire_deadletters_received_total{result="unavailable"} 0+1x30`},

	{reason: "there", alert: "OnefireDeadLetterStoreBlind", quiet: []int{0, 30}, load: `onefire_deadletters_waiting 0x30`},
	{reason: "never there", alert: "OnefireDeadLetterStoreBlind", quiet: []int{14}, firing: []int{15}},

	{reason: "no controller", alert: "OnefireActiveTooOld", quiet: []int{239, 245}, firing: []int{252}, load: request + `} 0x260`},
	{reason: "in an unknown phase, which changes", alert: "OnefireActiveTooOld", quiet: []int{245}, firing: []int{252, 260},
		load: request + `,phase="Executing"} 0x245
			` + request + `,phase="Verifying"} _x245 0x20`},
	{reason: "terminal", alert: "OnefireActiveTooOld", quiet: []int{252, 300}, load: request + `,phase="Completed"} 0x300`},
}

// mutations are ways to break a rule; each must be noticed.
var mutations = map[string]struct{ alert, old, new string }{
	"the watchdog's age is never too high":     {"OnefireWatchdogMissing", "> 2100", "> 210000"},
	"the watchdog's age is high at once":       {"OnefireWatchdogMissing", "> 2100", "> 600"},
	"one replica is enough to complain":        {"OnefireWatchdogMissing", "max(", "min("},
	"a source that is away is not noticed":     {"OnefireWatchdogMissing", "or absent_over_time(onefire_source_last_watchdog_timestamp_seconds[35m])", ""},
	"any answer counts as taken":               {"OnefireFunctionSilent", `http_response_status_code=~"2.."`, `http_response_status_code=~"...?"`},
	"any Trigger counts":                       {"OnefireFunctionSilent", `messaging_destination_name="trigger:onefire.onefire",`, ""},
	"no series is no failure":                  {"OnefireFunctionSilent", "or vector(0)", ""},
	"other Brokers complain":                   {"OnefireFunctionSilent", "and on () count(kn_eventing_dispatch_duration_seconds_count) > 0", ""},
	"refusals count as failures":               {"OnefireDeliveryFailing", "[24]..", "2.."},
	"no answer is no failure":                  {"OnefireDeliveryFailing", `!~"[24].."`, `=~"5.."`},
	"a single failure fires":                   {"OnefireDeliveryFailing", "for: 5m", "for: 1m"},
	"the first audit failure is missed":        {"OnefireAuditFailing", "unless", "and"},
	"later audit failures are missed":          {"OnefireAuditFailing", "increase(", "0 * increase("},
	"set aside is forgotten":                   {"OnefireAuditFailing", "|set_aside", ""},
	"the first invalid alert is missed":        {"OnefireAlertsInvalid", "unless", "and"},
	"later invalid alerts are missed":          {"OnefireAlertsInvalid", "increase(", "0 * increase("},
	"every decision is invalid":                {"OnefireAlertsInvalid", `{decision="invalid"}`, ""},
	"the brake's own metric is forgotten":      {"OnefirePaused", "max(onefire_paused", "0 * max(onefire_paused"},
	"a pod that has not asked decides":         {"OnefirePaused", "max(onefire_paused", "min(onefire_paused"},
	"the brake is forgotten without a pod":     {"OnefirePaused", "max(kube_configmap_created", "0 < 0 * max(kube_configmap_created"},
	"any ConfigMap is a brake":                 {"OnefirePaused", `,configmap="onefire-brake"`, ""},
	"a brake anywhere":                         {"OnefirePaused", `namespace="onefire",`, ""},
	"since when is not said":                   {"OnefirePaused", "{{ $value | humanizeTimestamp }}", "a while"},
	"the first capped alert is missed":         {"OnefireCapped", "unless", "and"},
	"later capped alerts are missed":           {"OnefireCapped", "increase(", "0 * increase("},
	"every decision is capped":                 {"OnefireCapped", `{decision="capped"}`, ""},
	"policies are forgotten":                   {"OnefireAPIErrors", "422|", ""},
	"conflicts are errors":                     {"OnefireAPIErrors", "429|", "409|429|"},
	"rights are forgotten":                     {"OnefireAPIErrors", "403|", ""},
	"every resource":                           {"OnefireAPIErrors", `group="kubernaut.ai",resource="remediationrequests",`, ""},
	"the function's errors are forgotten":      {"OnefireAPIErrors", "increase(onefire_api", "0 * increase(onefire_api"},
	"the function's other calls count":         {"OnefireAPIErrors", `{resource="remediationrequests",`, "{"},
	"that nobody answers is no error":          {"OnefireAPIErrors", "|none", ""},
	"the errors of a new pod are forgotten":    {"OnefireAPIErrors", "unless onefire_api", "and onefire_api"},
	"a few errors are enough":                  {"OnefireAPIErrors", "> 5", "> 0"},
	"sent counts as failing":                   {"OnefireSourceFailing", `result="unavailable"`, `result!=""`},
	"a short pause fires":                      {"OnefireSourceFailing", "for: 10m", "for: 2m"},
	"the first refused event is missed":        {"OnefireEventsRefused", "unless", "and"},
	"later refused events are missed":          {"OnefireEventsRefused", "increase(", "0 * increase("},
	"the first truncation is missed":           {"OnefireNotificationsTruncated", "unless", "and"},
	"the first of another source's is missed":  {"OnefireNotificationsTruncated", "unless onefire_truncated", "and onefire_truncated"},
	"later ones of another source's":           {"OnefireNotificationsTruncated", "increase(onefire_truncated", "0 * increase(onefire_truncated"},
	"later truncation is missed":               {"OnefireNotificationsTruncated", "increase(", "0 * increase("},
	"the first long past is missed":            {"OnefireHistoryTooLong", "unless", "and"},
	"later Lists of a long past are missed":    {"OnefireHistoryTooLong", "increase(", "0 * increase("},
	"a long past is forgotten at once":         {"OnefireHistoryTooLong", "[1h]", "[10m]"},
	"dead letters complain at once":            {"OnefireDeadLettersWaiting", "for: 1h", "for: 5m"},
	"a single dead letter is overlooked":       {"OnefireDeadLettersWaiting", "> 0", "> 1"},
	"a full store is forgotten":                {"OnefireDeadLettersLost", "|full", ""},
	"tries that come again count as lost":      {"OnefireDeadLettersLost", "refused|full", "refused|full|unavailable"},
	"the store that is away is waited for":     {"OnefireDeadLetterStoreBlind", "for: 15m", "for: 3h"},
	"what is done is too old":                  {"OnefireActiveTooOld", "Completed|", ""},
	"a change of phase starts the clock again": {"OnefireActiveTooOld", "max by (", "max by (phase, "},
}
