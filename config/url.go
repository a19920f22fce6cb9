package config

import (
	"net/url"
	"strings"
)

func httpURL(wrong func(string, ...any), name, address string) {
	u, err := url.Parse(address)
	if address != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		wrong("%s: %q is not an http or https URL", name, Redacted(address))
	}
}

// Redacted is a URL as it may be shown: without its password. Of one that cannot
// be read, all that may be a password is left out.
func Redacted(address string) string {
	u, err := url.Parse(address)
	if err == nil && u.User != nil {
		return u.Redacted()
	}
	at := strings.LastIndex(address, "@")
	if err == nil && u.Host != "" || at < 0 || !strings.Contains(address[:at], ":") {
		return address
	}
	return "(hidden)" + address[at:]
}
