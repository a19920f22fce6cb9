package kube

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWhoIsLetIn(t *testing.T) {
	a := newAPIServer(t)
	good := token(t, "good", nil)
	for reason, row := range map[string]struct {
		header http.Header
		want   error
		says   string
		calls  int64
	}{
		"the Trigger":                         {shown("Bearer " + good), nil, "", 1},
		"any case of the scheme":              {shown("bEARER  " + good + " "), nil, "", 1},
		"one audience as a text":              {shown("Bearer " + token(t, "good", map[string]any{"aud": ours})), nil, "", 1},
		"two audiences":                       {shown("Bearer " + token(t, "two-audiences", map[string]any{"aud": []string{"other", ours}})), nil, "", 1},
		"somebody else":                       {shown("Bearer " + token(t, "somebody", nil)), ErrNotAllowed, `onefire:somebody" is not in OIDC_SUBJECTS`, 1},
		"expired":                             {shown("Bearer " + token(t, "expired", nil)), ErrUnknownSender, "has expired", 1},
		"an account that is gone":             {shown("Bearer " + token(t, "deleted", nil)), ErrUnknownSender, "not found", 1},
		"another's signature":                 {shown("Bearer " + token(t, "forged", nil)), ErrUnknownSender, "cryptographic", 1},
		"another audience, and lies about it": {shown("Bearer " + token(t, "other-audience", nil)), ErrUnknownSender, "invalid for the target audiences", 1},
		"another audience":                    {shown("Bearer " + token(t, "good", map[string]any{"aud": []string{"other"}})), ErrUnknownSender, "not for the audience", 0},
		"no audience":                         {shown("Bearer " + token(t, "good", map[string]any{"aud": nil})), ErrUnknownSender, "not for the audience", 0},
		"an audience that is a number":        {shown("Bearer " + token(t, "good", map[string]any{"aud": 7})), ErrUnknownSender, "not a JSON Web Token", 0},
		"an audience that begins like ours":   {shown("Bearer " + token(t, "good", map[string]any{"aud": ours + "x"})), ErrUnknownSender, "not for the audience", 0},
		"no header":                           {http.Header{}, ErrUnknownSender, "no token", 0},
		"an empty header":                     {shown(""), ErrUnknownSender, "no bearer token", 0},
		"a scheme alone":                      {shown("Bearer "), ErrUnknownSender, "no bearer token", 0},
		"another scheme":                      {shown("Basic " + good), ErrUnknownSender, "no bearer token", 0},
		"two headers":                         {shown("Bearer "+good, "Bearer "+good), ErrUnknownSender, "more than one", 0},
		"a huge token":                        {shown("Bearer " + good + strings.Repeat("A", maxToken)), ErrUnknownSender, "longer than 8192 bytes", 0},
		"not a JSON Web Token":                {shown("Bearer abc"), ErrUnknownSender, "not a JSON Web Token", 0},
		"four parts":                          {shown("Bearer " + good + ".eHg"), ErrUnknownSender, "not a JSON Web Token", 0},
		"an empty part":                       {shown("Bearer " + good[:strings.LastIndex(good, ".")+1]), ErrUnknownSender, "not a JSON Web Token", 0},
		"a signature that is no base64":       {shown("Bearer " + good + "!"), ErrUnknownSender, "not a JSON Web Token", 0},
		"a payload that is no JSON":           {shown("Bearer YQ.YQ.YQ"), ErrUnknownSender, "not a JSON Web Token", 0},
		"two tokens in one header":            {shown("Bearer " + good + ", Bearer " + good), ErrUnknownSender, "not a JSON Web Token", 0},
	} {
		t.Run(reason, func(t *testing.T) {
			before := a.calls.Load()
			user, err := a.verifier(t, "somebody", trigger).Check(t.Context(), row.header)
			require.Equal(t, row.calls, a.calls.Load()-before, "calls")
			if row.want == nil {
				require.NoError(t, err)
				require.Equal(t, trigger, user)
				return
			}
			require.ErrorIs(t, err, row.want)
			require.ErrorContains(t, err, row.says)
			for _, value := range row.header.Values("Authorization") {
				if _, secret, _ := strings.Cut(value, " "); len(secret) > 8 {
					require.NotContains(t, err.Error(), secret[len(secret)-8:], "no message has a token in it")
				}
			}
		})
	}
}

func TestEverybodyWithAGoodTokenMaySendWhereNobodyIsNamed(t *testing.T) {
	user, err := newAPIServer(t).verifier(t).Check(t.Context(), shown("Bearer "+token(t, "somebody", nil)))
	require.NoError(t, err)
	require.Equal(t, "system:serviceaccount:onefire:somebody", user)
}

