package audit

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// asked are the queries so far.
func (d *store) asked() []url.Values {
	var all []url.Values
	for _, name := range d.seen() {
		if query, ok := strings.CutPrefix(name, "GET "); ok {
			values, err := url.ParseQuery(query)
			require.NoError(d.t, err)
			all = append(all, values)
		}
	}
	return all
}

// askedFor are the seconds of the minute that the queries were about so far.
func (d *store) askedFor() []string {
	var all []string
	for _, query := range d.asked() {
		all = append(all, query.Get("since")[17:]+" to "+query.Get("until")[17:])
	}
	return all
}

func TestAQuestionIsAboutTheTimesOfTheEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, events := &store{t: t}, entries(3)
		s := d.process()
		requireAll(t, s.Deliver(t.Context(), again(events)))
		requireAll(t, s.Deliver(t.Context(), again([]Event{entry(9, base())})))
		require.Equal(t, []url.Values{
			{"event_category": {"gateway"}, "since": {"2026-01-02T03:04:05.000001Z"}, "until": {"2026-01-02T03:04:05.000003Z"}, "limit": {"1000"}, "offset": {"0"}},
			{"event_category": {"gateway"}, "since": {"2026-01-02T03:04:05Z"}, "until": {"2026-01-02T03:04:05Z"}, "limit": {"1000"}, "offset": {"0"}, "correlation_id": {"rr-9"}},
		}, d.asked())
	})
}

// Few queries are made, and what is there is not posted.
func TestEventsOfCloseTimesAreAskedForAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &store{t: t}
		var events []Event
		for i := range 40 {
			events = append(events, entry(i, base().Add(time.Duration(i/2)*time.Second)))
		}
		requireAll(t, d.process().Deliver(t.Context(), events[:21]))
		d.requests = nil
		requireAll(t, d.process().Deliver(t.Context(), again(events)))
		require.ElementsMatch(t, []string{"05Z to 10Z", "11Z to 16Z", "17Z to 22Z", "23Z to 24Z"}, d.askedFor())
		require.Len(t, d.posts(), 3)
		d.requireOnce(events)
	})
}

// A refused query does not take back what another one found.
func TestATimeWithVeryManyRowsIsAskedForInHalves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, begun := &store{t: t}, time.Now()
		events := []Event{entry(0, base()), entry(1, base().Add(time.Second)), entry(2, base().Add(5*time.Second))}
		others := make([]Event, maxRows)
		for i := range others {
			others[i] = entry(10+i, base().Add(3*time.Second))
		}
		requireAll(t, d.process().Deliver(t.Context(), others))
		d.requests = nil
		d.before = func(r *http.Request, _ int) *http.Response {
			if r.Method == http.MethodGet && len(d.seen()) == maxRows/pageRows+2 {
				return responded(http.StatusTooManyRequests, "", "Retry-After", "1")
			}
			return nil
		}
		requireAll(t, d.process().Deliver(t.Context(), again(events)))
		require.Equal(t, []string{"05Z to 06Z", "10Z to 10Z", "10Z to 10Z"}, d.askedFor()[maxRows/pageRows:], "only the refused one again")
		require.GreaterOrEqual(t, time.Since(begun), time.Second, "and no other query before the sink allows it")
		d.requireOnce(append(events, others...))
	})
}

func TestAQuestionReadsAllPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, events := &store{t: t}, entries(2500)
		requireAll(t, d.process().Deliver(t.Context(), events))
		d.requests = nil
		requireAll(t, d.process().Deliver(t.Context(), again(events[:100])))
		require.Len(t, d.asked(), 1, "the window has no others")
		ends := again([]Event{events[0], events[2499]})
		requireAll(t, d.process().Deliver(t.Context(), ends))
		require.Len(t, d.asked(), 1+3)
		d.requireOnce(events)
	})
}

// In the end a time with more rows than are read is asked for by correlation id.
func TestASecondWithVeryManyRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, events := &store{t: t}, entries(maxRows+500)
		requireAll(t, d.process().Deliver(t.Context(), events))
		d.requests = nil
		some := again([]Event{events[0], events[1], events[maxRows+499]})
		requireAll(t, d.process().Deliver(t.Context(), some))
		require.Len(t, d.asked(), maxRows/pageRows+3)
		require.Empty(t, d.posts())
	})
}

func TestPagesThatAreTooLargeAreReadInSmallOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, events := &store{t: t}, entries(60)
		for i := range events {
			events[i] = filled(events[i], false, strings.Repeat("x", 250<<10))
		}
		requireAll(t, d.process().Deliver(t.Context(), events))
		d.requests = nil
		s := d.process()
		requireAll(t, s.Deliver(t.Context(), again([]Event{events[0], events[59]})))
		require.Empty(t, d.posts())
		require.Len(t, d.asked(), 2+60/smallRows)
		for _, query := range d.asked()[2:] {
			require.Equal(t, strconv.Itoa(smallRows), query.Get("limit"))
		}
		require.Equal(t, maxPosts, int(s.pace.size), "a large answer says nothing of the store")
	})
}

