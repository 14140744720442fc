package testkit

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

var visitorClient = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}

// SignUp fills a form in as its widget does, for one topic; nil says that the
// visitor was told to look into the mailbox.
func SignUp(base, form, email, topic string) error {
	var spec struct{ Token string }
	res, err := visitorClient.Get(base + "/f/" + form + ".json?lang=en")
	if err != nil {
		return err
	}
	err = json.NewDecoder(res.Body).Decode(&spec)
	res.Body.Close()
	if err != nil || spec.Token == "" {
		return fmt.Errorf("the form has no token: %w", err)
	}
	return Post(base+"/f/"+form, url.Values{"email": {email}, "topic:" + topic: {"on"}, "token": {spec.Token}, "lang": {"en"}})
}

// Post sends a form of a public page, as a program that takes JSON where there
// is any; nil says 200.
func Post(address string, values url.Values) error {
	req, err := http.NewRequest(http.MethodPost, address, strings.NewReader(values.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json, text/html")
	res, err := visitorClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("POST %s: %s: %.300s", address, res.Status, body)
	}
	if err == nil && strings.Contains(string(body), `id="prove"`) { // a form whose guard is up: nothing is stored yet
		err = fmt.Errorf("POST %s: a proof of work is asked for", address)
	}
	return err
}