func TestAnAnswerThatIsNoClearYesIsANo(t *testing.T) {
	const head = `{"kind":"TokenReview","status":`
	for reason, row := range map[string]struct {
		answer  string
		unknown bool
	}{
		"an authenticator that knows of no audiences": {head + `{"authenticated":true,"user":{"username":"` + trigger + `"}}}`, true},
		"another audience":                            {head + `{"authenticated":true,"audiences":["other"],"user":{"username":"` + trigger + `"}}}`, true},
		"no user":                                     {head + `{"authenticated":true,"audiences":["` + ours + `"]}}`, true},
		"no, and a user":                              {head + `{"authenticated":false,"audiences":["` + ours + `"],"user":{"username":"` + trigger + `"}}}`, true},
		"no status":                                   {`{"kind":"TokenReview"}`, true},
		"something else":                              {`{"kind":"Status"}`, false},
		"no JSON":                                     {`<html>`, false},
		"nothing":                                     {``, false},
		"yes, as a text":                              {head + `{"authenticated":"true","audiences":["` + ours + `"],"user":{"username":"` + trigger + `"}}}`, false},
	} {
		t.Run(reason, func(t *testing.T) {
			user, err := readReview([]byte(row.answer), ours)
			require.Empty(t, user)
			require.Error(t, err)
			require.Equal(t, row.unknown, errors.Is(err, ErrUnknownSender), "%v", err)
		})
	}
	require.Equal(t, "it gives no reason", short(""))
	require.Equal(t, strings.Repeat("x", maxCause), short(strings.Repeat("x", maxCause)))
	require.Equal(t, strings.Repeat("x", maxCause)+"…", short(strings.Repeat("x", maxCause+1)))
	require.Equal(t, strings.Repeat("x", maxCause-1)+"…", short(strings.Repeat("x", maxCause-1)+"é"))
	_, err := readReview([]byte(head+`{"error":"`+strings.Repeat("é", maxCause)+`"}}`), ours)
	require.Less(t, len(err.Error()), maxCause+200)
}

func TestWhatCannotBeToldIsForALaterTry(t *testing.T) {
	for reason, f := range map[string]http.HandlerFunc{
		"no rights":  func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) },
		"not there":  func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusNotFound) },
		"broken":     func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) },
		"hung up":    func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"half a yes": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"kind":"TokenReview","sta`)) },
		"a yes, too long": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(strings.Repeat(" ", maxReviewAnswer) + `{}`))
		},
	} {
		t.Run(reason, func(t *testing.T) {
			a := newAPIServer(t)
			v := a.verifier(t, trigger)
			a.answer(f)
			_, err := v.Check(t.Context(), shown("Bearer "+token(t, "good", nil)))
			require.Error(t, err)
			require.NotErrorIs(t, err, ErrUnknownSender)
			require.NotErrorIs(t, err, ErrNotAllowed)
			a.answer(nil)
			_, err = v.Check(t.Context(), shown("Bearer "+token(t, "good", nil)))
			require.NoError(t, err, "nothing of it is kept")
		})
	}
}

// asking is a verifier whose API server is a function, in a bubble of synctest.
func asking(review func(ctx context.Context, token string) (string, error)) *Verifier {
	return newVerifier(func(ctx context.Context, token, _ string) (string, error) { return review(ctx, token) }, VerifierOptions{Audience: ours})
}

func TestAGoodAnswerStandsForAWhile(t *testing.T) {
	for reason, row := range map[string]struct {
		// exp is the token's end, from now on, and stands is how long it is not
		// asked for again.
		exp, stands time.Duration
	}{
		"for the age of an answer":         {time.Hour, reviewAge},
		"not beyond the token's own end":   {10 * time.Second, 10 * time.Second},
		"not at all for one that is at it": {0, 0},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls, revoked := 0, error(nil)
				v := asking(func(context.Context, string) (string, error) {
					calls++
					return trigger, revoked
				})
				h := shown("Bearer " + token(t, "good", map[string]any{"exp": time.Now().Add(row.exp).Unix()}))
				_, err := v.Check(t.Context(), h)
				require.NoError(t, err)
				revoked = refused("revoked")
				if row.stands > 0 {
					<-time.After(row.stands - time.Second)
					_, err = v.Check(t.Context(), h)
					require.NoError(t, err)
					require.Equal(t, 1, calls)
					<-time.After(time.Second)
				}
				_, err = v.Check(t.Context(), h)
				require.ErrorIs(t, err, ErrUnknownSender)
				require.Equal(t, 2, calls)
				_, err = v.Check(t.Context(), h)
				require.ErrorIs(t, err, ErrUnknownSender, "and from then on")
				require.Zero(t, v.known.Len(), "its sender is a stranger now")
			})
		})
	}
}

func TestAnOldYesDoesNotStandInForAnAPIServerThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away error
		v := asking(func(context.Context, string) (string, error) { return trigger, away })
		h := shown("Bearer " + token(t, "good", nil))
		_, err := v.Check(t.Context(), h)
		require.NoError(t, err)
		away = errors.New("away")
		<-time.After(reviewAge)
		_, err = v.Check(t.Context(), h)
		require.ErrorIs(t, err, away)
	})
}

func TestOneTokenIsAskedForOnceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		v := asking(func(context.Context, string) (string, error) {
			calls++
			<-time.After(time.Second)
			return trigger, nil
		})
		h := shown("Bearer " + token(t, "good", nil))
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				user, err := v.Check(t.Context(), h)
				require.NoError(t, err)
				require.Equal(t, trigger, user)
			})
		}
		all.Wait()
		require.Equal(t, 1, calls)
	})
}

