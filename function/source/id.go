package source

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// idSpace is the namespace of our UUIDs: the UUIDv5 of "onefire-source" in the namespace
// of object identifiers.
var idSpace = uuid.NewSHA1(uuid.NameSpaceOID, []byte("onefire-source"))

// key identifies the content of an event. It is the same whenever the same notification
// arrives, from any of several Alertmanagers. It does not contain their externalURL, the
// only difference between peers.
func (w *webhook) key(eventType, source string, a alert) uuid.UUID {
	return uuid.NewSHA1(idSpace, fmt.Appendf(nil, "%q %q %q %q %q %q %q", eventType, source, w.receiver, w.groupKey, a.identity, a.status, a.start))
}

// keyOfAll is the key of a webhook that is sent as one event.
func (w *webhook) keyOfAll(source string) uuid.UUID {
	all := make([]string, len(w.alerts))
	for i, a := range w.alerts {
		all[i] = fmt.Sprintf("%q %q %q", a.identity, a.status, a.start)
	}
	slices.Sort(all) // Peers may order a group's alerts differently.
	return w.key(NotificationType, source, alert{identity: digest(fmt.Appendf(nil, "%q %d", all, w.truncated)), status: w.status})
}

// eventID is the id of an event with this key in the window that opened at this time.
func eventID(key uuid.UUID, opened time.Time) string {
	return uuid.NewSHA1(key, strconv.AppendInt(nil, opened.UnixNano(), 10)).String()
}

// window returns when the window that contains now has opened. Windows follow one another
// from begun on, when the earliest alert of the group began. Alertmanager sends a group a
// little later than group_wait, and then after multiples of group_interval. So if both
// are multiples of the window, a notification comes early in a window, and most of the
// window is left for retries and for the peer.
//
// This needs no state. Two arrivals of the same notification make the same id in any
// replica if the time between them is less than what is left of the window, and different
// ids if it is a whole window or more.
func window(now, begun time.Time, length time.Duration) time.Time {
	phase := begun.Sub(begun.Truncate(length))
	return now.Add(-phase).Truncate(length).Add(phase)
}
