package source

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// idSpace separates our UUIDs from everybody else's: the UUIDv5 of
// "onefire-source" in the name space of object identifiers.
var idSpace = uuid.NewSHA1(uuid.NameSpaceOID, []byte("onefire-source"))

// key tells what an event says from all that others say: the same for each
// arrival of the same notification, from whichever of several Alertmanagers.
// Their externalURL is not in it, because only there do peers differ.
func (w *webhook) key(eventType, source string, a alert) uuid.UUID {
	return uuid.NewSHA1(idSpace, fmt.Appendf(nil, "%q %q %q %q %q %q %q", eventType, source, w.receiver, w.groupKey, a.identity, a.status, a.start))
}

// keyOfAll is the key of a webhook that goes as one event.
func (w *webhook) keyOfAll(source string) uuid.UUID {
	all := make([]string, len(w.alerts))
	for i, a := range w.alerts {
		all[i] = fmt.Sprintf("%q %q %q", a.identity, a.status, a.start)
	}
	slices.Sort(all) // Peers may order a group's alerts differently.
	return w.key(NotificationType, source, alert{identity: digest(fmt.Appendf(nil, "%q %d", all, w.truncated)), status: w.status})
}

// eventID is the id of what has a key and came in the window that opened then.
func eventID(key uuid.UUID, opened time.Time) string {
	return uuid.NewSHA1(key, strconv.AppendInt(nil, opened.UnixNano(), 10)).String()
}

// window is when the window opened in which now is. Windows follow one another
// from begun on, when the earliest alert of the group began: Alertmanager sends
// a group a little later than group_wait and then multiples of group_interval
// after that, so where both are multiples of a window, what it sends comes early
// in one, and most of the window is left for retries and for its peer.
//
// It needs no state. Two arrivals of the same notification that are apart by
// less than what is left of the window make the same id on any replica; two that
// are apart by a whole window or more make two.
func window(now, begun time.Time, length time.Duration) time.Time {
	phase := int64(0)
	if y := begun.Year(); y > 1900 && y < 2200 { // What nanoseconds in 64 bits can say.
		phase = begun.UnixNano() % int64(length)
	}
	into := (now.UnixNano() - phase) % int64(length)
	if into < 0 {
		into += int64(length)
	}
	return now.Add(-time.Duration(into))
}