func TestManyTokensWaitForAPlaceAndNotForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		under, most := 0, 0
		v := asking(func(ctx context.Context, _ string) (string, error) {
			mu.Lock()
			under++
			most = max(most, under)
			mu.Unlock()
			<-ctx.Done() // An API server that is stuck.
			mu.Lock()
			under--
			mu.Unlock()
			return "", ctx.Err()
		})
		begun := time.Now()
		var all sync.WaitGroup
		for i := range 3 * maxReviews {
			all.Go(func() {
				_, err := v.Check(t.Context(), shown("Bearer "+token(t, "x"+strings.Repeat("x", i), nil)))
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.NotErrorIs(t, err, ErrUnknownSender)
			})
		}
		all.Wait()
		require.Equal(t, maxReviews, most)
		require.Equal(t, reviewTimeout, time.Since(begun))
	})
}

func TestMemoryOfSendersIsBounded(t *testing.T) {
	v := asking(func(context.Context, string) (string, error) { return trigger, nil })
	for i := range 2 * maxKnownSenders {
		_, err := v.Check(t.Context(), shown("Bearer "+token(t, "good", map[string]any{"n": i})))
		require.NoError(t, err)
	}
	require.Equal(t, maxKnownSenders, v.known.Len())
}

func TestWhoMayNotSendPushesNobodyOutOfMemory(t *testing.T) {
	calls, user := 0, trigger
	v := asking(func(context.Context, string) (string, error) { calls++; return user, nil })
	v.options.Subjects = []string{trigger}
	h := shown("Bearer " + token(t, "good", nil))
	_, err := v.Check(t.Context(), h)
	require.NoError(t, err)
	user = "system:serviceaccount:elsewhere:somebody"
	for i := range 2 * maxKnownSenders {
		_, err := v.Check(t.Context(), shown("Bearer "+token(t, "somebody", map[string]any{"n": i})))
		require.ErrorIs(t, err, ErrNotAllowed)
	}
	calls = 0
	_, err = v.Check(t.Context(), h)
	require.NoError(t, err)
	require.Zero(t, calls)
}

func TestAKnownSenderDoesNotQueueAmongStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good, away := token(t, "good", nil), error(nil)
		v := asking(func(ctx context.Context, token string) (string, error) {
			if token == good {
				return trigger, away
			}
			<-ctx.Done()
			return "", ctx.Err()
		})
		_, err := v.Check(t.Context(), shown("Bearer "+good))
		require.NoError(t, err)
		<-time.After(reviewAge) // The token has to be asked for again.
		var strangers sync.WaitGroup
		for i := range 10 * maxReviews {
			strangers.Go(func() {
				_, err := v.Check(t.Context(), shown("Bearer "+token(t, "stranger", map[string]any{"n": i})))
				require.Error(t, err)
			})
		}
		synctest.Wait()
		begun := time.Now()
		away = errors.New("away")
		_, err = v.Check(t.Context(), shown("Bearer "+good))
		require.ErrorIs(t, err, away)
		away = nil
		_, err = v.Check(t.Context(), shown("Bearer "+good))
		require.NoError(t, err, "a fault of the API server makes no stranger of it")
		require.Zero(t, time.Since(begun))
		strangers.Wait()
	})
}

// FuzzCheck shows anything: nothing but what the API server has said yes to is
// let in, and it is asked only for what is made out to us.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{"", "Bearer", "Bearer a.b.c", "Basic YQ==", "Bearer e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"aud":"`+ours+`"}`)) + ".YQ"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		v := asking(func(_ context.Context, token string) (string, error) {
			require.LessOrEqual(t, len(token), maxToken)
			require.Len(t, strings.Split(token, "."), 3)
			return "", refused("no")
		})
		_, err := v.Check(t.Context(), shown(value))
		require.ErrorIs(t, err, ErrUnknownSender)
	})
}

func TestACrowdOfStrangersShutsNobodyOutWhoIsKnown(t *testing.T) {
	a := newAPIServer(t)
	v := a.verifier(t, trigger)
	good := shown("Bearer " + token(t, "good", nil))
	_, err := v.Check(t.Context(), good)
	require.NoError(t, err)
	require.True(t, v.unknown.TryAcquire(maxUnknown), "nobody waits")
	_, err = v.Check(t.Context(), shown("Bearer "+token(t, "forged", nil)))
	require.ErrorIs(t, err, errCrowd)
	require.NotErrorIs(t, err, ErrUnknownSender, "a later try may do")
	for range 2 {
		_, err = v.Check(t.Context(), good)
		require.NoError(t, err)
		v.now = func() time.Time { return time.Now().Add(reviewAge) } // It has to be asked for again.
	}
	v.unknown.Release(maxUnknown)
	_, err = v.Check(t.Context(), shown("Bearer "+token(t, "forged", nil)))
	require.ErrorIs(t, err, ErrUnknownSender)
	require.True(t, v.unknown.TryAcquire(maxUnknown), "every place was given back")
}
