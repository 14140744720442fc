package signup

import (
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"assent/internal/subscriber"
)

// mailboxProviders are where people of all the world have their mailboxes, so
// that many sign-ups for one of them are no sign of anything. A name without a
// dot stands for the same name under any ending: yahoo.fr, hotmail.co.uk.
var mailboxProviders = []string{
	"gmail.com", "googlemail.com", "outlook", "hotmail", "live", "msn.com", "yahoo", "ymail.com", "rocketmail.com", "aol.com",
	"icloud.com", "me.com", "mac.com", "proton.me", "protonmail.com", "pm.me", "gmx", "web.de", "t-online.de", "freenet.de", "mail.com",
	"posteo.de", "mailbox.org", "fastmail.com", "hey.com", "tuta.com", "tutanota.com", "zoho.com", "mail.ru", "bk.ru", "inbox.ru", "list.ru",
	"yandex", "ya.ru", "rambler.ru", "qq.com", "163.com", "126.com", "sina.com", "foxmail.com", "naver.com", "daum.net", "hanmail.net",
	"orange.fr", "wanadoo.fr", "free.fr", "sfr.fr", "laposte.net", "libero.it", "virgilio.it", "tiscali.it", "alice.it", "tim.it",
	"telefonica.net", "terra.com.br", "uol.com.br", "bol.com.br", "wp.pl", "o2.pl", "interia.pl", "onet.pl", "seznam.cz", "centrum.cz",
	"abv.bg", "ukr.net", "rediffmail.com", "comcast.net", "verizon.net", "att.net", "sbcglobal.net", "bellsouth.net", "cox.net", "charter.net",
	"btinternet.com", "sky.com", "virginmedia.com", "bluewin.ch", "telenet.be", "ziggo.nl", "kpnmail.nl", "bigpond.com", "chmail.ir", "mailfa.com",
}

// TargetDomain is the domain that a sign-up for the address burdens: all below
// one name that somebody can register count together (publicsuffix.org). wide
// tells that it is one of the large mailbox providers. It is empty for what is no
// address.
func TargetDomain(email string) (domain string, wide bool) {
	a, err := subscriber.ParseAddress(email)
	if err != nil {
		return "", false
	}
	_, domain, _ = strings.Cut(a.Normal, "@")
	if own, err := publicsuffix.EffectiveTLDPlusOne(domain); err == nil {
		domain = own
	}
	name, _, _ := strings.Cut(domain, ".")
	return domain, slices.Contains(mailboxProviders, domain) || slices.Contains(mailboxProviders, name)
}