func TestRowsOfOthersAreNotOurs(t *testing.T) {
	id := entries(1)[0].id().String()
	for reason, row := range map[string]struct {
		data string
		ours bool
	}{
		"none":                        {`[]`, false},
		"null":                        {`null`, false},
		"no event_data":               {`[{},{"event_data":null},null]`, false},
		"another form":                {`[{"event_data":[1]},{"event_data":{"signal_annotations":["` + id + `"]}},7]`, false},
		"the id elsewhere":            {`[{"event_id":"` + id + `","event_data":{"signal_labels":{"onefire/audit-id":"` + id + `"}}}]`, false},
		"another id":                  {`[{"event_data":{"signal_annotations":{"onefire/audit-id":"` + another().id().String() + `"}}}]`, false},
		"ours":                        {`[{"event_data":{"signal_annotations":{"onefire/audit-id":"` + id + `"}}}]`, true},
		"ours behind another form":    {`[7,{"event_data":{"signal_annotations":{"summary":1,"onefire/audit-id":"` + id + `"}}}]`, true},
		"ours in capitals, as a UUID": {`[{"event_data":{"signal_annotations":{"onefire/audit-id":"` + strings.ToUpper(id) + `"}}}]`, true},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &store{t: t}
				d.before = func(r *http.Request, _ int) *http.Response {
					if r.Method == http.MethodGet {
						return responded(200, `{"pagination":{"total":1},"data":`+row.data+`}`)
					}
					return nil
				}
				requireAll(t, d.process().Deliver(t.Context(), again(entries(1))))
				require.Equal(t, row.ours, len(d.posts()) == 0)
			})
		})
	}
}

func TestAQuestionHasTheToken(t *testing.T) {
	sink := serve(t, wants("second"), wants("second"), wants("second"), says(200, `{"data":[]}`), status(201))
	path := tokenFile(t, "first")
	s := open(t, Options{URL: sink.URL + "/audit/events?tenant=a", TokenFile: path})
	e := sample()
	e.Again = true
	require.Equal(t, unavailable, verdictOf(one(t.Context(), s, e)))
	write(t, path, "second")
	require.NoError(t, one(t.Context(), s, e))
	require.Equal(t, []string{"Bearer first", "Bearer first", "Bearer first", "Bearer second", "Bearer second"}, sink.bearers())
	require.Equal(t, http.MethodGet, sink.seen()[3].method)
	require.Equal(t, http.MethodPost, sink.seen()[4].method)
}

// A sink that is not DataStorage knows an event again itself.
func TestACloudEventsSinkIsNeitherAskedNorBatched(t *testing.T) {
	sink := serve(t, status(503), drop, status(202))
	s := open(t, Options{URL: sink.URL + "/broker"})
	events := make([]Event, 20)
	for i := range events {
		events[i] = another()
		events[i].Again = true
	}
	requireAll(t, s.Deliver(t.Context(), events))
	require.Len(t, sink.seen(), len(events)+2)
	ids := map[string]bool{}
	for _, r := range sink.seen() {
		require.Equal(t, http.MethodPost, r.method)
		require.Equal(t, "/broker", r.path)
		ids[r.header.Get("Ce-Id")] = true
	}
	require.Len(t, ids, len(events))
}

func TestWhichURLIsDataStorages(t *testing.T) {
	for address, batch := range map[string]string{
		"http://store:8080/api/v1/audit/events":   "http://store:8080/api/v1/audit/events/batch",
		"https://proxy/store/audit/events/?key=a": "https://proxy/store/audit/events/batch?key=a",
		"http://broker.ns/default":                "",
		"http://store/audit/events/other":         "",
		"http://store/?u=/audit/events":           "",
		"://":                                     "",
	} {
		s, err := New(Options{URL: address})
		require.NoError(t, err)
		require.Equal(t, batch != "", s.datastorage, address)
		require.Equal(t, batch, s.batchURL)
	}
}

func FuzzRows(f *testing.F) {
	f.Add(`{"data":[{"event_data":{"signal_annotations":{"onefire/audit-id":"x"}}}]}`)
	f.Add(`{"data":null}`)
	f.Add(`{"pagination":{"data":[]},"data":[[],{},7`)
	f.Fuzz(func(t *testing.T, text string) {
		d := &store{t: t}
		d.before = func(*http.Request, int) *http.Response { return responded(200, text) }
		s := d.process()
		s.client.http.Transport = transport(func(*http.Request) (*http.Response, error) { return responded(200, text), nil })
		q := s.ask([]*item{{id: another().id(), event: must(another().cloudEvent(nil)), correlation: strconv.Itoa(len(text))}})
		require.Empty(t, q.found)
		if len(q.unread) == 0 {
			require.Contains(t, text, `data`)
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
