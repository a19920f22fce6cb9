package receive

import (
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
)

func TestOneStructuredEventHasOneAnswer(t *testing.T) {
	const rest = `"type":"t","source":"/s","id":"1"`
	const v03, v1 = `,"specversion":"0.3"}`, `,"specversion":"1.0"}`
	for reason, row := range map[string]struct{ body, want string }{
		"version 0.3, said last":            {`{"data":{"a":1},` + rest + v03, `{"a":1}`},
		"version 1.0, said last":            {`{"data":{"a":1},` + rest + v1, `{"a":1}`},
		"two names that differ in case":     {`{"a":"1","A":"2",` + rest + v1, "400 not a valid CloudEvent: A: the name of an attribute has lower-case letters and digits only"},
		"0.3: a name that no attribute has": {`{"a-b":"1","c_d":"2",` + rest + v03, "400 not a valid CloudEvent: a-b: the name of an attribute"},
		"1.0: a name that no attribute has": {`{"a-b":"1","c_d":"2",` + rest + v1, "400 not a valid CloudEvent: a-b: the name of an attribute"},
		"a member without a name":           {`{"":1,` + rest + v1, "400 not a valid CloudEvent: : the name of an attribute"},
		"two values that no attribute has":  {`{"a":{},"b":[],` + rest + v1, "400 not a valid CloudEvent: "},
		"two times one name":                {`{"subject":"a","subject":"b",` + rest + v1, "subject: b"},
		"an extension":                      {`{"partitionkey":"k",` + rest + v1, "partitionkey: k"},
		"data that is null":                 {`{"data":null,` + rest + v1, "Data,\n  null"},
		"what is null is not there":         {`{"datacontenttype":null,"data_base64":null,` + rest + v1, "specversion: 1.0"},
		"base64":                            {`{"data_base64":"aGk=",` + rest + v1, "hi"},
		"base64 with escapes":               {`{"data_base64":"Pz8\/",` + rest + v1, "???"},
		"a type after base64 with escapes":  {`{"data_base64":"Pz8\/","datacontenttype":"text/plain",` + rest + v1, "???"},
		"0.3: base64 with escapes":          {`{"data":"Pz8\/","datacontentencoding":"base64",` + rest + v03, "???"},
		"no base64, with a quote":           {`{"data_base64":"aGk=\",\"id\":\"2",` + rest + v1, "400 not a valid CloudEvent: reading the event"},
		"a type after the data":             {`{"data":"hi","datacontenttype":"text/plain",` + rest + v1, "Data,\n  hi"},
		"0.3: an encoding after the data":   {`{"data":"aGk=","datacontentencoding":"base64","datacontenttype":"text/plain",` + rest + v03, "hi"},
		"0.3: base64":                       {`{"data":"aGk=","datacontentencoding":"base64",` + rest + v03, "hi"},
		"base64 that is a number":           {`{"data_base64":7,` + rest + v1, "400 not a valid CloudEvent: data_base64: data in base64 is a text"},
		"0.3: base64 that is a number":      {`{"data":7,"datacontentencoding":"base64",` + rest + v03, "400 not a valid CloudEvent: data: data in base64 is a text"},
		"0.3: base64 that is null":          {`{"data":null,"datacontentencoding":"base64",` + rest + v03, "400 not a valid CloudEvent: data: data in base64 is a text"},
		"1.0: an encoding is an extension":  {`{"data":{"a":1},"datacontentencoding":"base64",` + rest + v1, "datacontentencoding: base64"},
		"a version with escapes":            {`{"data":7,"datacontentencoding":"base64","specversion":"0\u002e3",` + rest + `}`, "400 not a valid CloudEvent: data: data in base64 is a text"},
		"0.3: data twice, once a number":    {`{"data":7,"data_base64":"aGk=","datacontentencoding":"base64",` + rest + v03, "400 not a valid CloudEvent: data: data in base64 is a text"},
		"0.3: an empty encoding":            {`{"datacontentencoding":"",` + rest + v03, "400 not a valid CloudEvent: "},
		"no version":                        {`{` + rest + `}`, "400 not a valid CloudEvent: specversion: REQUIRED"},
		"nothing":                           {`{}`, "400 not a valid CloudEvent: specversion: REQUIRED"},
		"null":                              {`null`, "400 not a valid CloudEvent: specversion: REQUIRED"},
		"a list":                            {`[]`, "400 not a valid CloudEvent: it is not a JSON object"},
		"half an object":                    {`{"a":`, "400 not a valid CloudEvent: it is not a JSON object"},
		"several mistakes":                  {`{"id":"","type":"","subject":" ","specversion":"1.0"}`, "not a valid CloudEvent: id: MUST be a non-empty string; source: REQUIRED; subject: if present, MUST be a non-empty string; type: MUST be a non-empty string"},
	} {
		t.Run(reason, func(t *testing.T) {
			r := post(row.body)
			r.Header.Set("Content-Type", event.ApplicationCloudEventsJSON)
			require.Contains(t, one(t, r, row.body), row.want)
		})
	}
}

func TestATextOfMistakesIsOneLine(t *testing.T) {
	e := event.New()
	err := Validate(e)
	require.ErrorContains(t, err, "not a valid CloudEvent: id: ")
	require.NotContains(t, err.Error(), "\n")
	e.SetID("1")
	e.SetSource("/s")
	e.SetType("t")
	require.NoError(t, Validate(e))
	require.Error(t, Validate(event.Event{}))
}
