package compose

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"assent/internal/i18n"
)

// SystemMails are the names that [System] knows.
var SystemMails = []string{"confirm", "already", "address-old", "address-new", "alarm", "invitation", "request-answer", "request-due", "reset", "rise", "trial", "renewal", "purpose", "silent", "permission", "welcome", "invite", "idea-opened"}

// System makes one of the service's own mails in the person's language.
//
// All of them read from values: brand_name, postal_address, website and
// privacy_url (each taken from env.Brand when it is not there) and name (the
// person's; used only when it looks like one, for anybody can type it into a
// form). Besides:
//
//   - confirm, the double opt-in: page (where it was asked), ip, requested_at
//     (a date already written in the person's language, calendar and zone),
//     wordings ([]string, the exact words of each box that was ticked),
//     confirm_url, not_me_url, checkpoint (the newest of the log, several lines,
//     shown as it is).
//
//   - already, to somebody who has confirmed before: preferences_url, page,
//     requested_at.
//
//   - address-old, to the address that is being left: new_address,
//     requested_at, not_me_url.
//
//   - address-new, to the one that is to take its place: old_address,
//     requested_at, confirm_url, not_me_url.
//
//   - alarm, to somebody of the team: source (the name of the campaign, sequence
//     or offer), stopped (or only warned), reason and its numbers (hard-bounces: hard_bounces
//     of tried; complaints: complaints of sent; policy-refusals: policy_refusals).
//
//   - invitation, to somebody who is to join the team: by (who invites), role
//     (in the reader's words), until (a date already written), link_url.
//
//   - request-answer, to somebody who asked for something under data-protection
//     law: kind (in the reader's words), outcome (done, refused, withdrawn, or
//     extended with due_at, a date already written), answer (some lines), data_url.
//
//   - request-due, to somebody of the team: kind, due_at, requests_url.
//
//   - reset, to somebody who forgot their password: requested_at, ip, link_url.
//
//   - rise, to somebody of the team: reason (complaints, leavers or failures),
//     span (hour or day), seen of seen_of mails, in place of usual of usual_of
//     (0: there is no past yet), alarms_url.
//
//   - trial, to somebody of the team who tries whether mail leaves: source (the
//     way it went), requested_at.
//
//   - renewal, purpose and silent, which ask whether a permission stands: wordings,
//     confirm_url, preferences_url, until (a date already written, in which it ends).
//
//   - permission, which asks once for one there is no evidence of: wordings, confirm_url.
//
//   - welcome, after a sign-up that nobody was asked to confirm: wordings, page, ip,
//     requested_at, preferences_url, not_me_url.
//
//   - invite, the double opt-in of somebody whom a friend invited: by (the friend's
//     name), wordings, confirm_url, not_me_url.
//
//   - idea-opened, to somebody who wished for a topic that is there now: wish,
//     source (the topic's name), preferences_url.
//
// A value that is missing leaves out its line. They are auto-submitted
// (RFC 3834), have no pixel, no rewritten link, no one-click header, and link
// to nothing but what the person is asked and who asks.
func System(name, lang string, env Envelope, values map[string]any) ([]byte, error) {
	if !slices.Contains(SystemMails, name) {
		return nil, fmt.Errorf("make a service mail: there is no %q", name)
	}
	env.Language = lang
	env.AutoSubmitted, env.OneClick, env.Bulk = true, false, false
	env.ListID, env.PixelURL, env.Link = "", "", nil
	env.Leave, env.Preferences, env.Why, env.View = "", "", "", ""

	v := systemValues(env.Brand, values)
	env.Brand = Brand{Name: text(v, "brand_name"), PostalAddress: text(v, "postal_address"), Website: text(v, "website"), PrivacyURL: text(v, "privacy_url"), Logo: env.Brand.Logo}
	subject := i18n.For(lang).T("mail."+name+".subject", "Brand", env.Brand.Name)
	s := env.sheet(subject, i18n.For(lang).T("mail."+name+".preheader", "Brand", env.Brand.Name))
	s.Service, s.V = true, v
	html, err := write(name+".html", s)
	if err != nil {
		return nil, err
	}
	body, err := write(name+".txt", s)
	if err != nil {
		return nil, err
	}
	return build(env, subject, emptyRE.ReplaceAllString(strings.TrimSpace(body), "\n\n")+"\n", html)
}

// systemValues is what the templates see: every value there, each on one line
// but the postal address and the wordings.
func systemValues(brand Brand, values map[string]any) map[string]any {
	v := fence(values)
	for key, fallback := range map[string]string{
		"brand_name": brand.Name, "postal_address": brand.PostalAddress, "website": brand.Website, "privacy_url": brand.PrivacyURL,
	} {
		if text(v, key) == "" {
			v[key] = clean(fallback)
		}
	}
	for _, key := range []string{"brand_name", "website", "privacy_url", "page", "ip", "requested_at", "confirm_url", "not_me_url", "preferences_url", "new_address", "old_address", "kind", "due_at", "outcome", "data_url", "requests_url", "source", "wish", "reason", "role", "until", "link_url", "alarms_url"} {
		v[key] = oneLine(text(v, key), maxURL)
	}
	v["name"], v["by"] = greetable(text(v, "name")), greetable(text(v, "by"))
	return v
}

func text(v map[string]any, key string) string {
	s, _ := v[key].(string)
	return s
}

// greetable is the name if a person may be greeted by it, else nothing: a form
// is open to anybody, and a "name" with an address in it would be an
// advertisement sent to a stranger in the brand's name.
func greetable(name string) string {
	name = oneLine(name, maxName)
	if utf8.RuneCountInString(name) > 40 {
		return ""
	}
	for _, c := range name {
		if !unicode.IsLetter(c) && !unicode.IsMark(c) && !strings.ContainsRune(" -'’\u200c", c) {
			return ""
		}
	}
	return name
}
